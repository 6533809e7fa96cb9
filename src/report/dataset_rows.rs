//! Single rows of a dataset: their keys, their values, and pictures of them.

use gimlet_store::{Column, Generation, Keys, Reader};
use serde::Serialize;
use serde_json::{Value, json};

use super::channel_maps::{ChannelMaps, image, waveform};
use super::column_stats::ChannelStats;
use super::raster::Picture;
use crate::train::input::{ACTIVATION, IMAGE, POOLED};
use crate::train::recordings::{SAMPLES, SOUND};
use crate::{Error, Kind, Result};

/// The attribute that tells the frozen views of a sample apart.
pub const VIEW: &str = "view";

/// Pixels of a waveform.
const WAVEFORM: (usize, usize) = (256, 48);

/// The fields of a row, by name, the ones people look for first.
pub type Described = Vec<(String, Value)>;

/// An open generation with its keys.
pub struct DatasetRows {
    generation: Generation,
    reader: Reader,
    /// The keys of the rows.
    pub keys: Keys,
}

/// Statistics of one column in a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The name of the column.
    pub name: String,
    /// The shape of its tensor.
    pub shape: Vec<usize>,
    /// The statistics of its values.
    #[serde(flatten)]
    pub values: ChannelStats,
}

/// What a row looks like.
#[derive(Debug, Clone, PartialEq)]
pub enum Depiction {
    /// The image itself.
    Image(Picture),
    /// The samples of a recording, without padding.
    Sound(Vec<f32>),
    /// The output of a module.
    Maps(ChannelMaps),
}

impl DatasetRows {
    /// Opens the rows of a generation, with all its columns.
    ///
    /// # Errors
    /// When the generation is damaged or was removed.
    pub fn open(generation: &Generation) -> Result<Self> {
        let columns = &generation.manifest().schema.columns;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let reader = generation.reader(&names)?;
        let keys = reader.keys()?;
        Ok(Self { generation: generation.clone(), reader, keys })
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.reader.rows()
    }

    fn columns(&self) -> &[Column] {
        &self.generation.manifest().schema.columns
    }

    /// The rows of a sample: one per view.
    pub fn of_id(&self, id: i64) -> Vec<u64> {
        let ids = self.keys.ids.iter().enumerate().filter(|(_, it)| **it == id);
        ids.map(|(position, _)| position as u64).collect()
    }

    /// The name of a row's label, if it has one.
    pub fn label_name(&self, row: u64) -> Option<&str> {
        let names = self.generation.manifest().schema.label_names.as_deref()?;
        names.get(usize::try_from(self.label(row)?).ok()?).map(String::as_str)
    }

    fn label(&self, row: u64) -> Option<i64> {
        self.keys.labels.get(row as usize).copied().flatten()
    }

    /// An attribute of a row, if the dataset has it.
    pub fn attribute(&self, row: u64, name: &str) -> Option<i64> {
        let names = &self.generation.manifest().schema.attributes;
        let place = names.iter().position(|it| it == name)?;
        self.keys.attributes.get(place)?.get(row as usize).copied()
    }

    /// Id, label with its name, source and attributes of a row, by name.
    pub fn described(&self, row: u64) -> Described {
        let mut all = Vec::new();
        let mut set = |name: &str, value: Value| all.push((name.to_string(), value));
        set("id", json!(self.keys.ids.get(row as usize)));
        set("label", json!(self.label(row)));
        set("label_name", json!(self.label_name(row)));
        if let Some(sources) = &self.keys.sources {
            set("source", json!(sources.get(row as usize)));
        }
        for name in &self.generation.manifest().schema.attributes {
            set(name, json!(self.attribute(row, name)));
        }
        all
    }

    /// The values of a column in a row.
    ///
    /// # Errors
    /// When the column or row does not exist, or cannot be read.
    pub fn values(&self, column: &Column, row: u64) -> Result<Vec<f32>> {
        let mut values = vec![0.0; column.values()];
        self.reader.read_f32(&column.name, &[row], &mut values)?;
        Ok(values)
    }

    /// The keys of a row and the first `count` values of each column.
    ///
    /// # Errors
    /// The errors of [`Self::values`].
    pub fn first_values(&self, row: u64, count: usize) -> Result<Described> {
        let mut described = self.described(row);
        for column in self.columns() {
            let mut values = self.values(column, row)?;
            values.truncate(count);
            described.push((column.name.clone(), json!(values)));
        }
        Ok(described)
    }

