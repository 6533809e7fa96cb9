//! One prediction step on a grid, on the CPU: projection, scores, their loss, and the gradients.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::prediction::Judge;
use super::rows::{Rows, in_order, placed};
use super::scores::{Candidates, Kept, Scored};
use gimlet_kernel::{values, with_all_values};

/// The loss of a prediction step, a scalar: the mean over positions of what a judge makes of a context's scores. A
/// context is scored against the projection of the vector `below` rows further down, and those of its negatives.
///
/// Its arguments are contexts and pooled vectors, both `[batch, rows, columns, channels]`, and a predictor
/// `[channels, channels]`.
pub(super) struct Contrast {
    pub below: usize,
    /// The numbers of the other targets that each position is scored against: `[positions * N]`.
    pub negatives: Vec<u32>,
    pub judge: &'static dyn Judge,
    pub kept: Kept,
}

/// The sizes of a step.
#[derive(Clone, Copy)]
struct Sizes {
    /// Rows of the grid.
    rows: usize,
    columns: usize,
    positions: usize,
    channels: usize,
}

impl Contrast {
    fn sizes(&self, pooled: &Shape, predictor: &Shape) -> Result<Sizes> {
        let (batch, rows, columns, channels) = pooled.dims4()?;
        let positions = batch * rows.saturating_sub(self.below) * columns;
        let fits = predictor.dims2()? == (channels, channels)
            && positions > 0
            && self.negatives.len().is_multiple_of(positions)
            && self.negatives.iter().all(|&negative| (negative as usize) < positions);
        if !fits {
            candle_core::bail!(
                "contrast: vectors {pooled:?}, a predictor {predictor:?} and {} negatives do not fit",
                self.negatives.len()
            )
        }
        Ok(Sizes { rows, columns, positions, channels })
    }

    /// Where the vectors begin that lie `below` rows further down than the predicting positions.
    fn starts(&self, sizes: Sizes, below: usize) -> Vec<u32> {
        let Sizes { rows, columns, positions, channels } = sizes;
        let predicting = rows - self.below;
        let start = |position: usize| {
            let (row, column) = (position / columns, position % columns);
            let (batch, y) = (row / predicting, row % predicting + below);
            (((batch * rows + y) * columns + column) * channels) as u32
        };
        (0..positions).map(start).collect()
    }
}

impl CustomOp3 for Contrast {
    fn name(&self) -> &'static str {
        "contrast"
    }

    fn cpu_fwd(
        &self,
        contexts: &CpuStorage,
        contexts_layout: &Layout,
        pooled: &CpuStorage,
        pooled_layout: &Layout,
        predictor: &CpuStorage,
        predictor_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(pooled_layout.shape(), predictor_layout.shape())?;
        if contexts_layout.shape() != pooled_layout.shape() {
            candle_core::bail!(
                "contrast: contexts {contexts_layout:?} are not as the pooled vectors"
            )
        }
        let Sizes { positions, channels, .. } = sizes;
        let contexts = values(contexts, contexts_layout, self.name())?;
        let pooled = values(pooled, pooled_layout, self.name())?;
        let predictor = values(predictor, predictor_layout, self.name())?;
        let below = self.starts(sizes, self.below);
        let targets = Rows { values: pooled, starts: &below, len: channels };
        let projected = targets.times(predictor, channels);
        let (starts, own) = (self.starts(sizes, 0), in_order(positions, 1));
        let negatives = &self.negatives;
        let candidates = Candidates { channels, starts: &starts, own: &own, negatives };
        let (slopes, judged) = candidates.judge(contexts, &projected, self.judge);
        let loss = judged.iter().map(|it| it.loss).sum::<f64>() / positions as f64;
        let accuracy = judged.iter().filter(|it| it.hit).count() as f64 / positions as f64;
        self.kept.set(Scored { projected, slopes, accuracy });
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        contexts: &Tensor,
        pooled: &Tensor,
        predictor: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(pooled.shape(), predictor.shape())?;
        let scale = grad.to_scalar::<f32>()? / sizes.positions as f32;
        let operands = [contexts, pooled, predictor];
        let gradients = with_all_values(operands, self.name(), |values| {
            let operands = std::array::from_fn(|place| values[place]);
            Ok::<_, candle_core::Error>(self.gradients(sizes, operands, scale))
        })?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let [d_contexts, d_pooled, d_predictor] = gradients;
        Ok((
            Some(tensor(d_contexts, contexts)?),
            Some(tensor(d_pooled, pooled)?),
            Some(tensor(d_predictor, predictor)?),
        ))
    }
}

impl Contrast {
    /// The gradients of contexts, pooled vectors and predictor, times `scale`.
    fn gradients(
        &self,
        sizes: Sizes,
        [contexts, pooled, predictor]: [&[f32]; 3],
        scale: f32,
    ) -> [Vec<f32>; 3] {
        let Sizes { positions, channels, .. } = sizes;
        let (starts, below) = (self.starts(sizes, 0), self.starts(sizes, self.below));
        let (own, negatives) = (in_order(positions, 1), &self.negatives);
        let candidates = Candidates { channels, starts: &starts, own: &own, negatives };
        let [d_contexts, d_projected] = self.kept.read(|Scored { projected, slopes, .. }| {
            [
                candidates.of_predicting(slopes, |_| scale, projected),
                candidates.of_targets(slopes, |_| scale, contexts, positions),
            ]
        });
        let places = in_order(positions, channels);
        let d_projected = Rows { values: &d_projected, starts: &places, len: channels };
        let targets = Rows { values: pooled, starts: &below, len: channels };
        let d_targets = d_projected.times_turned(predictor, channels);
        [
            placed(&d_contexts, &starts, channels, pooled.len()),
            placed(&d_targets, &below, channels, pooled.len()),
            targets.turned_times(d_projected),
        ]
    }
}
