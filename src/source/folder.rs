//! Folders of images or sounds: `train/<class>/<file>.png`, or any nesting where labels lie elsewhere or
//! there are none.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::json;

use super::alignments::Alignments;
use super::content::{ContentFile, PassedOver, Role};
use super::decode::Decoded;
use super::decode_room::Held;
use super::file_labels::FileLabels;
use super::file_list::FileList;
use super::locate::{Place, relative_name};
use super::{
    Aligned, BadSample, Content, Keep, LabelSet, Length, Media, Remarks, Sample, Source, decode,
    no_such_row, passed_over, plain_file, sound, transcripts,
};
use crate::pipeline::settings::{Files, Medium, OnBadSample};
use crate::{Error, Result};

/// Images or sounds in folders, in the order of their names.
#[derive(Debug)]
pub struct Folder {
    medium: Medium,
    files: Vec<Entry>,
    names: Option<Vec<String>>,
    further: Vec<LabelSet>,
    alignments: Option<Alignments>,
    passed_over: Vec<PassedOver>,
    content: Content,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    name: String,
    label: Option<i64>,
    further: Vec<Option<i64>>,
    text: Option<String>,
}

impl Folder {
    /// Lists the files under `folders`. Their labels are those of `settings.names` or
    /// `settings.labels`; with a label and neither of these, the folders directly inside are the
    /// classes, and their sorted names the label names.
    ///
    /// # Errors
    /// When a folder cannot be listed, there is no such file, or labels do not lie where the settings
    /// say.
    pub(super) fn open(
        settings: &Files,
        on_bad_sample: OnBadSample,
        folders: &[PathBuf],
        alignments: Option<Alignments>,
    ) -> Result<Self> {
        let list = FileList::under(folders, settings.medium, on_bad_sample)?;
        if settings.label.is_some() && settings.names.is_none() && settings.labels.is_none() {
            list.check_classes(settings.medium)?;
        }
        Self::of(settings, folders, list, alignments)
    }

    /// As [`open`](Self::open), of these files alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn of_files(
        settings: &Files,
        places: Vec<Place>,
        alignments: Option<Alignments>,
    ) -> Result<Self> {
        Self::of(settings, &[], FileList::of(places, settings.medium)?, alignments)
    }

    fn of(
        settings: &Files,
        folders: &[PathBuf],
        list: FileList,
        alignments: Option<Alignments>,
    ) -> Result<Self> {
        let labels = FileLabels::of(settings, folders, &list)?;
        let FileLabels { mut sets, classes, files: label_files } = labels;
        let mut texts = transcripts::read(&list.transcripts)?;
        let place = |path: &PathBuf| {
            let folder = folders.iter().find(|folder| path.starts_with(folder));
            relative_name(folder.unwrap_or(&settings.root), path)
        };
        let others = list.others.iter().filter(|path| !label_files.contains(path)).map(place);
        let mut passed_over = passed_over::by_kind(others, list.broken.iter().map(place));
        let mut files = Vec::with_capacity(list.files.len());
        for (file, classes) in list.files.into_iter().zip(classes) {
            let mut classes = classes.into_iter();
            files.push(Entry {
                text: texts.remove(&file.path.with_extension("")),
                path: file.path,
                name: file.place,
                label: classes.next().flatten(),
                further: classes.collect(),
            });
        }
        let further = sets.split_off(sets.len().min(1));
        let names = sets.pop().and_then(|set| set.names);
        let beside = |role: Role, path: &PathBuf| {
            // Where they lie says nothing that the names in them do not.
            ContentFile { role, place: place(path), path: path.clone() }
        };
        let data = files.iter().map(|Entry { path, name, .. }| ContentFile {
            role: Role::Data,
            place: name.clone(),
            path: path.clone(),
        });
        let mut all: Vec<ContentFile> = data.collect();
        all.extend(label_files.iter().map(|path| beside(Role::Labels, path)));
        all.extend(list.transcripts.iter().map(|path| beside(Role::Transcripts, path)));
        all.extend(alignments.iter().flat_map(Alignments::files));
        let made = json!({ "kind": "folder", "label_names": names });
        let content = Content { made, files: all };
        passed_over.extend(transcripts::of_no_file(texts));
        Ok(Self {
            medium: settings.medium,
            files,
            names,
            further,
            alignments,
            passed_over,
            content,
        })
    }

    fn entry(&self, row: usize) -> Result<&Entry> {
        self.files.get(row).ok_or_else(|| no_such_row(row, self.files.len()))
    }

    /// The image or sound of a file, what there is to say of it, and its share of the memory for images; inside,
    /// why it is none.
    fn media(&self, path: &Path) -> Result<Result<(Media, Remarks, Option<Held>), String>> {
        let failed = |error| Error::io(&format!("read the {}", self.medium.noun()), path, error);
        Ok(match self.medium {
            Medium::Image => decode::decode(&read_file(path).map_err(failed)?).map(
                |Decoded { image, turned, room }| {
                    let remarks = Remarks { turned, ..Remarks::default() };
                    (Media::Image(image), remarks, Some(room))
                },
            ),
            Medium::Sound => sound::decode_file(plain_file::open(path).map_err(failed)?)
                .map(|it| (Media::Sound(it), Remarks::default(), None)),
        })
    }

    fn sample(&self, row: usize, entry: &Entry, media: Media, remarks: Remarks) -> Sample {
        let frames = self.alignments.as_ref().and_then(|it| it.of(&entry.path));
        Sample {
            id: row as i64,
            source: entry.name.clone(),
            label: entry.label,
            further: entry.further.clone(),
            frames: frames.cloned(),
            text: entry.text.clone(),
            media,
            remarks,
        }
    }
}

