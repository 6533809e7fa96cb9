//! What the files of a crate import, read from their text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A crate's files, and which of them import which.
pub struct Sources {
    /// By module, as `stage::plan`.
    files: BTreeMap<String, File>,
}

/// A file that is one module of a crate.
struct File {
    /// As messages name it, from the root of the repository: `src/stage/plan.rs`.
    name: String,
    paths: Vec<Vec<String>>,
    /// Names that `use` brings into the module, and the paths they stand for.
    names: BTreeMap<String, Vec<String>>,
}

/// That one file imports another, or a crate beside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: String,
    pub to: String,
    /// As the file writes it: `crate::stage::Plan`.
    pub path: String,
}

impl Sources {
    /// The crate whose sources lie in `folder`, from the root of the repository: `src`, `store/src`.
    pub fn read(root: &Path, folder: &str) -> Self {
        let mut paths = Vec::new();
        list(&root.join(folder), &mut paths);
        let modules: BTreeMap<String, PathBuf> = paths
            .into_iter()
            .filter_map(|path| Some((module(path.strip_prefix(root.join(folder)).ok()?)?, path)))
            .collect();
        let mut files = BTreeMap::new();
        let mut of_tests = Vec::new();
        for (module, path) in &modules {
            let text = std::fs::read_to_string(path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string().replace('\\', "/");
            let (tokens, tests) = without_tests(tokens(&text));
            of_tests.extend(tests.iter().map(|test| join(module, test)));
            let (paths, names) = paths_of(&tokens, module, &modules);
            files.insert(module.clone(), File { name, paths, names });
        }
        files.retain(|module, _| !of_tests.contains(module));
        Self { files }
    }

    /// All imports, each once for every pair of files.
    pub fn imports(&self) -> Vec<Import> {
        let mut found = BTreeMap::new();
        for file in self.files.values() {
            for path in &file.paths {
                let to = match path[0].as_str() {
                    "crate" => self.resolve(&path[1..], 0),
                    other => other.strip_prefix("gimlet_").map(str::to_owned),
                };
                if let Some(to) = to.filter(|to| *to != file.name) {
                    let path = path.join("::");
                    found.entry((file.name.clone(), to)).or_insert(path);
                }
            }
        }
        found.into_iter().map(|((from, to), path)| Import { from, to, path }).collect()
    }

    /// The file where what `path` names is, from the root of the crate; re-exports are followed.
    fn resolve(&self, path: &[String], depth: usize) -> Option<String> {
        let mut module = String::new();
        for (place, segment) in path.iter().enumerate() {
            let inner = join(&module, segment);
            if self.files.contains_key(&inner) {
                module = inner;
                continue;
            }
            let file = self.files.get(&module)?;
            return match file.names.get(segment) {
                Some(target) if depth < 8 && target[0] == "crate" => {
                    let whole = [&target[1..], &path[place + 1..]].concat();
                    self.resolve(&whole, depth + 1)
                }
                _ => Some(file.name.clone()),
            };
        }
        self.files.get(&module).map(|file| file.name.clone())
    }
}

/// Whether two files have no folder in common. A module lies in the folder above it and in its own, of `src/a.rs`
/// in `src` and in `src/a`.
pub fn are_apart(one: &str, other: &str) -> bool {
    let folders = |file: &str| {
        let above = file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        [above, file.trim_end_matches(".rs").to_owned()]
    };
    let (one, other) = (folders(one), folders(other));
    one.iter().all(|folder| !other.contains(folder))
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// `stage::plan` for `stage/plan.rs`; `None` for a program.
fn module(path: &Path) -> Option<String> {
    let text = path.display().to_string().replace('\\', "/");
    let text = text.trim_end_matches(".rs");
    match text {
        "lib" => Some(String::new()),
        "main" => None,
        _ => Some(text.strip_suffix("/mod").unwrap_or(text).replace('/', "::")),
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The words and signs of Rust, without comments and literals; `::` is one sign.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |it: char| it.is_alphanumeric() || it == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |it| it + 2)
        } else if first == '"' {
            string(rest)
        } else if let Some(raw) = raw_string(rest) {
            raw
        } else if first == '\'' {
            character(rest)
        } else if is_word(first) {
            let end = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (place, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    let body = inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |it| it + end.len());
    Some(rest.len() - body.len() + length)
}

/// A literal of one character, or the mark of a lifetime.
fn character(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            rest[2..].char_indices().skip(1).find(|(_, it)| *it == '\'').map_or(1, |(at, _)| at + 3)
        }
        Some(_) => match letters.next() {
            Some((place, '\'')) => place + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// The tokens without items that only tests have; and the names of modules of tests in files of their own.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut place = 0;
    while place < tokens.len() {
        if !tokens[place..].iter().take(mark.len()).eq(mark.iter()) {
            kept.push(tokens[place].clone());
            place += 1;
            continue;
        }
        place += mark.len();
        let item = place;
        while place < tokens.len() && tokens[place] != ";" && tokens[place] != "{" {
            place += 1;
        }
        if tokens.get(place).is_some_and(|it| it == "{") {
            place = end_of_group(&tokens, place);
        } else if tokens[item] == "mod" {
            modules.push(tokens[item + 1].clone());
        }
        place += 1;
    }
    (kept, modules)
}

/// The place of the brace that ends what the one at `place` begins.
fn end_of_group(tokens: &[String], mut place: usize) -> usize {
    let mut depth = 0;
    while place < tokens.len() {
        match tokens[place].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        place += 1;
    }
    place
}

type Paths = (Vec<Vec<String>>, BTreeMap<String, Vec<String>>);

/// All paths in `tokens`, from the root of the crate, and the names that `use` brings in. What is only
/// re-exported is no import.
fn paths_of(tokens: &[String], module: &str, modules: &BTreeMap<String, PathBuf>) -> Paths {
    let (mut paths, mut names) = (Vec::new(), BTreeMap::new());
    let mut words = BTreeSet::new();
    let mut re_exported = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        if tokens[place] == "use" {
            let is_public = place > 0 && (tokens[place - 1] == "pub" || tokens[place - 1] == ")");
            let mut found = Vec::new();
            place = tree(tokens, place + 1, &[], &mut found);
            for (path, name) in found {
                let Some(path) = absolute(&path, module, modules) else { continue };
                match is_public {
                    true => re_exported.push((name.clone(), path.clone())),
                    false => paths.push(path.clone()),
                }
                names.insert(name, path);
            }
        } else if place + 1 < tokens.len()
            && tokens[place + 1] == "::"
            && (place == 0 || tokens[place - 1] != "::")
        {
            let (start, mut path) = (place, vec![tokens[place].clone()]);
            words.insert(tokens[place].clone());
            while place + 2 < tokens.len()
                && tokens[place + 1] == "::"
                && is_name(&tokens[place + 2])
            {
                path.push(tokens[place + 2].clone());
                place += 2;
            }
            // `pub(in crate::stage)` imports nothing.
            if start < 2 || tokens[start - 2..start] != ["(", "in"] {
                paths.extend(absolute(&path, module, modules));
            }
            place += 1;
        } else {
            // `mod plan;` is no use of what `pub use plan::plan` brings in.
            if place == 0 || tokens[place - 1] != "mod" {
                words.insert(tokens[place].clone());
            }
            place += 1;
        }
    }
    paths.extend(re_exported.into_iter().filter(|(name, _)| words.contains(name)).map(|it| it.1));
    (paths, names)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|it: char| it.is_alphabetic() || it == '_')
}

