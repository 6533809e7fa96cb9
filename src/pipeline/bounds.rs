//! Checks that numbers of a pipeline are within the bounds of their settings.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::origin::Fault;
pub use crate::layer::SIZE;
use crate::setting::{Setting, find};

/// The bounds of a count of rows, epochs or samples.
pub const COUNT: RangeInclusive<usize> = 1..=i32::MAX as usize;

/// One of this many samples is held out: with one of one, nothing would be left to train on.
pub const HOLD_OUT: RangeInclusive<usize> = 2..=i32::MAX as usize;

/// The largest number of threads of a process: more than nearly any machine has cores.
pub const MOST_THREADS: usize = 1024;

/// Checks that a number is in `bounds`; the error is the message.
pub fn within<T: PartialOrd + Display>(
    number: T,
    key: &str,
    bounds: &RangeInclusive<T>,
) -> Result<(), String> {
    let (least, most) = (bounds.start(), bounds.end());
    if number < *least {
        Err(format!("`{key}` must be at least {least}, not {number}"))
    } else if number <= *most {
        Ok(())
    } else {
        Err(format!("`{key}` must be at most {most}, not {number}"))
    }
}

/// Fails unless the number at `path`, if there is one, is in `bounds`.
pub fn whole(
    path: &str,
    number: impl Into<Option<usize>>,
    bounds: &RangeInclusive<usize>,
) -> Result<(), Fault> {
    let Some(number) = number.into() else { return Ok(()) };
    let key = path.rsplit('.').next().unwrap_or(path);
    within(number, key, bounds).map_err(|wrong| Fault::of(path, wrong))
}

/// Fails unless the whole number at `path`, if there is one, is within the bounds of its setting.
pub fn count(
    settings: &[Setting],
    path: &str,
    number: impl Into<Option<usize>>,
) -> Result<(), Fault> {
    number.into().map_or(Ok(()), |it| number_of(settings, path, it as f64))
}

/// Fails unless the number at `path` is within the bounds of its setting.
pub fn number_of(settings: &[Setting], path: &str, number: f64) -> Result<(), Fault> {
    let Some(setting) = find(settings, path) else {
        return Err(Fault::of(path, format!("`{path}` has no bounds")));
    };
    setting.check(number).map_err(|wrong| Fault::of(path, wrong))
}
