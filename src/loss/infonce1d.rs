//! InfoNCE along time (van den Oord et al. 2018, section 3.1), as Greedy InfoMax (Löwe et al. 2019) uses
//! it on speech: each step of a sequence predicts the K after it.
//!
//! With `z` the vectors `[batch, L, C]` and `c` what predicts, `[batch, L, H]`, for k = 1..K:
//!
//! - where a sequence is longer than `subsample`, only `subsample` steps of it predict and are predicted, from
//!   a random one on;
//! - `P_k = c W_k` are the projected contexts: this loss projects what predicts, while `loss/prediction.rs`
//!   projects the targets;
//! - position (b, t), t < L - k, scores `z[b, t + k]`, and N negatives out of all of `z`
//!   ([`Sampling`]), by a plain dot product with `P_k[b, t]`: no temperature, no normalisation;
//! - the loss of a position is `-log softmax([positive, negatives])_0`; the loss of a guess is ln(N + 1).
//!
//! `loss_k` is the mean over positions, and the loss the mean over k. Neither side is detached. Vectors are
//! numbered `b * L + t`, positions by k, b and t.

use std::ops::RangeInclusive;

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::infonce::CrossEntropy;
use super::prediction::negatives;
use super::sampling::Sampling;
use super::scores::Kept;
use super::sequence_contrast::Along;
use super::window::Window;
use super::{
    Bounded, CHANNELS, COUNT, Drawn, Loss, Misfit, Outcome, ROWS, Recipe, Samples, Sizes, graph,
};
use crate::context::gru::{self, Gru};
use crate::device::Device;
use crate::parameters::{ParameterShape, Parameters};
use crate::quantity::counted;
use crate::random::Draws;
use crate::setting::{Form, Setting};
use crate::{Error, Result};

/// InfoNCE along a sequence, and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Settings {
    /// K: the number of steps ahead that are predicted.
    pub prediction_steps: usize,
    /// N: negatives for each prediction.
    pub negatives: usize,
    /// Steps of a sequence that predict and are predicted; all of them when 0.
    pub subsample: usize,
    /// Where negatives come from.
    pub sampling: Sampling,
    /// What predicts; the module's own context, or each vector itself, when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prediction_steps: 12,
            negatives: 10,
            subsample: 128,
            sampling: Sampling::default(),
            context: None,
        }
    }
}

/// A network of the loss's own whose output predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// A recurrent network ([`crate::context::gru`]).
    Gru(GruSettings),
}

/// The settings of a GRU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct GruSettings {
    /// Channels of its state.
    pub channels: usize,
    /// Whether gradients go back through time.
    pub bptt: bool,
}

impl Default for GruSettings {
    fn default() -> Self {
        Self { channels: 256, bptt: true }
    }
}

/// The name of the parameters of the loss's own context.
const CONTEXT: &str = "context";

impl Settings {
    /// The number of steps that predict and are predicted, for sequences of `rows` steps.
    fn window(&self, rows: usize) -> usize {
        if self.subsample == 0 { rows } else { rows.min(self.subsample) }
    }

    /// Channels of the vectors that predict.
    fn predicting(&self, sizes: Sizes) -> usize {
        match self.context {
            Some(Context::Gru(gru)) => gru.channels,
            None => sizes.context,
        }
    }

    /// The shapes of the predictors, `[context, channels]` each.
    fn predictors(&self, sizes: Sizes) -> Vec<ParameterShape> {
        let context = self.predicting(sizes);
        let dims = || vec![context, sizes.channels];
        let shape = |step| ParameterShape::drawn(format!("predictor.{step}"), dims(), context);
        (0..self.prediction_steps).map(shape).collect()
    }
}