/// Reads the tree of a `use` from `place` on: each path with the name it brings in. Returns the place after it.
fn tree(
    tokens: &[String],
    mut place: usize,
    before: &[String],
    found: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens[place].as_str() {
            "{" => {
                place += 1;
                while tokens[place] != "}" {
                    place = tree(tokens, place, &path, found);
                    if tokens[place] == "," {
                        place += 1;
                    }
                }
                return place + 1;
            }
            "::" => place += 1,
            "*" => {
                found.push((path, "*".to_owned()));
                return place + 1;
            }
            "as" => {
                found.push((path, tokens[place + 1].clone()));
                return place + 2;
            }
            word if is_name(word) => {
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                place += 1;
            }
            _ => {
                let name = path.last().cloned().unwrap_or_default();
                found.push((path, name));
                return place;
            }
        }
    }
}

/// `path` from the root of the crate, or of a crate of ours beside it; `None` for all others.
fn absolute(
    path: &[String],
    module: &str,
    modules: &BTreeMap<String, PathBuf>,
) -> Option<Vec<String>> {
    let mut here: Vec<String> =
        module.split("::").filter(|it| !it.is_empty()).map(String::from).collect();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => return Some(path.to_vec()),
        first if first.starts_with("gimlet_") => return Some(path.to_vec()),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|it| it == "super") {
                here.pop();
                rest = &rest[1..];
            }
        }
        first if modules.contains_key(&join(module, first)) => {}
        _ => return None,
    }
    Some([&["crate".to_owned()], &here[..], rest].concat())
}
