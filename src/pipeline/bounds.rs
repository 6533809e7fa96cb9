//! Numbers of a pipeline file within their bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;

use super::origin::Fault;
use super::raw::Optional;
pub use crate::layer::SIZE;

/// The bounds of what is counted: rows, epochs, samples.
pub const COUNT: RangeInclusive<usize> = 1..=i32::MAX as usize;

/// The most threads of a process: more than there are cores in nearly any machine.
pub const MOST_THREADS: usize = 1024;

/// The number `key` holds, which must be in `bounds`.
pub fn whole(
    value: &Spanned<usize>,
    key: &str,
    bounds: RangeInclusive<usize>,
) -> Result<usize, Fault> {
    let number = *value.get_ref();
    within(number, key, &bounds).map_err(|wrong| Fault::at(value.span(), wrong))?;
    Ok(number)
}

/// Whether a number is in `bounds`; if not, what to say of it.
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

/// Like [`whole`] for a key that may be left out.
pub fn optional_whole(
    value: &Optional<usize>,
    key: &str,
    bounds: RangeInclusive<usize>,
) -> Result<Option<usize>, Fault> {
    value.as_ref().map(|value| whole(value, key, bounds)).transpose()
}

/// A step size: a finite number above 0.
pub fn optional_positive(value: &Optional<f64>, key: &str) -> Result<Option<f64>, Fault> {
    optional_number(value, key, "a finite number above 0", |number| {
        number > 0.0 && number.is_finite()
    })
}

/// The number `key` holds, which must be `wanted`, as `holds` says.
pub fn optional_number(
    value: &Optional<f64>,
    key: &str,
    wanted: &str,
    holds: impl Fn(f64) -> bool,
) -> Result<Option<f64>, Fault> {
    match value {
        None => Ok(None),
        Some(number) if holds(*number.get_ref()) => Ok(Some(*number.get_ref())),
        Some(number) => {
            Err(Fault::at(number.span(), format!("`{key}` must be {wanted}, not {number}")))
        }
    }
}
