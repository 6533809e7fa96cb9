use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use crate::Error;

/// The fewest samples of the lower rate in a block. With more, the filter ends closer to half of that rate.
const LEAST: usize = 1024;
/// The most samples of the higher rate in a block.
const MOST: usize = 1 << 20;

/// Converts samples to another rate. The result has `length` samples; the first is at the same time as the first input.
///
/// Both rates are in samples per second. Frequencies above half of the lower rate are filtered out. Equal samples
/// give equal bits, whatever else runs.
///
/// # Errors
/// When rubato cannot work with these rates.
pub fn resample(samples: &[f32], from: u32, rate: u32, length: usize) -> Result<Vec<f32>, Error> {
    let (from, rate) = (from as usize, rate as usize);
    let window = WindowFunction::BlackmanHarris2;
    let mut resampler =
        Fft::<f32>::new_custom(from, rate, block(from, rate), 1, 1, window, FixedSync::Both)
            .map_err(Error::of)?;
    let input = InterleavedSlice::new(samples, 1, samples.len()).map_err(Error::of)?;
    let output = resampler.process_all(&input, samples.len(), None).map_err(Error::of)?;
    let mut output = output.take_data();
    // rubato computes the length in floating point, and it may be one too long.
    output.resize(length, 0.0);
    Ok(output)
}

/// Samples of the first rate that are transformed at a time. They span a whole number of samples at the second rate.
/// Both numbers are even, since the delay that is cut off again is half a block.
fn block(from: usize, rate: usize) -> usize {
    let (mut a, mut b) = (from, rate);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    // `a` is the greatest common divisor.
    let (least, most) = ((from / a).min(rate / a), (from / a).max(rate / a));
    let pairs = LEAST.div_ceil(2 * least).min(MOST / most).max(1);
    2 * pairs * (from / a)
}
