//! Reads folders of images or sounds: `train/<class>/<file>.png`, or any nesting if labels lie elsewhere or
//! there are none.

use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::json;

use super::alignments::Alignments;
use super::classes::{NoClass, Numbering};
use super::content::{ContentFile, PassedOver, Role};
use super::file_kind::{FileKind, Opening};
use super::file_labels::FileLabels;
use super::file_list::{FileList, FoundFile};
use super::labelling::Labels;
use super::locate::relative_name;
use super::{
    Aligned, BadSample, Classified, Content, Keep, LabelSet, Length, Media, Remarks, Sample,
    Source, encoding, file_list, no_length, no_such_row, passed_over, transcripts,
};
use crate::pipeline::settings::{Files, Medium};
use crate::{Error, Result};

/// Images or sounds in folders, in the order of their names.
#[derive(Debug)]
pub struct Folder {
    medium: Medium,
    files: Vec<Entry>,
    labels: Labels,
    alignments: Option<Alignments>,
    passed_over: Vec<PassedOver>,
    content: Content,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    name: String,
    /// Labels as text, one per column.
    labels: Vec<Option<Arc<str>>>,
    text: Option<String>,
}

/// The settings that files with one sample each refuse, and why.
const NO_COLUMNS: (&[&str], &str) = (&["frames"], "these are files, which have no columns");

/// Folders of images or sounds.
pub(super) const FOLDERS: FileKind = FileKind {
    name: "folders",
    refused: NO_COLUMNS,
    takes: |_, _| false,
    samples_in: |folders| folders,
    within: |folder, _, _, _| Ok(Some((vec![folder.to_path_buf()], Vec::new()))),
    have_labels: |places, columns| {
        let loose = places.iter().map(|it| file_list::has_files(&it.path, columns.medium));
        Ok(!loose.collect::<Result<Vec<_>>>()?.contains(&true))
    },
    open: |found, Opening { settings, on_bad_sample, alignments, .. }| {
        let folders: Vec<PathBuf> = found.into_iter().map(|it| it.path).collect();
        let list = FileList::under(&folders, settings.medium, on_bad_sample)?;
        if settings.label.is_some() && settings.names.is_none() && settings.labels.is_none() {
            list.check_classes(settings.medium)?;
        }
        Ok(Box::new(Folder::of(settings, &folders, list, alignments)?))
    },
};

/// Sound files that are named one by one.
pub(super) const LOOSE_FILES: FileKind = FileKind {
    name: "files of sounds",
    refused: NO_COLUMNS,
    takes: |file, medium| medium == Medium::Sound && file_list::is_named_so(file, medium),
    samples_in: |files| files,
    within: |_, _, _, _| Ok(None),
    have_labels: |_, _| Ok(false),
    open: |found, Opening { settings, alignments, .. }| {
        let list = FileList::of(found, settings.medium)?;
        Ok(Box::new(Folder::of(settings, &[], list, alignments)?))
    },
};

