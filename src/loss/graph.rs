//! One prediction step on candle's own operations, as a graph: for devices without our kernels.

use candle_core::{DType, Tensor};

use super::prediction::Judge;
use crate::{Error, Result};

/// The loss of a prediction step, a scalar, and the share of positions whose positive scores above
/// every negative: what [`super::contrast::Contrast`] computes, of the same arguments.
///
/// Every position is scored against every target, by one product, and the candidates' scores are
/// gathered from that: `[positions, positions]` values, where gathered targets would be
/// `[positions, 1 + N, channels]`.
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
    let in_range = negatives.iter().all(|&negative| (negative as usize) < positions);
    if positions == 0 || !negatives.len().is_multiple_of(positions) || !in_range {
        let message = format!("{} negatives do not fit {positions} positions", negatives.len());
        return Err(Error::failed(message));
    }
    let rows = |of: &Tensor, first| {
        of.narrow(1, first, predicting)?.contiguous()?.reshape((positions, channels))
    };
    let targets = rows(pooled, below)?.matmul(predictor)?;
    let scores = rows(contexts, 0)?.matmul(&targets.t()?)?;

    let (device, wrong) = (pooled.device(), negatives.len() / positions);
    let own = Tensor::arange(0, positions as u32, device)?.unsqueeze(1)?;
    let negatives = Tensor::from_slice(negatives, (positions, wrong), device)?;
    let scores = scores.gather(&Tensor::cat(&[&own, &negatives], 1)?.contiguous()?, 1)?;
    let loss = judge.mean(&scores)?;

    let best_negative = scores.narrow(1, 1, wrong)?.contiguous()?.max_keepdim(1)?;
    let hits = scores.narrow(1, 0, 1)?.gt(&best_negative)?.to_dtype(DType::F32)?.mean_all()?;
    Ok((loss, f64::from(hits.to_scalar::<f32>()?)))
}
