//! One prediction step on candle's own operations, as a graph: for devices without our kernels.
//!
//! Where there are few targets every position is scored against each, by one product, and the
//! candidates' scores are gathered from that, `[positions, targets]`. Else the candidates are gathered,
//! `[positions, 1 + N, channels]`: what is smaller of both.

use candle_core::{DType, Tensor};

use super::prediction::Judge;
use super::window::Window;
use crate::{Error, Result};

/// The loss of a prediction step, a scalar, and the share of positions whose positive scores above
/// every negative: what [`super::contrast::Contrast`] computes, of the same arguments.
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

/// The same of the prediction step `ahead` along sequences, of contexts `[batch, rows, context]`,
/// vectors `[batch * rows, channels]` and a predictor `[context, channels]`: a part of what
/// [`super::along::Along`] computes.
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

/// Of rows `[positions, channels]` scored against numbered targets `[targets, channels]`: each position's
/// own, and `[positions * N]` others.
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