impl Folder {
    /// The files of a list, found under `folders`. Their labels come from `settings.names` or `settings.labels`. If
    /// there is a label and neither of these is set, the folders directly inside are the classes, and their sorted
    /// names the label names.
    ///
    /// # Errors
    /// When labels are not where the settings say.
    fn of(
        settings: &Files,
        folders: &[PathBuf],
        list: FileList,
        alignments: Option<Alignments>,
    ) -> Result<Self> {
        let FileLabels { tallies, texts: of_files, csv, lines } =
            FileLabels::of(settings, folders, &list)?;
        let mut labels = Labels::new(tallies, None, Numbering::Classes)?;
        labels.lines = lines;
        let mut texts = transcripts::read(&list.transcripts)?;
        let place = |path: &PathBuf| {
            let folder = folders.iter().find(|folder| path.starts_with(folder));
            relative_name(folder.unwrap_or(&settings.root), path)
        };
        let others = list.others.iter().filter(|path| !csv.contains(path)).map(place);
        let mut passed_over = passed_over::by_kind(others, list.broken.iter().map(place));
        let entry = |(file, labels): (FoundFile, _)| Entry {
            text: texts.remove(&file.path.with_extension("")),
            path: file.path,
            name: file.place,
            labels,
        };
        let files: Vec<Entry> = list.files.into_iter().zip(of_files).map(entry).collect();
        let beside =
            |role, path: &PathBuf| ContentFile { role, place: place(path), path: path.clone() };
        let data = |Entry { path, name, .. }: &Entry| {
            let (place, path) = (name.clone(), path.clone());
            ContentFile { role: Role::Data, place, path }
        };
        let mut all: Vec<ContentFile> = files.iter().map(data).collect();
        all.extend(csv.iter().map(|path| beside(Role::Labels, path)));
        all.extend(list.transcripts.iter().map(|path| beside(Role::Transcripts, path)));
        all.extend(alignments.iter().flat_map(Alignments::files));
        let content = Content { made: json!({ "kind": "folder" }), files: all };
        passed_over.extend(transcripts::of_no_file(texts));
        Ok(Self { medium: settings.medium, files, labels, alignments, passed_over, content })
    }

    fn entry(&self, row: usize) -> Result<&Entry> {
        self.files.get(row).ok_or_else(|| no_such_row(row, self.files.len()))
    }

    fn sample(&self, row: usize, entry: &Entry, media: Media, remarks: Remarks) -> Result<Sample> {
        let frames = self.alignments.as_ref().and_then(|it| it.find(&entry.path));
        let no_class = |NoClass| Error::failed(format!("`{}` has no class", entry.path.display()));
        let texts = self.labels.columns.iter().zip(&entry.labels);
        let mut classes = texts.map(|(label, text)| {
            label.classes.of_text(text.as_deref().unwrap_or_default()).map_err(no_class)
        });
        Ok(Sample {
            id: row as i64,
            source: entry.name.clone(),
            label: classes.next().transpose()?.flatten(),
            further: classes.collect::<Result<_>>()?,
            frames: frames.map(|it| it.1.clone()),
            text: entry.text.clone(),
            media,
            remarks,
        })
    }
}

impl Classified for Folder {
    fn labels(&mut self) -> &mut Labels {
        &mut self.labels
    }

    fn aligned(&self) -> Result<Option<Aligned<'_>>> {
        let Some(alignments) = &self.alignments else { return Ok(None) };
        let mut aligned = Aligned::new(alignments);
        for Entry { path, .. } in &self.files {
            aligned.add(path, format!("`{}`", path.display()));
        }
        Ok(Some(aligned))
    }
}

impl Source for Folder {
    fn rows(&self) -> usize {
        self.files.len()
    }

    fn label_names(&self) -> Option<&[String]> {
        self.labels.names()
    }

    fn further_labels(&self) -> &[LabelSet] {
        self.labels.further()
    }

    fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    fn content(&self) -> Content {
        let mut content = self.content.clone();
        content.made["classes"] = self.labels.made();
        content
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        let Some(Entry { path, .. }) = self.files.first() else { return Ok(None) };
        let size = (encoding::of(self.medium).size_of_file)(path);
        size.map_err(|error| Error::io("read the image", path, error))
    }

    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        let encoding = encoding::of(self.medium);
        if !encoding.lasts {
            return Err(no_length());
        }
        let length = |&row: &usize| {
            let path = &self.entry(row)?.path;
            let length = (encoding.length_of_file)(path);
            length.map_err(|error| Error::io("read the sound", path, error))
        };
        rows.par_iter().map(length).collect()
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        rows.par_iter()
            .map(|&row| {
                let entry = self.entry(row)?;
                match (encoding::of(self.medium).read)(&entry.path)? {
                    Ok((media, remarks, room)) => {
                        let kept = keep(self.sample(row, entry, media, remarks)?).map(Ok);
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
