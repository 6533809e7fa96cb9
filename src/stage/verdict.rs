//! Says whether each module beats its predecessor, and its untrained twin.

use super::origin::Origin;
use crate::quantity::counted;

/// The accuracy of a probe on one module.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// Name of the module.
    pub module: &'a str,
    /// The module's place in the stack, from 0.
    pub index: usize,
    /// Where its weights come from.
    pub origin: Origin,
    /// The share of test rows classified rightly; `None` without labels.
    pub accuracy: Option<f64>,
}

/// Says whether every trained module beats its untrained twin and its predecessor; `None` where there is nothing to
/// compare. Where the number of test `rows` is known, it also names modules that beat them by less than the noise.
pub fn verdict(all: &[Scored<'_>], rows: Option<usize>) -> Option<String> {
    let of = |index: usize, origin: Origin| {
        let found = all.iter().find(|it| (it.index, it.origin) == (index, origin))?;
        Some((found.module, found.accuracy?))
    };
    let (mut compared, mut behind, mut close) = (0, Vec::new(), Vec::new());
    for scored in all.iter().filter(|it| it.origin == Origin::Trained) {
        let (module, Some(accuracy)) = (scored.module, scored.accuracy) else { continue };
        let twin =
            of(scored.index, Origin::Untrained).map(|it| ("its untrained twin".into(), it.1));
        let before = scored.index.checked_sub(1).and_then(|it| of(it, Origin::Trained));
        let before = before.map(|(name, accuracy)| (format!("`{name}`"), accuracy));
        for (name, other) in [twin, before].into_iter().flatten() {
            compared += 1;
            if accuracy <= other {
                behind.push(format!("`{module}` does not beat {name}"));
            } else if rows.is_some_and(|rows| accuracy - other < noise(accuracy, other, rows)) {
                close.push(format!("`{module}` beats {name}"));
            }
        }
    }
    if compared == 0 {
        return None;
    }
    let mut said = match behind.is_empty() {
        true => "every module beats its untrained twin and its predecessor".to_string(),
        false => behind.join("; "),
    };
    if let (false, Some(rows)) = (close.is_empty(), rows) {
        said += &format!(
            "; by less than twice the standard error over {}: {}",
            counted(rows, "test row"),
            close.join(", ")
        );
    }
    Some(said)
}

/// Twice the standard error of the difference between two shares of `rows`, computed as if the two were measured on
/// different rows. On the same rows the error is smaller.
fn noise(one: f64, other: f64, rows: usize) -> f64 {
    let variance = one * (1.0 - one) + other * (1.0 - other);
    2.0 * (variance / rows.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_is_compared_with_its_twin_and_its_predecessor() {
        let scored = |index: usize, origin, accuracy| Scored {
            module: ["a", "b"][index],
            index,
            origin,
            accuracy: Some(accuracy),
        };
        let mut all = vec![
            scored(0, Origin::Trained, 0.5),
            scored(0, Origin::Untrained, 0.2),
            scored(1, Origin::Trained, 0.51),
            scored(1, Origin::Untrained, 0.3),
        ];
        let good = "every module beats its untrained twin and its predecessor";
        assert_eq!(verdict(&all, None).unwrap(), good);
        let hardly = "; by less than twice the standard error over 100 test rows: `b` beats `a`";
        assert_eq!(verdict(&all, Some(100)).unwrap(), format!("{good}{hardly}"));
        all[2].accuracy = Some(0.3);
        let said = "`b` does not beat its untrained twin; `b` does not beat `a`";
        assert_eq!(verdict(&all, None).unwrap(), said);
        assert_eq!(verdict(&all[..1], None), None);
    }
}
