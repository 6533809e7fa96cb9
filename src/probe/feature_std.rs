//! Standard deviations of a representation's channels, and the share of dead channels.

/// A channel is dead if its standard deviation is at most this share of the largest channel's.
const DEAD: f64 = 1e-3;

/// A summary of the channels' standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviations {
    /// The mean over channels of the standard deviation of the vectors divided by their lengths, times
    /// sqrt(channels). It is at most 1, if directions are spread evenly about 0, and 0 if all have collapsed to
    /// one (Chen & He 2021, "Exploring Simple Siamese Representation Learning", section 4.1).
    pub feature_std: f64,
    /// The share of channels whose standard deviation, over the unscaled vectors, is at most a thousandth of
    /// the largest channel's; 1 if that is 0.
    pub dead_share: f64,
}

/// The deviations of `vectors`, `[rows, channels]`; `None` without a row or a channel.
pub fn deviations(vectors: &[f32], channels: usize) -> Option<Deviations> {
    if channels == 0 || vectors.len() < channels {
        return None;
    }
    let raw = standard_deviations(vectors, channels, |_| 1.0);
    let unit = standard_deviations(vectors, channels, |vector| {
        let squares: f64 = vector.iter().map(|it| f64::from(*it).powi(2)).sum();
        if squares > 0.0 { squares.sqrt().recip() } else { 0.0 }
    });
    let largest = raw.iter().copied().fold(0.0, f64::max);
    let dead = raw.iter().filter(|it| **it <= DEAD * largest).count();
    let mean = unit.iter().sum::<f64>() / channels as f64;
    Some(Deviations {
        feature_std: mean * (channels as f64).sqrt(),
        dead_share: dead as f64 / channels as f64,
    })
}

/// The standard deviation of each channel over the vectors, each multiplied by its factor from `scale`.
pub fn standard_deviations(
    vectors: &[f32],
    channels: usize,
    scale: impl Fn(&[f32]) -> f64,
) -> Vec<f64> {
    let count = (vectors.len() / channels.max(1)).max(1) as f64;
    let mut mean = vec![0.0; channels];
    let mut squares = vec![0.0; channels];
    let scaled = || vectors.chunks_exact(channels.max(1)).map(|it| (it, scale(it)));
    for (vector, scale) in scaled() {
        let values = vector.iter().map(|it| f64::from(*it) * scale);
        mean.iter_mut().zip(values).for_each(|(mean, it)| *mean += it / count);
    }
    for (vector, scale) in scaled() {
        for ((sum, mean), it) in squares.iter_mut().zip(&mean).zip(vector) {
            *sum += (f64::from(*it) * scale - mean).powi(2) / count;
        }
    }
    // What rounding leaves of a constant does not count as deviation.
    let rounding = |mean: &f64| (mean.abs() * 1e-12).powi(2);
    let all = squares.iter().zip(&mean);
    all.map(|(square, mean)| if *square > rounding(mean) { square.sqrt() } else { 0.0 }).collect()
}