impl Source for Folder {
    fn rows(&self) -> usize {
        self.files.len()
    }

    fn label_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn further_labels(&self) -> &[LabelSet] {
        &self.further
    }

    fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    fn content(&self) -> Content {
        self.content.clone()
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        let Some(first) = self.files.first().filter(|_| self.medium == Medium::Image) else {
            return Ok(None);
        };
        // All of it, within bounds: decoders of JPEG do the same, without.
        let bytes = read_file(&first.path)
            .map_err(|error| Error::io("read the image", &first.path, error))?;
        Ok(decode::size(&bytes))
    }

    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        if self.medium == Medium::Image {
            return Err(super::no_length());
        }
        let length = |&row: &usize| {
            let path = &self.entry(row)?.path;
            let file =
                plain_file::open(path).map_err(|error| Error::io("read the sound", path, error))?;
            Ok(sound::length_of_file(file))
        };
        rows.par_iter().map(length).collect()
    }

    fn aligned(&self) -> Result<Option<Aligned<'_>>> {
        let Some(alignments) = &self.alignments else { return Ok(None) };
        let mut aligned = Aligned::new(alignments);
        for Entry { path, .. } in &self.files {
            aligned.add(path, format!("`{}`", path.display()));
        }
        Ok(Some(aligned))
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        rows.par_iter()
            .map(|&row| {
                let entry = self.entry(row)?;
                match self.media(&entry.path)? {
                    Ok((media, remarks, room)) => {
                        let kept = keep(self.sample(row, entry, media, remarks)).map(Ok);
                        drop(room);
                        kept
                    }
                    Err(reason) => Ok(Err(BadSample {
                        id: row as i64,
                        source: String::new(),
                        file: entry.path.clone(),
                        row: None,
                        reason,
                    })),
                }
            })
            .collect()
    }
}

/// The bytes of a file that ends, and not too late.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file::open(path)?.take(decode::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        ..=decode::MAX_BYTES => Ok(bytes),
        _ => Err(io::Error::other(format!("it has more than {} bytes", decode::MAX_BYTES))),
    }
}