    /// Statistics of each column in a row.
    ///
    /// # Errors
    /// The errors of [`Self::values`].
    pub fn summaries(&self, row: u64) -> Result<Vec<Summary>> {
        let of = |column: &Column| Ok(summary(column, &self.values(column, row)?));
        self.columns().iter().map(of).collect()
    }

    /// A row as something to look at: the image or recording; the maps of its activation; or, where that is not
    /// stored, the maps of its pooled vectors. `None`: nothing in it can be drawn.
    ///
    /// # Errors
    /// The errors of [`Self::values`].
    pub fn depict(&self, row: u64) -> Result<Option<Depiction>> {
        let settings = &self.generation.manifest().settings;
        for name in [IMAGE, SOUND, ACTIVATION, POOLED] {
            let Some(column) = self.generation.manifest().schema.column(name) else { continue };
            let values = self.values(column, row)?;
            let depiction = match name {
                IMAGE => image(column, &values).map(Depiction::Image),
                SOUND => Some(Depiction::Sound(self.own_samples(row, values))),
                _ => ChannelMaps::of(column, settings, &values).map(Depiction::Maps),
            };
            if depiction.is_some() {
                return Ok(depiction);
            }
        }
        Ok(None)
    }

    /// Cuts off the silence behind a recording.
    fn own_samples(&self, row: u64, mut values: Vec<f32>) -> Vec<f32> {
        let own = self.attribute(row, SAMPLES).and_then(|it| usize::try_from(it).ok());
        values.truncate(own.unwrap_or(usize::MAX).max(1));
        values
    }

    /// The error that no dataset has a row for the sample `id`.
    pub fn no_such(id: i64, datasets: &[&Self]) -> Error {
        let ids = || datasets.iter().flat_map(|it| &it.keys.ids);
        let error = Error::new(Kind::Usage, format!("there is no sample with the id {id}"));
        match ids().min().zip(ids().max()) {
            Some((least, most)) => error.hint(format!(
                "ids lie between {least} and {most}: `gimlet inspect --rows N` shows the first N"
            )),
            None => error,
        }
    }
}

impl Depiction {
    /// Draws everything in one picture. For a module's maps, at most `most_channels` channels are drawn, each
    /// on a scale of its own; if there are more, the ones that reach farthest.
    pub fn picture(&self, most_channels: usize) -> Picture {
        match self {
            Self::Image(image) => image.clone(),
            Self::Sound(samples) => waveform(samples, WAVEFORM.0, WAVEFORM.1),
            Self::Maps(maps) if maps.is_over_time() => {
                let largest: Vec<f32> = (0..maps.channels).map(|it| maps.reach(it)).collect();
                maps.strip(&largest)
            }
            Self::Maps(maps) => {
                let tiles: Vec<Picture> = (self.channels(most_channels).into_iter())
                    .map(|channel| maps.picture(channel, maps.reach(channel)))
                    .collect();
                let columns = (tiles.len() as f64).sqrt().ceil() as usize;
                Picture::tiled(&tiles, columns, 1)
            }
        }
    }

    /// The channels that [`Self::picture`] shows, in its order.
    pub fn channels(&self, most: usize) -> Vec<usize> {
        let Self::Maps(maps) = self else { return vec![] };
        let mut all: Vec<usize> = (0..maps.channels).collect();
        if all.len() > most && !maps.is_over_time() {
            all.sort_by(|a, b| maps.reach(*b).total_cmp(&maps.reach(*a)));
            all.truncate(most);
            all.sort_unstable();
        }
        all
    }
}

fn summary(column: &Column, values: &[f32]) -> Summary {
    let count = values.len().max(1) as f64;
    let sum = |of: &dyn Fn(f64) -> f64| values.iter().map(|it| of(f64::from(*it))).sum::<f64>();
    let mean = sum(&|it| it) / count;
    let values = ChannelStats {
        mean,
        std: (sum(&|it| (it - mean) * (it - mean)) / count).sqrt(),
        min: values.iter().copied().fold(f32::INFINITY, f32::min),
        max: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        zero_fraction: values.iter().filter(|it| **it == 0.0).count() as f64 / count,
    };
    Summary { name: column.name.clone(), shape: column.shape.clone(), values }
}
