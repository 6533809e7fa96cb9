//! What is seen of recordings, and how a pipeline is to hear them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::source::{Length, Source};
use crate::{Error, Result};

/// The most recordings whose length is looked at.
const MOST_RECORDINGS: usize = 1024;

/// The rate at which the strides of the modules are steps of 10 ms, as in the paper.
const RATE: u32 = 16_000;

/// The lowest rate that is brought to [`RATE`]: below it, recordings are no speech or music.
const LOWEST: u32 = 4_000;

/// The samples of a step, and the most and the fewest steps of a window.
const HOP: usize = 160;
const MOST_STEPS: usize = 128;
const FEWEST_STEPS: usize = 16;

/// The most bytes of all recordings in a dataset, which fills shorter ones up with silence.
const MOST_BYTES: u64 = 4_000_000_000;

/// What some recordings have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoundsSeen {
    /// The number of recordings that were looked at.
    pub looked_at: usize,
    /// The number of those whose header could not be read.
    pub broken: usize,
    /// The rates, with the number of recordings of each.
    pub rates: BTreeMap<u32, usize>,
    /// The length of the shortest in seconds.
    pub shortest: f64,
    /// The median of the lengths in seconds.
    pub median: f64,
    /// The length in seconds that nine of ten do not exceed.
    pub nine_of_ten: f64,
    /// The length of the longest in seconds.
    pub longest: f64,
}

/// How a pipeline hears recordings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoundsChosen {
    /// Samples per second.
    pub rate: u32,
    /// Samples of a window.
    pub window: usize,
    /// Samples of a step.
    pub hop: usize,
    /// Samples that are kept of a recording; all if `None`.
    pub clip: Option<usize>,
    /// Steps that each step predicts.
    pub prediction_steps: usize,
}

impl SoundsSeen {
    /// Looks at the lengths of recordings of `source`, evenly spaced.
    ///
    /// # Errors
    /// When a file cannot be read, or no header can be.
    pub fn of(source: &dyn Source) -> Result<Self> {
        let rows = super::evenly(source.rows(), MOST_RECORDINGS);
        let lengths = source.lengths(&rows)?;
        let found: Vec<Length> =
            lengths.iter().flatten().copied().filter(|it| it.rate > 0).collect();
        let mut seconds: Vec<f64> =
            found.iter().map(|it| it.samples as f64 / f64::from(it.rate)).collect();
        seconds.sort_by(f64::total_cmp);
        let (Some(shortest), Some(longest)) = (seconds.first(), seconds.last()) else {
            let message = format!("none of {} recordings can be read", rows.len());
            return Err(Error::failed(message)
                .hint("`docs/guide/data.md` lists the kinds of recordings that are read"));
        };
        let mut rates = BTreeMap::new();
        found.iter().for_each(|it| *rates.entry(it.rate).or_default() += 1);
        Ok(Self {
            looked_at: rows.len(),
            broken: rows.len() - found.len(),
            rates,
            shortest: *shortest,
            median: seconds[seconds.len() / 2],
            nine_of_ten: seconds[seconds.len() * 9 / 10],
            longest: *longest,
        })
    }

    /// The rate of most recordings.
    fn rate(&self) -> u32 {
        self.rates.iter().max_by_key(|(_, count)| **count).map_or(RATE, |(rate, _)| *rate)
    }

    /// Chooses how to hear `rows` recordings such as these.
    pub fn choose(&self, rows: u64) -> SoundsChosen {
        let own = self.rate();
        let rate = if own < LOWEST { own } else { RATE };
        let samples = |seconds: f64| (seconds * f64::from(rate)).ceil() as usize;
        let steps = samples(self.nine_of_ten).div_ceil(HOP).clamp(FEWEST_STEPS, MOST_STEPS);
        let window = steps * HOP;
        let most = (MOST_BYTES / 4 / rows.max(1)) as usize;
        let clip = (samples(self.longest) > most).then(|| most.max(window));
        SoundsChosen { rate, window, hop: HOP, clip, prediction_steps: (steps / 4).clamp(1, 12) }
    }
}

impl SoundsChosen {
    /// The tables `[view]`, `[[modules]]` and `[loss]` of a pipeline file.
    pub fn tables(&self, seen: &SoundsSeen, channels: usize) -> String {
        let Self { rate, window, hop, clip, prediction_steps } = self;
        let seconds = |samples: usize| samples as f64 / f64::from(*rate);
        let mut text = String::new();
        let of_rate = match seen.rates.keys().eq([rate]) {
            true => "Their own rate",
            false => "Recordings are brought to this rate",
        };
        let shorter = match seen.shortest < seconds(*window) {
            true => "silence follows shorter recordings (`short = \"skip\"` leaves them out)",
            false => "it begins at a random place of a recording",
        };
        let _ = writeln!(
            text,
            "# {of_rate}: {hop} samples are a step of {:.0} ms. A window has {:.2} s;\n# {shorter}. Normalised as the \
             training split is.",
            1000.0 * seconds(*hop),
            seconds(*window)
        );
        let _ = writeln!(text, "[view]\nrate = {rate}\nwindow = {window}\nhop = {hop}");
        if let Some(clip) = clip {
            let _ = writeln!(
                text,
                "# The first {:.1} s of each: a dataset has the longest recording's length for all of them.\n\
                 clip = {clip}",
                seconds(*clip)
            );
        }
        let conv = |kernel: usize, stride: usize, padding: usize| {
            format!(
                "{{ conv1d = {{ channels = {channels}, kernel = {kernel}, stride = {stride}, padding = \
                 {padding} }} }}, {{ relu = {{}} }}"
            )
        };
        let _ = writeln!(
            text,
            "\n# The paper's five strided convolutions in two modules, and a GRU that predicts from the steps so far. \
             Each trains\n# alone, on what the one before has written.\n\
             [[modules]]\nname = \"a\"\nlayers = [\n    {},\n    {},\n    {},\n]\n\n\
             [[modules]]\nname = \"b\"\nlayers = [\n    {},\n    {},\n]\n\n\
             [[modules]]\nname = \"context\"\nlayers = [{{ gru = {{ channels = {channels} }} }}]\n",
            conv(10, 5, 2),
            conv(8, 4, 2),
            conv(4, 2, 2),
            conv(4, 2, 2),
            conv(4, 2, 1),
        );
        let _ = writeln!(
            text,
            "# Each step predicts the {} after it, against ten drawn from the batch: a guess has a loss of ln 11 = \
             2.398.\n[loss.infonce1d]\nprediction_steps = {prediction_steps}\nnegatives = 10\n",
            if *prediction_steps == 1 { "one".to_owned() } else { prediction_steps.to_string() },
        );
        text
    }
}
