//! Axes of drawings: what they reach over, and ticks at round numbers.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// The range that holds all finite values, widened on both sides by `room` times its width.
pub fn spread(values: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let ends = values
        .filter(|it| it.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |ends, it| (ends.0.min(it), ends.1.max(it)));
    let (low, high) = if ends.0 <= ends.1 { ends } else { (0.0, 1.0) };
    // A single value has no width.
    let width = if high > low { high - low } else { high.abs().max(1.0) * 0.1 };
    let (low, high) =
        if high > low { (low, high) } else { (low - width / 2.0, high + width / 2.0) };
    low - room * width..high + room * width
}

/// An axis over a range. Its ticks are at round numbers, or at each place where the number of places is above 0.
pub struct Ticks(pub Range<f64>, pub usize);

impl Ranged for Ticks {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.0.start) / (self.0.end - self.0.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if self.1 > 0 {
            // More than 8 names run into each other.
            let each = self.1.div_ceil(8);
            return (0..self.1).step_by(each).map(|place| place as f64).collect();
        }
        let width = self.0.end - self.0.start;
        let most = hint.max_num_points().clamp(2, 6) as f64;
        let rough = width / most;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|it| it * power);
        let step = step.into_iter().find(|it| *it >= rough).unwrap_or(rough);
        let first = (self.0.start / step).ceil() as i64;
        let last = (self.0.end / step).floor() as i64;
        (first..=last).map(|place| place as f64 * step).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

impl ValueFormatter<f64> for Ticks {
    fn format(value: &f64) -> String {
        short(*value)
    }
}

/// Writes a number for an axis: 1500000 as 1.5M.
pub fn short(value: f64) -> String {
    let size = value.abs();
    let (scaled, unit) = match size {
        1e9.. => (value / 1e9, "G"),
        1e6.. => (value / 1e6, "M"),
        1e4.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let shown = format!("{scaled:.3}");
    let shown = match shown.contains('.') {
        true => shown.trim_end_matches('0').trim_end_matches('.'),
        false => shown.as_str(),
    };
    // A number too small for three decimals is written with an exponent.
    match size > 0.0 && size < 5e-4 {
        true => format!("{value:.0e}"),
        false => format!("{}{unit}", if shown == "-0" { "0" } else { shown }),
    }
}
