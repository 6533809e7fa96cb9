//! Resamples sound, and computes the power of its frequencies.
//!
//! It is a crate of its own because the compiler generates the transforms of `rustfft` again for every crate that
//! calls them with a type, which is a third of all code. Here they are generated once, and optimised.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod resample;
mod spectrum;

pub use resample::resample;
pub use spectrum::Spectrum;

/// The reason why sound could not be transformed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}
