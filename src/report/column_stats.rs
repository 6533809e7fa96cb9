//! Statistics of a column's values: exact ones from the manifest where it has them, the others from a sample of
//! the rows.

use gimlet_store::{Column, DType, Generation, Reader, Statistics};
use rayon::prelude::*;
use serde::Serialize;

use crate::{Error, Kind, Result};

/// The most rows that are read, and the most values.
const ROWS: u64 = 4096;
const VALUES: u64 = 40_000_000;

/// Values per parallel task.
const CHUNK: usize = 1 << 20;

/// Bins of a histogram.
const BINS: usize = 48;

/// Size and statistics of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnStats {
    /// Bytes on disk.
    pub stored_bytes: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Exact statistics of all values.
    #[serde(skip)]
    pub exact: Statistics,
    /// Rows that were read for the fields below, evenly spread.
    pub rows_read: u64,
    /// The histogram of the values.
    pub histogram: Histogram,
    /// One entry per channel; empty where the column has no channels.
    pub channels: Vec<ChannelStats>,
}

/// Counts of values in bins of equal width.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// Where the first bin begins.
    pub from: f64,
    /// Where the last bin ends.
    pub to: f64,
    /// The number of values in each bin.
    pub counts: Vec<u64>,
}

/// Statistics of one channel over the rows that were read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChannelStats {
    /// The mean of its values.
    pub mean: f64,
    /// The population's standard deviation: divided by the number of values.
    pub std: f64,
    /// The smallest of its values.
    pub min: f32,
    /// The largest of its values.
    pub max: f32,
    /// The share that is zero, 0 to 1.
    pub zero_fraction: f64,
}

impl ChannelStats {
    /// Whether the channel carries no information: it is never above zero, so ReLU removes it, or it is
    /// constant.
    pub fn is_dead(&self) -> bool {
        self.max <= 0.0 || self.min == self.max
    }
}

impl Histogram {
    /// An empty histogram for values from `least` to `most`. For bytes, the bins hold whole numbers of byte
    /// values.
    pub fn over(dtype: DType, least: f32, most: f32) -> Self {
        let (from, to) = match (dtype, f64::from(least), f64::from(most)) {
            (DType::U8, ..) => (0.0, 256.0),
            (_, least, most) if least < most => (least, most),
            (_, value, _) => (value - 0.5, value + 0.5),
        };
        // 256 is not a multiple of 48.
        let bins = if dtype == DType::U8 { 32 } else { BINS };
        Self { from, to, counts: vec![0; bins] }
    }

    /// The width of a bin.
    pub fn width(&self) -> f64 {
        (self.to - self.from) / self.counts.len().max(1) as f64
    }

    fn add(&mut self, values: &[f32]) {
        let (from, last) = (self.from, self.counts.len().saturating_sub(1));
        let scale = 1.0 / self.width();
        for value in values {
            // Values outside the range, which the manifest rules out, count in the outer bins.
            let place = ((f64::from(*value) - from) * scale) as usize;
            if let Some(count) = self.counts.get_mut(place.min(last)) {
                *count += 1;
            }
        }
    }

    /// The middle of each bin, and the share of the values in it.
    pub fn shares(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let all = self.counts.iter().sum::<u64>().max(1) as f64;
        let middle = |place: usize| self.from + (place as f64 + 0.5) * self.width();
        self.counts.iter().enumerate().map(move |(at, count)| (middle(at), *count as f64 / all))
    }
}

/// Sums from which the channels' statistics are computed.
#[derive(Clone)]
struct Sums {
    histogram: Histogram,
    /// Sum, sum of squares and zeros of each channel.
    sums: Vec<[f64; 3]>,
    ends: Vec<(f32, f32)>,
}

impl Sums {
    fn none(histogram: Histogram, channels: usize) -> Self {
        let ends = vec![(f32::INFINITY, f32::NEG_INFINITY); channels];
        Self { histogram, sums: vec![[0.0; 3]; channels], ends }
    }

    fn add(&mut self, values: &[f32]) {
        self.histogram.add(values);
        if self.sums.is_empty() {
            return;
        }
        for vector in values.chunks_exact(self.sums.len()) {
            for ((sums, ends), value) in self.sums.iter_mut().zip(&mut self.ends).zip(vector) {
                let wide = f64::from(*value);
                sums[0] += wide;
                sums[1] += wide * wide;
                sums[2] += f64::from(u8::from(*value == 0.0));
                *ends = (ends.0.min(*value), ends.1.max(*value));
            }
        }
    }

