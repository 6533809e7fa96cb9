//! A label for every hop of sounds, as text: each line has the identifier of an utterance, which is the
//! name of its file without the extension, and the numbers of classes. So has the file
//! `converted_aligned_phones.txt` that goes with the published code of CPC.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::content::{ContentFile, Role};
use super::locate::Place;
use super::{NO_FRAME, plain_file};
use crate::{Error, Result};

/// Bytes of all files together, which are more than what is kept of them.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes of a line: some hours of sound.
const LONGEST_LINE: u64 = 16 << 20;

/// The labels of the hops of utterances.
#[derive(Debug)]
pub(super) struct Alignments {
    utterances: HashMap<String, Vec<u8>>,
    files: Vec<Place>,
}

impl Alignments {
    /// Reads files.
    ///
    /// # Errors
    /// When one cannot be read, a label is no class, or an utterance comes twice.
    pub fn open(files: Vec<Place>) -> Result<Self> {
        let mut utterances = HashMap::new();
        let mut left = MOST_BYTES;
        for Place { path, .. } in &files {
            let failed = |error| Error::io("read the alignments", path, error);
            let mut file = BufReader::new(plain_file::open(path).map_err(failed)?);
            let mut line = String::new();
            for number in 1.. {
                line.clear();
                let most = LONGEST_LINE.min(left);
                let read = file.by_ref().take(most).read_line(&mut line).map_err(failed)? as u64;
                if read == 0 && left > 0 {
                    break;
                }
                if read == most && !line.ends_with('\n') {
                    let message = format!(
                        "`{}`, line {number}: it is too long, or the files of alignments are",
                        path.display()
                    );
                    return Err(Error::failed(message));
                }
                left -= read;
                let Some((id, frames)) = parse(&line, path, number)? else { continue };
                if utterances.insert(id.to_owned(), frames).is_some() {
                    let message =
                        format!("`{}`, line {number}: `{id}` comes a second time", path.display());
                    return Err(Error::failed(message)
                        .hint("an utterance has one line in all files of `data.alignments`"));
                }
            }
        }
        Ok(Self { utterances, files })
    }

    /// The labels of a sound whose file has this path; `None` where there are none.
    pub fn of(&self, path: &str) -> Option<&Vec<u8>> {
        self.utterances.get(Path::new(path).file_stem()?.to_str()?)
    }

    /// The files that hold them.
    pub fn files(&self) -> impl Iterator<Item = ContentFile> {
        let file = |it: &Place| ContentFile {
            role: Role::Alignments,
            place: it.place.clone(),
            path: it.path.clone(),
        };
        self.files.iter().map(file)
    }
}

/// An utterance and its labels; `None` of a line without any.
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
