//! Writes a pipeline for data that it looks at: `gimlet init`.
//!
//! [`place`] finds the splits, [`seen`] looks at some samples and at the labels, [`images`] and [`sound`] choose how
//! they are seen and which modules learn from them, [`fit`] how much of it fits time, memory and disk, and [`mod@file`]
//! writes that down with the reasons. [`recipe`] copies a pipeline of this repository instead.

pub mod file;
pub mod fit;
pub mod images;
pub mod place;
pub mod recipe;
pub mod seen;
pub mod sound;

use std::path::{Path, PathBuf};

use serde::Serialize;

use self::file::{Draft, Said, ViewChosen};
use self::fit::{Fit, Takes};
use self::place::Place;
use self::seen::{SamplesSeen, Seen};
use crate::pipeline::{PerSplit, SampleSize};
use crate::source::look::LabelFound;
use crate::{Error, Kind, Result};

/// Channels of the first module, of images and of sound: the first that leaves time for some epochs is taken.
const IMAGE_WIDTHS: &[usize] = &[32, 16, 8];
const SOUND_WIDTHS: &[usize] = &[64, 32, 16];

/// What a pipeline is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// A folder with data, or files of one folder.
    pub paths: Vec<PathBuf>,
    /// The test split, if it is known.
    pub test: Option<PathBuf>,
    /// The name of the pipeline; by default that of the data.
    pub name: Option<String>,
    /// The file to write; by default the name with `.toml`, in the current folder.
    pub file: Option<PathBuf>,
    /// Minutes that a run may take, as `gimlet plan` estimates it.
    pub minutes: f64,
}

impl Wish {
    /// The name of the pipeline, and the file to write.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is nothing at a path, or the data have no name.
    pub fn target(&self) -> Result<(String, PathBuf)> {
        place::check_there(&self.paths, self.test.as_deref())?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&self.paths)?,
        };
        let file = self.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
        Ok((name, file))
    }
}

/// A pipeline file, and what was seen and chosen.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// The name of the pipeline.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Its content.
    #[serde(skip)]
    pub text: String,
    /// What was seen, for people.
    #[serde(skip)]
    pub seen_lines: Vec<Said>,
    /// What was chosen, for people.
    #[serde(skip)]
    pub chosen_lines: Vec<Said>,
    /// Samples of each split.
    pub rows: PerSplit<u64>,
    /// Labels that probes read.
    pub labels: Vec<LabelFound>,
    /// What was seen of the samples.
    pub samples: SamplesSeen,
    /// How they are seen by modules.
    pub view: ViewChosen,
    /// What fits.
    pub fit: Fit,
    /// What a run takes.
    pub takes: Takes,
    /// What is to be kept in mind.
    pub notes: Vec<String>,
}

/// Looks at data, and writes a pipeline for them as text.
///
/// # Errors
/// When there are no data at the paths, they cannot be read, or they are too few.
pub fn init(wish: &Wish) -> Result<Written> {
    let (name, file) = wish.target()?;
    let place = Place::find(&wish.paths, wish.test.as_deref())?;
    let seen = Seen::of(place)?;
    let (view, size, widths) = match &seen.samples {
        SamplesSeen::Images(images) => {
            let chosen = images.choose();
            let size = SampleSize::square(chosen.resize);
            (ViewChosen::Images(chosen), size, IMAGE_WIDTHS)
        }
        SamplesSeen::Sounds(sounds) => {
            let chosen = sounds.choose(seen.rows.train);
            let longest = (sounds.longest * f64::from(chosen.rate)).ceil() as usize;
            let size = SampleSize::of_sound(longest.min(chosen.clip.unwrap_or(usize::MAX)).max(1));
            (ViewChosen::Sounds(chosen), size, SOUND_WIDTHS)
        }
    };
    let draft = Draft { seen: &seen, view: &view, name: &name, file: &file };
    let text = |fit: &Fit| draft.text(fit, None);
    let (fit, takes) = Fit::of(&text, seen.rows, size, widths, 60.0 * wish.minutes)?;
    let text = draft.text(&fit, Some(&takes));
    let (seen_lines, chosen_lines) = (draft.seen_lines(), draft.chosen_lines(&fit, &takes));
    let notes = draft.notes(&fit);
    Ok(Written {
        text,
        seen_lines,
        chosen_lines,
        notes,
        rows: seen.rows,
        labels: seen.labels.clone(),
        samples: seen.samples.clone(),
        view: view.clone(),
        fit,
        takes,
        name,
        file,
    })
}

/// The name of a pipeline for data: that of their folder or file, with `-` for what no name may have.
fn name_of(paths: &[PathBuf]) -> Result<String> {
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let whole = first.canonicalize().map_err(|error| Error::io("find", first, error))?;
    let named = match (paths.len() > 1, whole.parent()) {
        (true, Some(folder)) => folder.file_name(),
        _ => whole.file_stem().filter(|_| whole.is_file()).or(whole.file_name()),
    };
    let name = named.map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    match name.is_empty() {
        false => Ok(name),
        true => Err(Error::new(Kind::Usage, "the data have no name for the pipeline")
            .hint("give it one: `--name NAME`")),
    }
}

/// At most `most` of `rows` rows, evenly spaced.
fn evenly(rows: usize, most: usize) -> Vec<usize> {
    let taken = rows.min(most);
    (0..taken).map(|it| it * rows / taken).collect()
}
