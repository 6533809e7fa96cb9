//! The layer `gru`: a gated recurrent unit along the width of maps, the last layer of its module. Its output is the
//! context that predicts, and its input are the targets (Löwe et al. 2019, audio).

use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Bounded, Context, Layer, Places, SIZE, Sequence, Signal, Work, turned};
use crate::Result;
use crate::context::gru::{self, operations, shapes};
use crate::parameters::{ParameterShape, Parameters};
use crate::setting::{Form, Setting};

/// A gated recurrent unit along time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Gru {
    /// The number of values of its state.
    pub channels: usize,
    /// Whether gradients go back in time; otherwise the state is detached at every step.
    #[serde(default = "yes")]
    pub bptt: bool,
}

fn yes() -> bool {
    true
}

/// The settings of this layer.
pub(super) fn reference() -> Vec<Setting> {
    vec![
        Setting::table(
            "gru",
            "A gated recurrent unit along time, for sound: the last layer of its module.\n\nIts output at a step, computed \
             from this step and those before, is the context that predicts; the probe and the next module see it, too. Its \
             inputs are the targets.",
        )
        .or(""),
        Setting::new("gru.channels", Form::whole(SIZE))
            .unit("channels")
            .example(256)
            .doc("The number of values of its state."),
        Setting::new("gru.bptt", Form::Flag)
            .default(yes())
            .example(false)
            .doc("Whether gradients go back in time; otherwise the state is detached at every step."),
    ]
}

impl Layer for Gru {
    fn name(&self) -> &str {
        "gru"
    }

    fn settings(&self) -> Value {
        json!(self)
    }

    fn bounds(&self) -> Vec<Bounded> {
        vec![Bounded::size("channels", self.channels)]
    }

    fn only_for(&self) -> Option<Signal> {
        Some(Signal::Sound)
    }

    fn out_channels(&self, _input: usize) -> usize {
        self.channels
    }

    fn work(&self, channels: usize) -> Work {
        let Self { channels: hidden, bptt } = *self;
        Work::Context(Arc::new(Recurrence { input: channels, hidden, bptt }))
    }

    /// In the published code a GRU is not in the stack of layers: it has a name of its own.
    fn place(&self, _places: &mut Places) -> String {
        String::new()
    }

    fn published(&self, _place: &str, parameter: &ParameterShape) -> (String, Vec<usize>) {
        (gru::published(&parameter.name, self.bptt), turned(&parameter.dims))
    }
}

/// A GRU for inputs of one size.
#[derive(Debug)]
struct Recurrence {
    input: usize,
    hidden: usize,
    bptt: bool,
}

impl Context for Recurrence {
    fn parameters(&self) -> Vec<ParameterShape> {
        shapes(self.input, self.hidden).into()
    }

    fn operations(&self) -> f64 {
        operations(self.input, self.hidden)
    }

    /// Counts its input, gates, states and their gradients.
    fn kept(&self) -> usize {
        2 * (self.input + 8 * self.hidden)
    }

    fn build(&self, name: &str, parameters: &Parameters) -> Result<Box<dyn Sequence>> {
        let Self { input, hidden, bptt } = *self;
        Ok(Box::new(gru::Gru::new(input, hidden, bptt, name, parameters)?))
    }
}

impl Sequence for gru::Gru {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }
}