impl Recipe for Settings {
    fn name(&self) -> &'static str {
        "infonce1d"
    }

    fn reference(&self) -> Vec<Setting> {
        let key = |name: &str, form| Setting::new(format!("infonce1d.{name}"), form);
        let GruSettings { channels, bptt } = GruSettings::default();
        vec![
            Setting::table(
                self.name(),
                "InfoNCE along time, for sound: each step of a sequence predicts those after it, against negatives from \
                 the batch.",
            )
            .or(""),
            key("prediction_steps", Form::whole_of(1.0..=*ROWS.end()))
                .default(self.prediction_steps)
                .unit("steps")
                .example(4)
                .doc("The steps ahead that are predicted, each by a predictor of its own."),
            negatives(self.name(), self.negatives),
            key("subsample", Form::whole_of(0.0..=*COUNT.end()))
                .default(self.subsample)
                .unit("steps")
                .example(0)
                .doc("Steps of a longer sequence that the loss is computed on, from a random one on; 0 for all."),
            key("sampling", Form::Words(vec!["permutation", "offsets", "sequence"]))
                .default("\"permutation\"")
                .example("\"offsets\"")
                .doc(
                    "Where negatives come from.\n\n`\"permutation\"`: random orders of all vectors of the batch. \
                     `\"offsets\"`: random distances from the positive, never the positive itself. `\"sequence\"`: random \
                     orders of the vectors of the same sequence.",
                ),
            key("context", Form::OneKey)
                .or("the module's own `gru`, else each step by itself")
                .example("{ gru = { channels = 256, bptt = true } }")
                .doc("A network of the loss's own that predicts: `gru`."),
            Setting::table("infonce1d.context.gru", "A gated recurrent unit along time.").or(""),
            key("context.gru.channels", Form::whole_of(CHANNELS))
                .default(channels)
                .unit("channels")
                .example(128)
                .doc("The number of values of its state."),
            key("context.gru.bptt", Form::Flag)
                .default(bptt)
                .example(false)
                .doc("Whether gradients go back through time."),
        ]
    }

    fn positives(&self) -> Option<RangeInclusive<usize>> {
        Some(1..=self.prediction_steps)
    }

    fn bounds(&self) -> Vec<Bounded> {
        let Self { prediction_steps, negatives, subsample, .. } = *self;
        let bounded = |key, value, bounds| Bounded { key, value: value as f64, bounds };
        let mut all = vec![
            bounded("prediction_steps", prediction_steps, 1.0..=*ROWS.end()),
            bounded("negatives", negatives, COUNT),
            bounded("subsample", subsample, 0.0..=*COUNT.end()),
        ];
        if let Some(Context::Gru(gru)) = self.context {
            all.push(bounded("context.gru.channels", gru.channels, CHANNELS));
        }
        all
    }

    fn takes(&self) -> &'static str {
        "sequences of steps"
    }

    fn check(&self, sizes: Sizes) -> Result<(), Misfit> {
        let Sizes { rows, columns, .. } = sizes;
        if columns != 1 {
            let message = format!(
                "`infonce1d` predicts along time: it needs sound, this view gives a grid of \
                 {rows}x{columns} patches"
            );
            return Err(Misfit { keys: &[], message });
        }
        let (found, needed) = (self.window(rows), self.prediction_steps + 1);
        if found >= needed {
            return Ok(());
        }
        let steps = counted(self.prediction_steps, "prediction step");
        let given = if found < rows {
            format!("`subsample` leaves {found}")
        } else {
            format!("the module gives {found}")
        };
        let message = format!("{steps} need sequences of at least {needed} steps, {given}");
        Err(Misfit { keys: &["prediction_steps"], message })
    }

    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape> {
        let context =
            self.context.map(|Context::Gru(gru)| gru::shapes(sizes.context, gru.channels));
        let context = context.into_iter().flatten().map(|it| it.under(CONTEXT));
        self.predictors(sizes).into_iter().chain(context).collect()
    }

    fn draw(&self, batch: usize, sizes: Sizes, draws: &mut Draws) -> Drawn {
        let (rows, len) = (sizes.rows, self.window(sizes.rows));
        let start = if len < rows { draws.below((rows - len + 1) as u32) as usize } else { 0 };
        let window = Window { batch, rows, start, len };
        let Self { prediction_steps, negatives, sampling, .. } = *self;
        Drawn { negatives: sampling.draw(window, prediction_steps, negatives, draws), start }
    }

    fn of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        Some(((self.negatives + 1) as f64).ln())
    }

    fn accuracy_of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        Some(1.0 / (self.negatives + 1) as f64)
    }

    fn operations(&self, sizes: Sizes) -> f64 {
        let window = Window { batch: 1, rows: sizes.rows, start: 0, len: self.window(sizes.rows) };
        let positions: usize = (1..=self.prediction_steps).map(|step| window.positions(step)).sum();
        let of_position = self.predicting(sizes) + 1 + self.negatives;
        let network = self.context.map_or(0.0, |Context::Gru(settings)| {
            sizes.rows as f64 * gru::operations(sizes.context, settings.channels)
        });
        2.0 * positions as f64 * (of_position * sizes.channels) as f64 + network
    }

    fn build(&self, sizes: Sizes, parameters: &Parameters) -> Result<Box<dyn Loss>> {
        let shapes = self.predictors(sizes);
        let predictors = shapes.iter().map(|it| parameters.get(it)).collect::<Result<_>>()?;
        let context = self.context.map(|Context::Gru(GruSettings { channels, bptt })| {
            Gru::new(sizes.context, channels, bptt, CONTEXT, parameters)
        });
        Ok(Box::new(InfoNce1d {
            settings: self.clone(),
            predictors,
            context: context.transpose()?,
            device: parameters.device().clone(),
        }))
    }
}

