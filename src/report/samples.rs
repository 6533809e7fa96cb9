//! The samples of a split, to look at: what they are called, their pixels and their sound.

use gimlet_store::{Keys, Reader};
use image::DynamicImage;

use super::seen::Seen;
use crate::pipeline::{Split, View};
use crate::stage::Step;
use crate::train::input::IMAGE;
use crate::train::recordings::{SAMPLES, SOUND};
use crate::view::Pixels;
use crate::{Error, Kind, Result};

/// The ingested samples of a split.
pub struct Samples {
    split: Split,
    reader: Reader,
    keys: Keys,
    names: Vec<String>,
    medium: Medium,
}

/// What samples are.
enum Medium {
    /// `[height, width, channels]`.
    Images([usize; 3]),
    /// Of each recording, its samples; silence follows to so many.
    Sound { samples: Vec<usize>, longest: usize, rate: u32 },
}

impl Samples {
    /// Those of a run.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when nothing is ingested; when it cannot be read.
    pub fn open(seen: &Seen<'_>, split: Split) -> Result<Self> {
        let Some(generation) = seen.ingested(split)? else {
            let what = format!("there are no {} samples to show", split.name());
            return Err(seen.missing(what, Step::Ingest).into_error());
        };
        let schema = &generation.manifest().schema;
        let names = schema.label_names.clone().unwrap_or_default();
        let column = seen.sample_column();
        let shape = schema.column(column).map(|it| it.shape.clone()).unwrap_or_default();
        let reader = generation.reader(&[column])?;
        let keys = reader.keys()?;
        let own = schema.attributes.iter().position(|it| it == SAMPLES);
        let medium = match (&seen.pipeline.view, shape.as_slice(), own) {
            (View::Images(_), [height, width, channels], _) => {
                Medium::Images([*height, *width, *channels])
            }
            (View::Sound(view), [longest], Some(own)) => {
                let own = keys.attributes.get(own).into_iter().flatten();
                let samples = own.map(|it| (*it).max(0) as usize).map(|it| it.min(*longest));
                Medium::Sound { samples: samples.collect(), longest: *longest, rate: view.rate }
            }
            _ => {
                let at = generation.dir().to_string();
                return Err(Error::new(Kind::Damaged, format!("`{at}` holds no `{column}`")));
            }
        };
        Ok(Self { split, reader, keys, names, medium })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.reader.rows()
    }

    /// Which split they are of.
    pub fn split(&self) -> Split {
        self.split
    }

    /// The id of the sample in a row.
    pub fn id(&self, row: u64) -> i64 {
        self.keys.ids.get(row as usize).copied().unwrap_or_default()
    }

    /// The label of the sample in a row, if it has one.
    pub fn label(&self, row: u64) -> Option<i64> {
        self.keys.labels.get(row as usize).copied().flatten()
    }

    /// The name of the label of the sample in a row, if it has one.
    pub fn label_name(&self, row: u64) -> Option<&str> {
        let label = usize::try_from(self.label(row)?).ok()?;
        self.names.get(label).map(String::as_str)
    }

    /// Label and name as one reads them: "3 cat", "7", "-" where there is none.
    pub fn label_text(&self, row: u64) -> String {
        match (self.label(row), self.label_name(row)) {
            (Some(label), Some(name)) if label.to_string() != name => format!("{label} {name}"),
            (Some(label), _) => label.to_string(),
            (None, _) => "-".to_string(),
        }
    }

    /// The labels of the samples in these rows, in order, each once, with their names: the number where one
    /// has none.
    pub fn known_labels(&self, rows: &[u64]) -> Vec<(i64, String)> {
        let mut labels: Vec<i64> = rows.iter().filter_map(|row| self.label(*row)).collect();
        labels.sort_unstable();
        labels.dedup();
        let name = |label: i64| {
            let name = usize::try_from(label).ok().and_then(|it| self.names.get(it));
            (label, name.cloned().unwrap_or_else(|| label.to_string()))
        };
        labels.into_iter().map(name).collect()
    }

    /// The row of the sample with this id.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is none.
    pub fn find(&self, id: i64) -> Result<u64> {
        if let Some(row) = self.keys.ids.iter().position(|it| *it == id) {
            return Ok(row as u64);
        }
        let split = self.split.name();
        let message = format!("the {split} split has no sample {id}");
        let some: Vec<String> = self.keys.ids.iter().take(5).map(i64::to_string).collect();
        let hint = match some.len() {
            0 => "it has none at all".to_string(),
            _ => format!("it has {} samples, such as {}", self.keys.ids.len(), some.join(", ")),
        };
        Err(Error::new(Kind::Usage, message).hint(hint))
    }

    /// Height and width of images; `None` of recordings.
    pub fn image_size(&self) -> Option<(usize, usize)> {
        match &self.medium {
            Medium::Images([height, width, _]) => Some((*height, *width)),
            Medium::Sound { .. } => None,
        }
    }

    /// Samples a second of recordings; `None` of images.
    pub fn rate(&self) -> Option<u32> {
        match &self.medium {
            Medium::Images(_) => None,
            Medium::Sound { rate, .. } => Some(*rate),
        }
    }

    /// Samples of the recording in a row, without the silence that follows it; 0 of an image.
    pub fn length(&self, row: u64) -> usize {
        match &self.medium {
            Medium::Images(_) => 0,
            Medium::Sound { samples, .. } => samples.get(row as usize).copied().unwrap_or(0),
        }
    }

    /// The image in a row, as it was ingested.
    ///
    /// # Errors
    /// When it cannot be read, or samples are recordings.
    pub fn image(&self, row: u64) -> Result<DynamicImage> {
        let Medium::Images([height, width, channels]) = self.medium else {
            return Err(Error::failed("a recording has no pixels"));
        };
        let mut values = vec![0; height * width * channels];
        self.reader.read_u8(IMAGE, &[row], &mut values)?;
        Pixels { height, width, channels, values }.into_image()
    }

    /// The recording in a row, without the silence that follows it: values in [-1, 1].
    ///
    /// # Errors
    /// When it cannot be read, or samples are images.
    pub fn recording(&self, row: u64) -> Result<Vec<f32>> {
        let Medium::Sound { longest, .. } = self.medium else {
            return Err(Error::failed("an image has no sound"));
        };
        let mut values = vec![0.0; longest];
        self.reader.read_f32(SOUND, &[row], &mut values)?;
        values.truncate(self.length(row));
        Ok(values)
    }
}
