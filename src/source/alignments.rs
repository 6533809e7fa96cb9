//! A label for every hop of sounds, as text: each line has the identifier of an utterance and the numbers
//! of classes. The identifier is the name of the sound's file without the extension, or as much of its path as
//! tells it from others. The file `converted_aligned_phones.txt` of the published CPC code has this format.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path};

use super::content::{ContentFile, Role};
use super::locate::Place;
use super::{NO_FRAME, plain_file, text_file};
use crate::{Error, Result};

/// The most bytes of all files together. Less than that stays in memory.
const MOST_BYTES: u64 = 1 << 30;

/// The most bytes of a line: some hours of sound.
const LONGEST_LINE: u64 = 16 << 20;

/// The labels of the hops of utterances.
#[derive(Debug)]
pub struct Alignments {
    pub(super) utterances: HashMap<String, Utterance>,
    files: Vec<Place>,
}

#[derive(Debug)]
pub(super) struct Utterance {
    /// The number of the file, and of the line in it.
    place: (usize, u64),
    frames: Vec<u8>,
}

impl Alignments {
    /// Reads alignment files.
    ///
    /// # Errors
    /// When a file cannot be read, a label is not the number of a class, or an utterance comes twice.
    pub(super) fn open(files: Vec<Place>) -> Result<Self> {
        let mut utterances = HashMap::new();
        let mut left = MOST_BYTES;
        for (file_number, Place { path, .. }) in files.iter().enumerate() {
            let failed = |error| Error::io("read the alignments", path, error);
            let mut file = BufReader::new(plain_file::open(path).map_err(failed)?);
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                let most = LONGEST_LINE.min(left);
                let read =
                    file.by_ref().take(most).read_until(b'\n', &mut line).map_err(failed)? as u64;
                if read == 0 && left > 0 {
                    break;
                }
                let wrong = |what: String| {
                    Error::failed(format!("`{}`, line {number}: {what}", path.display()))
                };
                if read == most && !line.ends_with(b"\n") {
                    let message = "it is too long, or the files of alignments are";
                    return Err(wrong(message.to_owned()));
                }
                left -= read;
                let text =
                    text_file::text(&line, number == 1).map_err(|it| wrong(it.to_owned()))?;
                let Some((id, frames)) = parse(text, path, number)? else { continue };
                let id = id.strip_prefix("./").unwrap_or(id);
                let utterance = Utterance { place: (file_number, number), frames };
                if utterances.insert(id.to_owned(), utterance).is_some() {
                    return Err(wrong(format!("`{id}` comes a second time"))
                        .hint("an utterance has one line in all files of `data.alignments`"));
                }
            }
        }
        Ok(Self { utterances, files })
    }

    /// The identifier of the sound file at this path, and its labels. Of several identifiers that fit, the one that
    /// has most of the path counts.
    pub(super) fn find(&self, path: &Path) -> Option<(&str, &Vec<u8>)> {
        let path = path.with_extension("");
        let folders = path.components().filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        });
        let path = folders.collect::<Vec<_>>().join("/");
        let mut rest = Some(path.as_str());
        while let Some(id) = rest {
            if let Some((id, utterance)) = self.utterances.get_key_value(id) {
                return Some((id, &utterance.frames));
            }
            rest = id.split_once('/').map(|(_, rest)| rest);
        }
        None
    }

    /// The utterances that `fit` refuses: their number, and the first one with its place.
    pub(super) fn without(&self, fit: impl Fn(&str) -> bool) -> (usize, Option<String>) {
        let unused = || self.utterances.iter().filter(|(id, _)| !fit(id));
        let first = unused().min_by_key(|(_, utterance)| utterance.place);
        let named = first.map(|(id, Utterance { place: (file, line), .. })| {
            format!("`{id}` (line {line} of `{}`)", self.files[*file].path.display())
        });
        (unused().count(), named)
    }

    /// The files that hold the alignments.
    pub(super) fn files(&self) -> impl Iterator<Item = ContentFile> {
        self.files.iter().cloned().map(|Place { path, place }| ContentFile {
            role: Role::Alignments,
            place,
            path,
        })
    }
}

/// Parses a line into an utterance and its labels; `None` for a blank line.
fn parse<'a>(line: &'a str, path: &Path, number: u64) -> Result<Option<(&'a str, Vec<u8>)>> {
    let mut words = line.split_ascii_whitespace();
    let Some(id) = words.next() else { return Ok(None) };
    let mut frames = Vec::with_capacity(line.len() / 2);
    for word in words {
        match word.parse::<u8>() {
            Ok(label) if label < NO_FRAME => frames.push(label),
            _ => {
                let path = path.display();
                let message = format!(
                    "`{path}`, line {number}: the label `{word}` is no number from 0 to {}",
                    NO_FRAME - 1
                );
                return Err(Error::failed(message)
                    .hint("a line of alignments is an utterance and a label for every hop"));
            }
        }
    }
    Ok(Some((id, frames)))
}
