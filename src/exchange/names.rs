//! Maps the names in a file to tensors of the modules. Prefixes from PyTorch wrappers are ignored: `module.` of
//! DataParallel and `_orig_mod.` of `torch.compile`, wherever they stand and however often.

use std::collections::BTreeMap;

use super::published::{OF_IMAGES, OF_SOUND};
use super::tensor_file::TensorFile;
use crate::{Error, Result};

/// Parts of names that wrappers add.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// The most names that a message shows, and the most that are compared with a missing name.
const SHOWN: usize = 6;
const COMPARED: usize = 4096;

/// A tensor: the number of its module in a file of the stack, `None` in a file of a single module; and its name
/// within the module.
pub type Place = (Option<usize>, String);

/// The names of a file.
pub struct Names {
    theirs: BTreeMap<Place, String>,
    /// Whether the file holds a whole stack.
    pub of_stack: bool,
}

impl Names {
    /// Maps the names of a file.
    ///
    /// # Errors
    /// When two tensors have the same name without the wrappers' parts.
    pub fn of(file: &TensorFile) -> Result<Self> {
        let all: Vec<(String, &str)> = file.tensors.keys().map(|it| (bare(it), &**it)).collect();
        let of_stack = all.iter().any(|(bare, _)| module_of(bare).is_some());
        let mut theirs = BTreeMap::new();
        for (bare, name) in all {
            let place = match module_of(&bare).filter(|_| of_stack) {
                Some((module, rest)) => (Some(module), rest.to_string()),
                None => (None, bare.strip_prefix(FULL_MODEL).unwrap_or(&bare).to_string()),
            };
            if let Some(before) = theirs.insert(place, name.to_string()) {
                let path = file.path.display();
                let message = format!("`{before}` and `{name}` of `{path}` are one tensor, twice");
                return Err(Error::failed(message).hint(
                    "`module.`, `_orig_mod.` and `fullmodel.` in names are passed over: save the state \
                     dict of one model alone",
                ));
            }
        }
        Ok(Self { theirs, of_stack })
    }

    /// The file's name for a tensor.
    pub fn get(&self, place: &Place) -> Option<&str> {
        self.theirs.get(place).map(String::as_str)
    }

    /// The file's name for the first tensor that is not in `known`.
    pub fn other_than(&self, known: &[Place]) -> Option<&str> {
        let known: std::collections::HashSet<&Place> = known.iter().collect();
        self.theirs.iter().find(|(place, _)| !known.contains(place)).map(|(_, name)| name.as_str())
    }

    /// Says what the file has, in place of the missing tensor.
    pub fn there(&self, missing: &Place) -> String {
        let shown: Vec<String> =
            self.theirs.values().take(SHOWN).map(|name| format!("`{}`", short(name))).collect();
        let more = self.theirs.len() - shown.len();
        let all = match (shown.len(), more) {
            (0, _) => return "it has no tensor".to_string(),
            (_, 0) => format!("it has {}", shown.join(", ")),
            _ => format!("it has {} and {more} more", shown.join(", ")),
        };
        let wanted = short(&missing.1);
        let alike = |name: &str| strsim::normalized_damerau_levenshtein(wanted, short(name));
        let others = self.theirs.iter().filter(|(place, _)| place.0 == missing.0).take(COMPARED);
        let nearest = others.max_by(|(a, _), (b, _)| alike(&a.1).total_cmp(&alike(&b.1)));
        match nearest.filter(|_| self.theirs.len() > 1) {
            Some((_, nearest)) => format!("{all}; the nearest is `{}`", short(nearest)),
            None => all,
        }
    }

    /// The prefix that the file has before a missing name, such as `net.`; `None` if no name ends with it.
    pub fn in_front_of(&self, missing: &Place) -> Option<&str> {
        let of_name = |(_, name): (&Place, &'_ String)| name.ends_with(&format!(".{}", missing.1));
        let (_, name) = self.theirs.iter().find(|it| of_name(*it))?;
        name.get(..name.len() - missing.1.len())
    }
}

/// The prefix of the whole model of speech in its checkpoints.
const FULL_MODEL: &str = "fullmodel.";

/// A name without the wrappers' parts.
fn bare(name: &str) -> String {
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    parts.collect::<Vec<_>>().join(".")
}

/// Splits off the module's number: `encoder.3.model.Conv1.weight` or `fullmodel.3.model.Conv1.weight` -> 3 and
/// `model.Conv1.weight`.
fn module_of(bare: &str) -> Option<(usize, &str)> {
    let rest = [OF_IMAGES, OF_SOUND].iter().find_map(|stack| bare.strip_prefix(stack))?;
    let (module, rest) = rest.strip_prefix('.')?.split_once('.')?;
    let digits = module.bytes().all(|it| it.is_ascii_digit());
    Some((module.parse().ok().filter(|_| digits)?, rest))
}

/// The start of a long name.
fn short(name: &str) -> &str {
    const LONGEST: usize = 120;
    let end = name.char_indices().map(|it| it.0).take_while(|it| *it <= LONGEST).last();
    if name.len() <= LONGEST { name } else { &name[..end.unwrap_or(0)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrappers_put_into_names_is_passed_over() {
        for name in [
            "module.encoder.0.model.Conv1.weight",
            "_orig_mod.module.encoder.0.model.Conv1.weight",
            "module._orig_mod.encoder.0.model.Conv1.weight",
            "encoder._orig_mod.0.module.model.Conv1.weight",
            "fullmodel.0.model.Conv1.weight",
        ] {
            let bare = bare(name);
            assert_eq!(module_of(&bare), Some((0, "model.Conv1.weight")), "{name}");
        }
        assert_eq!(module_of("encoder.model.layer 0.0.weight"), None);
        assert_eq!(module_of("encoder.+1.weight"), None);
    }
}
