//! The loss of a module that is written in PyTorch: the module computes it itself, and nothing is known of it here.

use serde::Serialize;

use super::{Loss, Recipe, Sizes};
use crate::parameters::{ParameterShape, Parameters};
use crate::{Error, Result};

/// Stands for the loss that a module in PyTorch computes itself. No pipeline file names it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OwnLoss;

impl Recipe for OwnLoss {
    fn name(&self) -> &'static str {
        "its own"
    }

    fn shapes(&self, _sizes: Sizes) -> Vec<ParameterShape> {
        Vec::new()
    }

    fn of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        None
    }

    fn accuracy_is(&self) -> &'static str {
        "accuracy"
    }

    fn operations(&self, _sizes: Sizes) -> f64 {
        0.0
    }

    fn build(&self, _sizes: Sizes, _parameters: &Parameters) -> Result<Box<dyn Loss>> {
        Err(Error::failed("a module in PyTorch computes its loss itself"))
    }
}
