//! Matches alignments to recordings, for both splits together. A line for a recording of another split is no
//! fault; a line that fits several recordings is an error.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::alignments::Alignments;
use crate::pipeline::{PerSplit, Split};
use crate::{Error, Result};

/// The alignments of a split, matched to its recordings.
#[derive(Debug)]
pub(super) struct Aligned<'a> {
    alignments: &'a Alignments,
    /// The recordings that each identifier fits, named as messages name them.
    fits: HashMap<&'a str, BTreeSet<String>>,
    /// Recordings that no alignment fits.
    without: Counted,
    recordings: usize,
}

/// A count of things, and the name of the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// The count.
    pub count: usize,
    /// The name of the first.
    pub first: Option<String>,
}

impl Counted {
    pub(crate) fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(name);
    }
}

impl<'a> Aligned<'a> {
    pub(super) fn new(alignments: &'a Alignments) -> Self {
        let (fits, without) = Default::default();
        Self { alignments, fits, without, recordings: 0 }
    }

    /// Adds a recording: its path, which tells its identifier, and its place, as messages name it. No two recordings
    /// have the same place.
    pub(super) fn add(&mut self, path: &Path, place: String) {
        self.recordings += 1;
        match self.alignments.find(path) {
            Some((id, _)) => {
                self.fits.entry(id).or_default().insert(place);
            }
            None => self.without.add(|| place),
        }
    }
}

/// Alignments and recordings that do not fit each other, which is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unfit {
    /// Alignments that fit no recording of either split.
    pub alignments: Counted,
    /// The number of all alignments.
    pub of: usize,
    /// Recordings that no alignment fits, and the number of all recordings.
    pub recordings: PerSplit<(Counted, usize)>,
}

impl Unfit {
    /// One line per fault of `split`. The training split also gets the lines that belong to no split.
    pub fn lines(&self, split: Split) -> Vec<String> {
        let mut lines = Vec::new();
        let Counted { count, first } = &self.alignments;
        if let (Split::Train, Some(first)) = (split, first) {
            lines.push(format!(
                "{count} of {} alignments fit no recording of either split, the first: {first}",
                self.of
            ));
        }
        let (Counted { count, first }, of) = &self.recordings[split];
        if let Some(first) = first {
            lines.push(format!("{count} of {of} recordings have no alignment, the first: {first}"));
        }
        lines
    }
}

/// Checks that the alignments of both splits, if there are any, fit their recordings.
///
/// # Errors
/// When no alignment fits any recording, or one alignment fits several.
pub(super) fn check(train: Option<Aligned<'_>>, test: Option<Aligned<'_>>) -> Result<Unfit> {
    let (Some(train), Some(test)) = (train, test) else {
        return Ok(Unfit::default());
    };
    let mut fits = train.fits;
    for (id, places) in test.fits {
        fits.entry(id).or_default().extend(places);
    }
    let several = fits.iter().filter(|(_, places)| places.len() > 1);
    if let Some((id, places)) = several.clone().min_by_key(|(id, _)| **id) {
        const SHOWN: usize = 3;
        let named: Vec<&str> = places.iter().take(SHOWN).map(String::as_str).collect();
        let more = if places.len() > SHOWN { ", …" } else { "" };
        return Err(Error::failed(format!(
            "the alignment of `{id}` fits {} recordings: {}{more}; so do {} more alignments",
            places.len(),
            named.join(", "),
            several.count() - 1
        ))
        .hint(
            "write as much of the path of each in front of its name as tells it from the others, without \
             the extension: `folder/name 0 1 1 …`",
        ));
    }
    if fits.is_empty() {
        let (count, first) = train.alignments.without(|_| false);
        let recording = train.without.first.or(test.without.first).unwrap_or_default();
        return Err(Error::failed(format!(
            "none of {count} alignments fits a recording: the first is {}, the first recording {recording}",
            first.unwrap_or_default()
        ))
        .hint(
            "a line of `data.alignments` begins with the name of the recording's file without its \
             extension, or with its path without it",
        ));
    }
    let (count, first) = train.alignments.without(|id| fits.contains_key(id));
    Ok(Unfit {
        alignments: Counted { count, first },
        of: train.alignments.utterances.len(),
        recordings: PerSplit {
            train: (train.without, train.recordings),
            test: (test.without, test.recordings),
        },
    })
}
