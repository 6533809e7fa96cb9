//! The samples of a split, for the report: their names, pixels, sound and activations.

use gimlet_store::{Keys, Reader};
use image::DynamicImage;

use super::activation_places;
use super::run_view::RunView;
use super::shown::{self, Words};
use crate::pipeline::{SampleSize, Split};
use crate::sample::Pixels;
use crate::stage::Step;
use crate::train::activation_rows::ActivationRows;
use crate::train::input::IMAGE;
use crate::train::recordings::{SAMPLES, SOUND};
use crate::{Error, Kind, Result, media};

/// The ingested samples of a split.
pub struct Samples {
    /// The split of the samples.
    pub split: Split,
    reader: Reader,
    keys: Keys,
    names: Vec<String>,
    /// The shape of a row: `[height, width, channels]` for images, `[samples]` for recordings; empty for activations.
    shape: Vec<usize>,
    /// The size of a sample.
    pub size: SampleSize,
    /// The rows, if they are activations.
    activations: Option<ActivationRows>,
    /// The length of each recording in samples, without the silence that follows. Empty for images.
    lengths: Vec<usize>,
    /// The rate of recordings, in samples per second; `None` for images.
    pub rate: Option<u32>,
    /// The words for parts of the samples.
    pub words: &'static Words,
}

impl Samples {
    /// Opens the ingested samples of a run.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when nothing is ingested; when the samples cannot be read.
    pub fn open(run: &RunView<'_>, split: Split) -> Result<Self> {
        let Some(generation) = run.ingested(split)? else {
            let what = format!("there are no {} samples to show", split.name());
            return Err(run.missing(what, Step::Ingest).into_error());
        };
        let schema = &generation.manifest().schema;
        let names = schema.label_names.clone().unwrap_or_default();
        let handler = media::of(&run.pipeline.view);
        let (column, size) = (handler.column(), handler.size_in(&generation)?);
        let (shape, reader, activations) = if size.cell.is_some() {
            let source = &run.pipeline.data.source;
            let rows = ActivationRows::open(&generation, source, split)?;
            (Vec::new(), generation.reader(&[])?, Some(rows))
        } else if let Some(it) = schema.column(column) {
            (it.shape.clone(), generation.reader(&[column])?, None)
        } else {
            let at = generation.dir().to_string();
            return Err(Error::new(Kind::Damaged, format!("`{at}` holds no `{column}`")));
        };
        let keys = reader.keys()?;
        let own = schema.attributes.iter().position(|it| it == SAMPLES);
        let lengths = own.and_then(|it| keys.attributes.get(it)).into_iter().flatten();
        let most = shape.first().copied().unwrap_or(0);
        let lengths = lengths.map(|it| ((*it).max(0) as usize).min(most)).collect();
        let rate = run.pipeline.view.settings().rate();
        let words = shown::words(&run.pipeline.view);
        Ok(Self { split, reader, keys, names, shape, size, activations, lengths, rate, words })
    }

    /// The number of samples.
    pub fn count(&self) -> u64 {
        self.reader.rows()
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
        self.name_of(self.label(row)?)
    }

    fn name_of(&self, label: i64) -> Option<&str> {
        self.names.get(usize::try_from(label).ok()?).map(String::as_str)
    }

    /// Label and name as text: "3 cat"; "7" for a label without a name; "-" for no label.
    pub fn label_text(&self, row: u64) -> String {
        match (self.label(row), self.label_name(row)) {
            (Some(label), Some(name)) if label.to_string() != name => format!("{label} {name}"),
            (Some(label), _) => label.to_string(),
            (None, _) => "-".to_string(),
        }
    }

    /// The labels of the samples in `rows`, in order, each once, with their names; a label without a name has
    /// its number.
    pub fn known_labels(&self, rows: &[u64]) -> Vec<(i64, String)> {
        let mut labels: Vec<i64> = rows.iter().filter_map(|row| self.label(*row)).collect();
        labels.sort_unstable();
        labels.dedup();
        let name = |it: i64| self.name_of(it).map_or_else(|| it.to_string(), str::to_string);
        labels.into_iter().map(|it| (it, name(it))).collect()
    }

    /// The row of the sample with this id.
    ///
    /// # Errors
    /// [`Kind::Usage`] when no sample has it.
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

    /// Height and width of images, and of the pictures of activations; `None` for recordings.
    pub fn image_size(&self) -> Option<(usize, usize)> {
        match self.shape[..] {
            [height, width, _] => Some((height, width)),
            [] => Some(activation_places::picture_size(self.size)),
            _ => None,
        }
    }

    /// The length of the recording in a row, in samples, without the silence that follows it; 0 for an image.
    pub fn length(&self, row: u64) -> usize {
        self.lengths.get(row as usize).copied().unwrap_or(0)
    }

    /// The image in a row, as it was ingested; a picture of activations.
    ///
    /// # Errors
    /// When it cannot be read, or the samples are recordings.
    pub fn image(&self, row: u64) -> Result<DynamicImage> {
        if let Some(rows) = &self.activations {
            let mut values = vec![0.0; rows.shape.iter().product()];
            rows.read(&[row], &mut values)?;
            return activation_places::picture(self.size, &values);
        }
        let [height, width, channels] = self.shape[..] else {
            return Err(Error::failed("a recording has no pixels"));
        };
        let mut values = vec![0; height * width * channels];
        self.reader.read_u8(IMAGE, &[row], &mut values)?;
        Pixels { height, width, channels, values }.into_image()
    }

    /// The recording in a row, without the silence that follows it: values in [-1, 1].
    ///
    /// # Errors
    /// When it cannot be read, or the samples are images.
    pub fn recording(&self, row: u64) -> Result<Vec<f32>> {
        let [longest] = self.shape[..] else {
            return Err(Error::failed("an image has no sound"));
        };
        let mut values = vec![0.0; longest];
        self.reader.read_f32(SOUND, &[row], &mut values)?;
        values.truncate(self.length(row));
        Ok(values)
    }
}