struct InfoNce1d {
    settings: Settings,
    predictors: Vec<Tensor>,
    context: Option<Gru>,
    device: Device,
}

impl InfoNce1d {
    /// The steps of `batch` sequences that predict. Fails when `drawn` does not fit these sequences.
    fn window(&self, batch: usize, [rows, columns]: [usize; 2], drawn: &Drawn) -> Result<Window> {
        let len = self.settings.window(rows);
        let window = Window { batch, rows, start: drawn.start, len };
        let steps = self.predictors.len();
        let wanted = (1..=steps).map(|step| window.positions(step) * self.settings.negatives);
        let fits = columns == 1
            && window.start + len <= rows
            && window.positions(steps) > 0
            && wanted.eq(drawn.negatives.iter().map(Vec::len));
        if !fits {
            let given: Vec<usize> = drawn.negatives.iter().map(Vec::len).collect();
            let message = format!(
                "negatives {given:?} do not fit {window:?}, {columns} columns and {steps} steps"
            );
            return Err(Error::failed(message));
        }
        Ok(window)
    }
}

impl Loss for InfoNce1d {
    fn forward(&self, pooled: &Tensor, context: &Tensor, samples: &Samples) -> Result<Outcome> {
        let drawn = &samples.drawn;
        let (batch, rows, columns, channels) = pooled.dims4()?;
        let window = self.window(batch, [rows, columns], drawn)?;
        let contexts = match &self.context {
            Some(gru) => gru.forward(&context.squeeze(2)?)?,
            None => context.clone(),
        };
        let steps = self.predictors.len();
        if self.device.has_kernels() {
            let (negatives, kept) = (drawn.negatives.concat(), Kept::default());
            let op = Along { window, steps, negatives, judge: &CrossEntropy, kept: kept.clone() };
            let predictors = Tensor::cat(&self.predictors, 1)?;
            let (contexts, vectors) = (contexts.contiguous()?, pooled.contiguous()?);
            let loss = contexts.apply_op3(&vectors, &predictors, op)?;
            return Ok(Outcome { loss, accuracy: Some(kept.accuracy()) });
        }
        let contexts = contexts.reshape((batch, rows, contexts.dim(D::Minus1)?))?;
        let vectors = pooled.reshape((window.vectors(), channels))?;
        let (mut losses, mut accuracy) = (Vec::with_capacity(steps), 0.0);
        for (step, (predictor, negatives)) in
            (1..).zip(self.predictors.iter().zip(&drawn.negatives))
        {
            let place = (window, step);
            let (loss, hits) =
                graph::along([&contexts, &vectors], predictor, place, negatives, &CrossEntropy)?;
            losses.push(loss);
            accuracy += hits;
        }
        let loss = Tensor::stack(&losses, 0)?.mean_all()?;
        Ok(Outcome { loss, accuracy: Some(accuracy / steps as f64) })
    }
}
