//! Checks that numbers of a pipeline are within the bounds of their settings.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::origin::Fault;
use super::raw::Optional;
pub use crate::layer::SIZE;
use crate::setting::{Setting, find};

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

/// The number of a setting that may be left out; fails unless it is within the bounds.
pub fn optional_whole(
    value: &Optional<usize>,
    settings: &[Setting],
    name: &str,
) -> Result<Option<usize>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let number = *value.get_ref();
    let checked = find(settings, name).map_or(Ok(()), |it| it.check(number as f64));
    checked.map_err(|wrong| Fault::at(value.span(), wrong))?;
    Ok(Some(number))
}
