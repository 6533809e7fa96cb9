//! The input of the first module for activations that were made elsewhere: copied at ingest, or read where they lie.

use gimlet_store::{Generation, Keys, Reader};

use super::input::{ACTIVATION, Input, Layout, Look};
use crate::pipeline::Split;
use crate::pipeline::settings::Source;
use crate::source::activations::Stored;
use crate::{Error, Kind, Result};

/// The column of an ingested dataset that holds, in place of activations, the row of the dataset that is read where it
/// lies: 8 bytes, the lowest first.
pub const PLACE: &str = "place";
/// Bytes of a place.
pub const PLACE_BYTES: usize = 8;

/// The rows of an ingested split.
pub struct ActivationRows {
    /// What was ingested.
    ingested: Reader,
    keys: Keys,
    /// The shape of a row, as it was made.
    pub shape: Vec<usize>,
    /// Where the values are, if they were not copied.
    elsewhere: Option<Elsewhere>,
}

/// Rows of a dataset of ours that are read where they lie.
struct Elsewhere {
    reader: Reader,
    column: String,
    /// The row of the dataset that each ingested row stands for.
    places: Vec<u64>,
    /// The dataset, for messages.
    name: String,
}

impl ActivationRows {
    /// Opens an ingested split of the data that `source` names.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when the dataset that is read where it lies is gone; [`Kind::Damaged`] when `ingested` holds
    /// no activations, or names rows that the dataset does not have.
    pub fn open(ingested: &Generation, source: &Source, split: Split) -> Result<Self> {
        let shape = shape_of(ingested)?;
        let copied = ingested.manifest().schema.column(ACTIVATION).is_some();
        let reader = ingested.reader(&[if copied { ACTIVATION } else { PLACE }])?;
        let keys = reader.keys()?;
        let elsewhere = match (copied, source) {
            (true, _) => None,
            (false, Source::Activations(files)) => {
                let content = ingested.manifest().settings["source"]["content"].as_str();
                let content = content.unwrap_or_default();
                let store = ingested.dir().store().clone();
                let Stored { generation, column, shape: own } =
                    Stored::ingested(&store, files, split, content)?;
                let places = places_of(&reader, generation.rows())?;
                if own != shape {
                    return Err(damaged(ingested, "has rows of another shape than its dataset"));
                }
                let name = generation.dir().folder().to_string();
                Some(Elsewhere { reader: generation.reader(&[&column])?, column, places, name })
            }
            (false, _) => {
                return Err(damaged(ingested, "names rows of a dataset that is not known"));
            }
        };
        Ok(Self { ingested: reader, keys, shape, elsewhere })
    }

    /// Ids and labels of the rows.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Reads rows one after another into `out`.
    ///
    /// # Errors
    /// When a row cannot be read, or has a value that is infinite or not a number.
    pub fn read(&self, rows: &[u64], out: &mut [f32]) -> Result<()> {
        let Some(elsewhere) = &self.elsewhere else {
            return Ok(self.ingested.read_f32(ACTIVATION, rows, out)?);
        };
        let places = elsewhere.places(rows)?;
        elsewhere.reader.read_f32(&elsewhere.column, &places, out)?;
        // Values that are copied are looked at when they are; a sum is wrong if one of its values is.
        for (values, place) in out.chunks_exact(out.len() / rows.len().max(1)).zip(&places) {
            if !values.iter().sum::<f32>().is_finite() && values.iter().any(|it| !it.is_finite()) {
                let message =
                    format!("row {place} of `{}` has a value that is not finite", elsewhere.name);
                return Err(
                    Error::failed(message).hint("write the dataset again without such rows")
                );
            }
        }
        Ok(())
    }

    fn will_need(&self, rows: &[u64]) -> Result<()> {
        match &self.elsewhere {
            None => Ok(self.ingested.will_need(ACTIVATION, rows)?),
            Some(it) => Ok(it.reader.will_need(&it.column, &it.places(rows)?)?),
        }
    }
}

impl Elsewhere {
    fn places(&self, rows: &[u64]) -> Result<Vec<u64>> {
        let place = |row: &u64| self.places.get(*row as usize).copied();
        rows.iter().map(place).collect::<Option<_>>().ok_or_else(|| {
            Error::failed(format!("a row of `{}` was asked for that is not there", self.name))
        })
    }
}

/// The shape of the rows of an ingested split, as they were made.
///
/// # Errors
/// [`Kind::Damaged`] when its key does not say it.
pub fn shape_of(ingested: &Generation) -> Result<Vec<usize>> {
    if let Some(column) = ingested.manifest().schema.column(ACTIVATION) {
        return Ok(column.shape.clone());
    }
    let sides = ingested.manifest().settings["source"]["shape"].as_array();
    let side = |it: &serde_json::Value| it.as_u64().and_then(|it| usize::try_from(it).ok());
    let shape = sides.and_then(|it| it.iter().map(side).collect::<Option<Vec<usize>>>());
    shape.ok_or_else(|| damaged(ingested, "does not say which shape its rows have"))
}

/// The rows of the dataset, of which there are `rows`, that ingested rows stand for.
fn places_of(reader: &Reader, rows: u64) -> Result<Vec<u64>> {
    let all: Vec<u64> = (0..reader.rows()).collect();
    let mut bytes = vec![0; PLACE_BYTES * all.len()];
    reader.read_u8(PLACE, &all, &mut bytes)?;
    let places: Vec<u64> =
        bytes.as_chunks::<PLACE_BYTES>().0.iter().map(|it| u64::from_le_bytes(*it)).collect();
    match places.iter().find(|it| **it >= rows) {
        None => Ok(places),
        Some(place) => {
            let message = format!("row {place} was ingested of a dataset with {rows} rows");
            Err(Error::new(Kind::Damaged, message).hint("run `gimlet ingest` again"))
        }
    }
}

fn damaged(ingested: &Generation, what: &str) -> Error {
    Error::new(Kind::Damaged, format!("`{}` {what}", ingested.dir()))
        .hint("run `gimlet ingest` again")
}

/// Rows of activations as the first module reads them.
pub struct GivenActivations {
    rows: ActivationRows,
    /// `[patches, h, w, channels]`.
    shape: [usize; 4],
}

impl GivenActivations {
    /// The rows in the shape `[patches, h, w, channels]`.
    ///
    /// # Errors
    /// When rows have another number of values.
    pub fn new(rows: ActivationRows, shape: [usize; 4]) -> Result<Self> {
        let values = |shape: &[usize]| shape.iter().product::<usize>();
        if values(&rows.shape) == values(&shape) {
            return Ok(Self { rows, shape });
        }
        Err(Error::failed(format!("rows of shape {:?} are not of shape {shape:?}", rows.shape)))
    }
}

impl Input for GivenActivations {
    fn layout(&self) -> Layout {
        Layout { samples: self.rows.keys.ids.len(), views: 1, shape: self.shape }
    }

    fn keys(&self) -> Result<Keys> {
        let Keys { ids, labels, .. } = self.rows.keys.clone();
        Ok(Keys { ids, labels, sources: None, attributes: Vec::new() })
    }

    fn will_need(&self, rows: &[u64], _look: Look) -> Result<()> {
        self.rows.will_need(rows)
    }

    fn read(&self, rows: &[u64], _look: Look, out: &mut [f32]) -> Result<()> {
        self.rows.read(rows, out)
    }
}
