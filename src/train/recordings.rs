//! The input of the first module for sound: windows of ingested recordings.

use gimlet_store::{Generation, Keys, Reader};

use super::input::{Input, Layout, Look};
use crate::pipeline::Split;
use crate::pipeline::settings::{Normalise, SoundView};
use crate::view::{self, Framing};
use crate::{Error, Kind, Result};

/// The column of a dataset that holds ingested recordings, `[samples]`.
pub const SOUND: &str = "sound";
/// The column of a dataset that holds a label per hop, `[hops]`, if it has these labels.
pub const FRAMES: &str = "frames";
/// The attribute with a recording's own length in samples; silence follows.
pub const SAMPLES: &str = "samples";

/// Ingested recordings, cut into windows as they are read.
pub struct Recordings {
    reader: Reader,
    keys: Keys,
    /// The length of each recording, in samples.
    samples: Vec<usize>,
    /// Samples per row.
    longest: usize,
    view: SoundView,
    normalise: Normalise,
    split: Split,
    seed: u64,
    /// The number of frozen views per recording that earlier generations have used.
    views_before: u64,
}

impl Recordings {
    /// The recordings of a split as `view` sees them. Windows are drawn from the pipeline's `seed`.
    ///
    /// # Errors
    /// When the dataset cannot be read, or does not hold recordings.
    pub fn new(
        generation: &Generation,
        view: &SoundView,
        normalise: Normalise,
        split: Split,
        seed: u64,
    ) -> Result<Self> {
        let schema = &generation.manifest().schema;
        let column = schema.column(SOUND).map(|column| column.shape.as_slice());
        let place = schema.attributes.iter().position(|name| name == SAMPLES);
        let (Some([longest]), Some(place)) = (column, place) else {
            let at = generation.dir().to_string();
            return Err(Error::new(Kind::Damaged, format!("`{at}` holds no recordings")));
        };
        let longest = *longest;
        let reader = generation.reader(&[SOUND])?;
        let keys = reader.keys()?;
        let samples = keys.attributes[place].iter().map(|it| (*it).max(0) as usize);
        let samples = samples.map(|it| it.min(longest)).collect();
        let view = view.clone();
        let views_before = 0;
        Ok(Self { reader, keys, samples, longest, view, normalise, split, seed, views_before })
    }

    /// Skips the first `views_before` frozen views, which earlier generations have used.
    #[must_use]
    pub fn views_after(self, views_before: u64) -> Self {
        Self { views_before, ..self }
    }

    /// The recording of a row, and where its window starts.
    fn place(&self, row: u64, look: Look) -> (usize, usize) {
        let count = self.samples.len() as u64;
        let recording = (row % count) as usize;
        let framing = match look {
            Look::Frozen => Framing::frozen(self.split, self.seed, self.views_before + row / count),
            Look::Fresh { epoch } => Framing::fresh(self.seed, epoch),
        };
        let mut draws = framing.draws(self.keys.ids[recording]);
        let samples = self.samples[recording];
        (recording, view::window_start(&self.view, samples, draws.as_mut()))
    }

    fn recordings(&self, rows: &[u64]) -> Vec<u64> {
        rows.iter().map(|row| row % self.samples.len() as u64).collect()
    }
}

impl Input for Recordings {
    fn layout(&self) -> Layout {
        Layout {
            samples: self.samples.len(),
            views: self.split.views(self.view.views),
            shape: [1, 1, self.view.window, 1],
        }
    }

    fn keys(&self) -> Result<Keys> {
        let (views, count) = (self.layout().views, self.samples.len() as u64);
        let rows = 0..self.rows() as u64;
        let view = rows.clone().map(|row| (self.views_before + row / count) as i64).collect();
        let start = rows.map(|row| self.place(row, Look::Frozen).1 as i64).collect();
        Ok(Keys {
            ids: self.keys.ids.repeat(views),
            labels: self.keys.labels.repeat(views),
            sources: None,
            attributes: vec![view, start],
        })
    }

    fn will_need(&self, rows: &[u64], _look: Look) -> Result<()> {
        Ok(self.reader.will_need(SOUND, &self.recordings(rows))?)
    }

    fn read(&self, rows: &[u64], look: Look, out: &mut [f32]) -> Result<()> {
        // One recording at a time: a batch of long recordings would be much larger than its windows.
        let mut recording = vec![0.0; self.longest];
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(self.view.window)) {
            let (place, start) = self.place(*row, look);
            self.reader.read_f32(SOUND, &[place as u64], &mut recording)?;
            view::window(&recording[..self.samples[place]], start, self.normalise, out);
        }
        Ok(())
    }
}
