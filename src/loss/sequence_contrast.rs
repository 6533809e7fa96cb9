//! All prediction steps along sequences, on the CPU: projections, scores, their loss, and the gradients.
//!
//! All steps are one operation, because the gradient of the targets has the size of the whole batch, even where only
//! a part of the targets is read.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::prediction::Judge;
use super::rows::{Rows, in_order, placed};
use super::scores::{Candidates, Kept, Scored};
use super::window::Window;
use gimlet_kernel::{values, with_all_values};

/// The loss of all prediction steps, a scalar: the mean over steps, and over the positions of each step, of what a
/// judge makes of the scores of projected contexts.
///
/// Its arguments are contexts and vectors, `[batch, rows, .., channels]`, each with its own channels, and the
/// predictors side by side, `[context channels, steps * channels]`.
pub(super) struct Along {
    pub window: Window,
    pub steps: usize,
    /// The numbers of the other vectors that each position is scored against, for one step after the other.
    pub negatives: Vec<u32>,
    pub judge: &'static dyn Judge,
    pub kept: Kept,
}

/// Channels of both sides, and where the rows lie.
struct Places {
    context: usize,
    channels: usize,
    /// Where each context of the window begins among all contexts, by sequence and step.
    contexts: Vec<u32>,
    /// Where each position's projection begins among all projections, by prediction step, sequence and step.
    projections: Vec<u32>,
    /// The number of each position's target.
    own: Vec<u32>,
}

impl Along {
    fn places(&self, contexts: &Shape, vectors: &Shape, predictors: &Shape) -> Result<Places> {
        let Window { batch, rows, start, len } = self.window;
        let channels = |of: &Shape| of.dims().last().copied().unwrap_or(0);
        let (context, channels) = (channels(contexts), channels(vectors));
        let all = self.window.vectors();
        let columns = self.steps * channels;
        let positions: usize = (1..=self.steps).map(|step| self.window.positions(step)).sum();
        // Places are counted in 32 bits.
        let most = (all * context.max(channels)).max(batch * len * columns);
        let fits = contexts.elem_count() == all * context
            && vectors.elem_count() == all * channels
            && predictors.dims2()? == (context, columns)
            && start + len <= rows
            && self.window.positions(self.steps) > 0
            && u32::try_from(most).is_ok()
            && self.negatives.len().is_multiple_of(positions)
            && self.negatives.iter().all(|&negative| (negative as usize) < all);
        if !fits {
            candle_core::bail!(
                "along: contexts {contexts:?}, vectors {vectors:?}, predictors {predictors:?} and {} \
                 negatives do not fit {:?}",
                self.negatives.len(),
                self.window
            )
        }
        let steps = self.steps;
        let of_step = |step: usize| {
            let predicting =
                (0..batch).flat_map(move |b| (0..len - step).map(move |t| b * len + t));
            predicting.map(move |row| ((row * steps + step - 1) * channels) as u32)
        };
        let contexts = (0..batch).flat_map(|b| (0..len).map(move |t| b * rows + start + t));
        Ok(Places {
            context,
            channels,
            contexts: contexts.map(|row| (row * context) as u32).collect(),
            projections: (1..=steps).flat_map(of_step).collect(),
            own: (1..=steps).flat_map(|step| self.window.targets(step)).collect(),
        })
    }

    fn candidates<'a>(&'a self, places: &'a Places) -> Candidates<'a> {
        Candidates {
            channels: places.channels,
            starts: &places.projections,
            own: &places.own,
            negatives: &self.negatives,
        }
    }

    /// The slope of the mean along each position's loss, times `grad`.
    fn scales(&self, grad: f32) -> Vec<f32> {
        let of_step = |step| {
            let positions = self.window.positions(step);
            std::iter::repeat_n(grad / (self.steps * positions) as f32, positions)
        };
        (1..=self.steps).flat_map(of_step).collect()
    }
}

impl CustomOp3 for Along {
    fn name(&self) -> &'static str {
        "along"
    }

    fn cpu_fwd(
        &self,
        contexts: &CpuStorage,
        contexts_layout: &Layout,
        vectors: &CpuStorage,
        vectors_layout: &Layout,
        predictors: &CpuStorage,
        predictors_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shapes = [contexts_layout, vectors_layout, predictors_layout].map(Layout::shape);
        let places = self.places(shapes[0], shapes[1], shapes[2])?;
        let contexts = values(contexts, contexts_layout, self.name())?;
        let vectors = values(vectors, vectors_layout, self.name())?;
        let predictors = values(predictors, predictors_layout, self.name())?;
        let rows = Rows { values: contexts, starts: &places.contexts, len: places.context };
        let projected = rows.times(predictors, self.steps * places.channels);
        let candidates = self.candidates(&places);
        let (slopes, judged) = candidates.judge(&projected, vectors, self.judge);
        let (mut loss, mut accuracy, mut rest) = (0.0, 0.0, judged.as_slice());
        for step in 1..=self.steps {
            let (of_step, later) = rest.split_at(self.window.positions(step));
            let positions = of_step.len() as f64;
            loss += of_step.iter().map(|it| it.loss).sum::<f64>() / positions;
            accuracy += of_step.iter().filter(|it| it.hit).count() as f64 / positions;
            rest = later;
        }
        let (loss, accuracy) = (loss / self.steps as f64, accuracy / self.steps as f64);
        self.kept.set(Scored { projected, slopes, accuracy });
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        contexts: &Tensor,
        vectors: &Tensor,
        predictors: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let places = self.places(contexts.shape(), vectors.shape(), predictors.shape())?;
        let grad = grad.to_scalar::<f32>()?;
        let operands = [contexts, vectors, predictors];
        let gradients = with_all_values(operands, self.name(), |values| {
            let operands = std::array::from_fn(|place| values[place]);
            Ok::<_, candle_core::Error>(self.gradients(&places, operands, grad))
        })?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let [d_contexts, d_vectors, d_predictors] = gradients;
        Ok((
            Some(tensor(d_contexts, contexts)?),
            Some(tensor(d_vectors, vectors)?),
            Some(tensor(d_predictors, predictors)?),
        ))
    }
}

impl Along {
    /// The gradients of contexts, vectors and predictors, times `grad`.
    fn gradients(
        &self,
        places: &Places,
        [contexts, vectors, predictors]: [&[f32]; 3],
        grad: f32,
    ) -> [Vec<f32>; 3] {
        let &Places { context, channels, .. } = places;
        let (candidates, scales) = (self.candidates(places), self.scales(grad));
        let scale = |position: usize| scales[position];
        let [d_projected, d_vectors] = self.kept.read(|Scored { projected, slopes, .. }| {
            [
                candidates.of_predicting(slopes, scale, vectors),
                candidates.of_targets(slopes, scale, projected, self.window.vectors()),
            ]
        });
        let (rows, columns) = (places.contexts.len(), self.steps * channels);
        let d_projected = placed(&d_projected, &places.projections, channels, rows * columns);
        let starts = in_order(rows, columns);
        let d_projected = Rows { values: &d_projected, starts: &starts, len: columns };
        let rows = Rows { values: contexts, starts: &places.contexts, len: context };
        let d_contexts = d_projected.times_turned(predictors, context);
        [
            placed(&d_contexts, &places.contexts, context, contexts.len()),
            d_vectors,
            rows.turned_times(d_projected),
        ]
    }
}
