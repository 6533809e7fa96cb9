//! Gaussian noise on a module's input during training (Siddiqui et al. 2023, "Blockwise self-supervised
//! learning at scale").
//!
//! A row `x` becomes `x + share * rms(x) * n`, where `rms` is the root mean square of its values and `n` are
//! standard normal numbers drawn from (seed, module, epoch, row): they do not depend on the other rows of the
//! batch. The noise is added to the values that the input gives. Where relu(z) is stored, it is added to
//! relu(z), and makes some of that negative; where the boundary is recomputed, it is added to z.

use candle_core::Tensor;
use gimlet_store::Keys;

use super::input::{Input, Layout, Look};
use super::normals;
use crate::Result;
use crate::random::generator;
use gimlet_kernel::overwrite;

/// Adds noise to an input wherever it is read for an epoch of training ([`Look::Fresh`]).
pub struct Noisy {
    input: Box<dyn Input>,
    share: f32,
    seed: u64,
    purpose: String,
}

impl Noisy {
    /// Adds noise to `input` with a standard deviation of `share` times the root mean square of each row, drawn
    /// from the pipeline's `seed` for `module`.
    pub fn new(input: Box<dyn Input>, share: f64, seed: u64, module: &str) -> Self {
        Self { input, share: share as f32, seed, purpose: format!("{module}/input noise") }
    }

    /// Adds the noise to `values`, the values of `rows`.
    fn add_to(&self, rows: &[u64], look: Look, values: &mut [f32]) {
        let Look::Fresh { epoch } = look else { return };
        for (row, values) in rows.iter().zip(values.chunks_exact_mut(self.row_len())) {
            let mut draws = generator(self.seed, &self.purpose, &[epoch, *row]);
            normals::add(values, self.share * root_mean_square(values), &mut draws);
        }
    }
}

/// The root mean square, summed in eight parts, so that eight values are added at a time, and always in the
/// same order.
fn root_mean_square(values: &[f32]) -> f32 {
    let mut sums = [0.0f64; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*value) * f64::from(*value);
    }
    (sums.iter().sum::<f64>() / values.len().max(1) as f64).sqrt() as f32
}

impl Input for Noisy {
    fn layout(&self) -> Layout {
        self.input.layout()
    }

    fn keys(&self) -> Result<Keys> {
        self.input.keys()
    }

    fn will_need(&self, rows: &[u64], look: Look) -> Result<()> {
        self.input.will_need(rows, look)
    }

    fn read(&self, rows: &[u64], look: Look, out: &mut [f32]) -> Result<()> {
        self.input.read(rows, look, out)?;
        self.add_to(rows, look, out);
        Ok(())
    }

    fn tensor(&self, rows: &[u64], look: Look, old: Option<Tensor>) -> Result<Tensor> {
        let tensor = self.input.tensor(rows, look, old)?;
        overwrite(&tensor, |values| self.add_to(rows, look, values))?;
        Ok(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::test_input::Ramps;

    const FRESH: Look = Look::Fresh { epoch: 3 };

    fn noisy(share: f64) -> Noisy {
        Noisy::new(Box::new(Ramps::of(0)), share, 7, "b")
    }

    fn read(input: &dyn Input, rows: &[u64], look: Look) -> Vec<f32> {
        let mut out = vec![0.0; rows.len() * input.row_len()];
        input.read(rows, look, &mut out).unwrap();
        out
    }

    #[test]
    fn its_spread_is_a_share_of_each_rows_root_mean_square() {
        let plain = Ramps::of(0);
        for row in [0u64, 5] {
            let (x, noisy) = (read(&plain, &[row], FRESH), read(&noisy(0.25), &[row], FRESH));
            let square = |values: &[f32]| values.iter().map(|x| f64::from(x * x)).sum::<f64>();
            let noise: Vec<f32> = x.iter().zip(&noisy).map(|(x, noisy)| noisy - x).collect();
            let share = (square(&noise) / square(&x)).sqrt();
            assert!((share - 0.25).abs() < 0.005, "row {row}: {share}");
            let mean = noise.iter().map(|x| f64::from(*x)).sum::<f64>() / noise.len() as f64;
            let rms = (square(&x) / x.len() as f64).sqrt();
            assert!(mean.abs() < 0.005 * rms, "row {row}: mean {mean} beside {rms}");
        }
    }

    #[test]
    fn a_row_has_the_same_noise_in_an_epoch_whatever_is_read_with_it() {
        let noisy = noisy(0.5);
        let len = noisy.row_len();
        let all = read(&noisy, &[4, 2, 9], FRESH);
        assert_eq!(all[len..2 * len], read(&noisy, &[2], FRESH));
        let tensor = noisy.tensor(&[4, 2, 9], FRESH, None).unwrap();
        assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), all);
        let again = noisy.tensor(&[4, 2, 9], FRESH, Some(tensor)).unwrap();
        assert_eq!(again.flatten_all().unwrap().to_vec1::<f32>().unwrap(), all);

        assert_ne!(read(&noisy, &[2], Look::Fresh { epoch: 4 }), all[len..2 * len]);
        let of_another = Noisy::new(Box::new(Ramps::of(0)), 0.5, 7, "c");
        assert_ne!(read(&of_another, &[2], FRESH), all[len..2 * len]);
    }

    #[test]
    fn a_frozen_look_has_none() {
        let plain = read(&Ramps::of(0), &[1, 2], Look::Frozen);
        assert_eq!(read(&noisy(0.5), &[1, 2], Look::Frozen), plain);
        let tensor = noisy(0.5).tensor(&[1, 2], Look::Frozen, None).unwrap();
        assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), plain);
    }

    #[test]
    fn a_root_mean_square_is_that_of_all_values() {
        for len in [1, 7, 8, 1001] {
            let values: Vec<f32> = (0..len).map(|x| x as f32 - 3.0).collect();
            let squares: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
            let expected = (squares / len as f64).sqrt() as f32;
            assert!((root_mean_square(&values) / expected - 1.0).abs() < 1e-6, "{len}");
        }
    }
}
