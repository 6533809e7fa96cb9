//! Means over seeds, and how far seeds differ.

use serde::Serialize;

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the sample; `None` for one seed.
    pub deviation: Option<f64>,
}

impl Mean {
    /// The mean of values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, deviation })
    }

    /// Formats the mean and the deviation with `show`: `1.20 ± 0.35`, or `1.20` for one seed.
    pub fn shown(self, show: impl Fn(f64) -> String) -> String {
        match self.deviation {
            Some(deviation) => format!("{} ± {}", show(self.mean), show(deviation)),
            None => show(self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[3.0]), Some(Mean { mean: 3.0, deviation: None }));
        assert_eq!(Mean::of(&[1.0, 2.0, 3.0]), Some(Mean { mean: 2.0, deviation: Some(1.0) }));
    }
}
