//! What is told of a pipeline whose parts do not fit each other.

/// A pipeline whose parts do not fit each other.
pub struct Misfit {
    pub culprit: Culprit,
    pub message: String,
    pub hint: Option<String>,
}

/// The part of a pipeline that is to blame for a [`Misfit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    Crop,
    Patch,
    /// One of these keys of the loss.
    Loss(&'static [&'static str]),
    Layer {
        module: usize,
        layer: usize,
    },
}

impl Misfit {
    /// Parts that do not fit, and nothing to hint at.
    pub fn of(culprit: Culprit, message: String) -> Self {
        Self { culprit, message, hint: None }
    }
}
