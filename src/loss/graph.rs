//! One prediction step as a graph of candle's own operations, for devices without our kernels.
//!
//! There are two ways, and the one with the smaller tensor is taken. One product scores every position against every
//! target, `[positions, targets]`, and the candidates' scores are gathered from that. Or the candidates themselves are
//! gathered, `[positions, 1 + N, channels]`.

use candle_core::{DType, Tensor};

use super::prediction::Judge;
use super::window::Window;
use crate::{Error, Result};

/// The loss of a prediction step on a grid, a scalar, and the share of positions whose positive scores above
/// every negative. It computes the same from the same arguments as [`super::contrast::Contrast`].
pub(super) fn contrast(
    [contexts, pooled]: [&Tensor; 2],
    predictor: &Tensor,
    below: usize,
    negatives: &[u32],
    judge: &dyn Judge,
) -> Result<(Tensor, f64)> {
    let (batch, rows, columns, channels) = pooled.dims4()?;
    let predicting = rows.saturating_sub(below);
    let positions = batch * predicting * columns;
    let rows = |of: &Tensor, first| {
        of.narrow(1, first, predicting)?.contiguous()?.reshape((positions, channels))
    };
    let targets = rows(pooled, below)?.matmul(predictor)?;
    let own: Vec<u32> = (0..positions as u32).collect();
    judged(&rows(contexts, 0)?, &targets, &own, negatives, judge)
}

/// The loss and accuracy of the prediction step `ahead` along sequences, for contexts `[batch, rows, context]`,
/// vectors `[batch * rows, channels]` and a predictor `[context, channels]`. It is one step of
/// [`super::sequence_contrast::Along`].
pub(super) fn along(
    [contexts, vectors]: [&Tensor; 2],
    predictor: &Tensor,
    (window, ahead): (Window, usize),
    negatives: &[u32],
    judge: &dyn Judge,
) -> Result<(Tensor, f64)> {
    let predicting = contexts.narrow(1, window.start, window.len.saturating_sub(ahead))?;
    let rows = (window.positions(ahead), contexts.dim(2)?);
    let predictions = predicting.contiguous()?.reshape(rows)?.matmul(predictor)?;
    let own: Vec<u32> = window.targets(ahead).collect();
    judged(&predictions, vectors, &own, negatives, judge)
}

/// The loss and accuracy of rows `[positions, channels]` scored against targets `[targets, channels]`: `own` has the
/// number of each position's target, `negatives` `[positions * N]` those of others.
fn judged(
    rows: &Tensor,
    targets: &Tensor,
    own: &[u32],
    negatives: &[u32],
    judge: &dyn Judge,
) -> Result<(Tensor, f64)> {
    let (positions, channels) = rows.dims2()?;
    let all = targets.dim(0)?;
    let in_range = negatives.iter().all(|&negative| (negative as usize) < all);
    if positions == 0 || !negatives.len().is_multiple_of(positions) || !in_range {
        let message = format!("{} negatives do not fit {positions} positions", negatives.len());
        return Err(Error::failed(message));
    }
    let (device, wrong) = (rows.device(), negatives.len() / positions);
    let own = Tensor::from_slice(own, (positions, 1), device)?;
    let negatives = Tensor::from_slice(negatives, (positions, wrong), device)?;
    let candidates = Tensor::cat(&[&own, &negatives], 1)?.contiguous()?;
    let scores = if all <= (1 + wrong) * channels {
        rows.matmul(&targets.t()?)?.gather(&candidates, 1)?
    } else {
        let gathered = targets.index_select(&candidates.flatten_all()?, 0)?;
        let gathered = gathered.reshape((positions, 1 + wrong, channels))?;
        gathered.broadcast_mul(&rows.unsqueeze(1)?)?.sum(2)?
    };
    let loss = judge.mean(&scores)?;

    let best_negative = scores.narrow(1, 1, wrong)?.contiguous()?.max_keepdim(1)?;
    let hits = scores.narrow(1, 0, 1)?.gt(&best_negative)?.to_dtype(DType::F32)?.mean_all()?;
    Ok((loss, f64::from(hits.to_scalar::<f32>()?)))
}