    fn join(mut self, other: &Self) -> Self {
        let counts = self.histogram.counts.iter_mut().zip(&other.histogram.counts);
        counts.for_each(|(count, more)| *count += more);
        for (sums, more) in self.sums.iter_mut().zip(&other.sums) {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        for (ends, more) in self.ends.iter_mut().zip(&other.ends) {
            *ends = (ends.0.min(more.0), ends.1.max(more.1));
        }
        self
    }
}

/// Picks `count` of `all` rows, evenly spread from the first on.
pub fn evenly(all: u64, count: u64) -> Vec<u64> {
    let count = count.min(all);
    // `u128` holds any product.
    let place = |index: u64| (u128::from(index) * u128::from(all) / u128::from(count)) as u64;
    (0..count).map(place).collect()
}

impl ColumnStats {
    /// Computes the statistics of a column. `range` is the range of the histogram, so that several can be
    /// compared; by default it is the column's own. `check` is called now and then and ends the work with its
    /// error.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when the column does not exist; when a row cannot be read; the errors of `check`.
    pub fn of(
        generation: &Generation,
        name: &str,
        range: Option<(f32, f32)>,
        check: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<Self> {
        let manifest = generation.manifest();
        let found = manifest.schema.column(name).zip(manifest.statistics.get(name));
        let (column, exact) = found.ok_or_else(|| {
            let at = generation.dir();
            Error::new(Kind::NotReady, format!("`{}` has no column `{name}`", at))
        })?;
        let reader = generation.reader(&[name])?;
        let (least, most) = range.unwrap_or((exact.min, exact.max));
        let none = Sums::none(Histogram::over(column.dtype, least, most), channels(column));
        let count = ROWS.min(VALUES / column.values().max(1) as u64).max(1);
        let rows = evenly(reader.rows(), count);
        let sums = read(&reader, column, &rows, &none, check)?;
        let per_channel = (rows.len() * column.values()) as f64 / none.sums.len().max(1) as f64;
        let of_channel = |([sum, squares, zeros], (min, max)): (&[f64; 3], &(f32, f32))| {
            let mean = sum / per_channel;
            ChannelStats {
                mean,
                std: (squares / per_channel - mean * mean).max(0.0).sqrt(),
                min: *min,
                max: *max,
                zero_fraction: zeros / per_channel,
            }
        };
        Ok(Self {
            stored_bytes: reader.stored_bytes(name)?,
            raw_bytes: generation.rows().saturating_mul(column.row_bytes() as u64),
            exact: *exact,
            rows_read: rows.len() as u64,
            channels: sums.sums.iter().zip(&sums.ends).map(of_channel).collect(),
            histogram: sums.histogram,
        })
    }

    /// Bytes on disk per byte before compression.
    pub fn ratio(&self) -> f64 {
        self.stored_bytes as f64 / self.raw_bytes.max(1) as f64
    }

    /// The channels that are dead, in order.
    pub fn dead(&self) -> Vec<usize> {
        let dead = self.channels.iter().enumerate().filter(|(_, it)| it.is_dead());
        dead.map(|(channel, _)| channel).collect()
    }

    /// The `count` channels whose values vary most, the widest first.
    pub fn widest(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.channels.len()).collect();
        order.sort_by(|a, b| self.channels[*b].std.total_cmp(&self.channels[*a].std));
        order.truncate(count);
        order
    }
}

/// The number of channels of a column; 0 where it has none.
fn channels(column: &Column) -> usize {
    let named = column.dims.last().is_some_and(|it| it == "channel");
    column.shape.last().filter(|_| named).copied().unwrap_or(0)
}

fn read(
    reader: &Reader,
    column: &Column,
    rows: &[u64],
    none: &Sums,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Sums> {
    let at_once = (CHUNK / column.values().max(1)).max(1);
    let chunks = rows.par_chunks(at_once).map(|rows| {
        check()?;
        let mut values = vec![0.0; rows.len() * column.values()];
        reader.read_f32(&column.name, rows, &mut values)?;
        let mut sums = none.clone();
        sums.add(&values);
        Ok(sums)
    });
    // Joined in order, so that sums do not depend on the number of threads.
    let chunks = chunks.collect::<Result<Vec<Sums>>>()?;
    Ok(chunks.iter().fold(none.clone(), Sums::join))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_evenly() {
        assert_eq!(evenly(10, 5), [0, 2, 4, 6, 8]);
        assert_eq!(evenly(3, 5), [0, 1, 2]);
        assert_eq!(evenly(0, 5), [0u64; 0]);
        assert_eq!(evenly(u64::MAX, 2)[1], u64::MAX / 2);
    }

    #[test]
    fn every_value_is_counted_once() {
        let mut histogram = Histogram::over(DType::F32, -1.0, 2.0);
        histogram.add(&[-1.0, 2.0, 0.0, 1.99, -7.0, 9.0, f32::NAN]);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 7);
        assert_eq!((histogram.counts[0], histogram.counts[BINS - 1]), (3, 3));
        assert_eq!(histogram.counts[16], 1, "zero is a third of the way");
        let total: f64 = histogram.shares().map(|it| it.1).sum();
        assert!((total - 1.0).abs() < 1e-12);
        let mut bytes = Histogram::over(DType::U8, 3.0, 4.0);
        bytes.add(&[0.0, 7.0, 8.0, 255.0]);
        assert_eq!((bytes.counts[0], bytes.counts[1], bytes.counts[31]), (2, 1, 1));
        let mut same = Histogram::over(DType::F32, 0.0, 0.0);
        same.add(&[0.0; 4]);
        assert_eq!(same.counts.iter().sum::<u64>(), 4);
    }
}
