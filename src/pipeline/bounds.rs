//! Checks that numbers of a pipeline are within their bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::origin::Fault;
use super::raw::Optional;
pub use crate::layer::SIZE;

/// The bounds of a count of rows, epochs or samples.
pub const COUNT: RangeInclusive<usize> = 1..=i32::MAX as usize;

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
    within(number, last(path), bounds).map_err(|wrong| Fault::of(path, wrong))
}

/// Fails unless the number at `path` is a step size: finite, and above 0.
pub fn positive(path: &str, number: f64) -> Result<(), Fault> {
    let holds = number > 0.0 && number.is_finite();
    is(path, number, "a finite number above 0", holds)
}

/// Fails unless `holds`; the message says that the number at `path` must be `wanted`.
pub fn is(path: &str, number: impl Display, wanted: &str, holds: bool) -> Result<(), Fault> {
    let message = || format!("`{}` must be {wanted}, not {number}", last(path));
    if holds { Ok(()) } else { Err(Fault::of(path, message())) }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The number of a key that may be left out; fails unless it is in `bounds`.
pub fn optional_whole(
    value: &Optional<usize>,
    key: &str,
    bounds: RangeInclusive<usize>,
) -> Result<Option<usize>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let number = *value.get_ref();
    within(number, key, &bounds).map_err(|wrong| Fault::at(value.span(), wrong))?;
    Ok(Some(number))
}
