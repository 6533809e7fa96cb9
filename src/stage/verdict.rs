//! Says whether each module beats its untrained twin and the module before it, by more than the noise of the probe.

use super::origin::Origin;
use super::record::ProbeResult;
use crate::quantity::counted;

/// A verdict, and the probes that agree on it: `linear and k-NN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The names of the probes.
    pub probes: String,
    /// What they say.
    pub said: String,
}

/// The verdict of the linear probe and of nearest neighbours on a label; an empty name means the first. It is one
/// verdict where both say the same, and none where there is nothing to compare.
pub fn of_label(probes: &[&ProbeResult], label: &str) -> Vec<Verdict> {
    let found = |probe: &ProbeResult| match label.is_empty() {
        true => Some([probe.accuracy, probe.knn]),
        false => probe.judged(label).map(|it| [it.accuracy, it.knn]),
    };
    let rows = probes.iter().find_map(|probe| match label.is_empty() {
        true => probe.rows,
        false => probe.judged(label)?.rows,
    });
    let mut all: Vec<Verdict> = Vec::new();
    for (place, name) in ["linear", "k-NN"].into_iter().enumerate() {
        let scored = probes.iter().map(|it| Scored {
            module: &it.module,
            index: it.index,
            origin: it.origin,
            accuracy: found(it).and_then(|it| it[place]),
        });
        let scored: Vec<Scored<'_>> = scored.collect();
        let Some(said) = rows.and_then(|rows| verdict(&scored, rows)) else { continue };
        match all.iter_mut().find(|it| it.said == said) {
            Some(it) => it.probes += &format!(" and {name}"),
            None => all.push(Verdict { probes: name.to_string(), said }),
        }
    }
    all
}

/// The accuracy of a probe on one module.
#[derive(Debug, Clone, Copy)]
struct Scored<'a> {
    /// Name of the module.
    module: &'a str,
    /// The module's place in the stack, from 0.
    index: usize,
    /// Where its weights come from.
    origin: Origin,
    /// The share of test rows classified rightly; `None` without labels.
    accuracy: Option<f64>,
}

/// Says whether every trained module beats its untrained twin and the module before it, over `rows` test rows; `None`
/// where there is nothing to compare.
///
/// A module beats another if its accuracy is higher by more than twice the standard error of the difference. Where it
/// is lower by more than that, it falls behind; in between, the two are within the noise.
fn verdict(all: &[Scored<'_>], rows: u64) -> Option<String> {
    let of = |index: usize, origin: Origin| {
        let found = all.iter().find(|it| (it.index, it.origin) == (index, origin))?;
        Some((found.module, found.accuracy?))
    };
    let (mut compared, mut exceptions) = (0, Vec::new());
    for scored in all.iter().filter(|it| it.origin == Origin::Trained) {
        let (module, Some(accuracy)) = (scored.module, scored.accuracy) else { continue };
        let twin =
            of(scored.index, Origin::Untrained).map(|it| ("its untrained twin".into(), it.1));
        let before = scored.index.checked_sub(1).and_then(|it| of(it, Origin::Trained));
        let before = before.map(|(name, accuracy)| (format!("`{name}`"), accuracy));
        for (name, other) in [twin, before].into_iter().flatten() {
            compared += 1;
            let (ahead, noise) = (accuracy - other, noise(accuracy, other, rows));
            if ahead > noise {
                continue;
            }
            let how = if ahead < -noise { "falls behind" } else { "is within the noise of" };
            let points = 100.0 * ahead;
            exceptions.push(format!("`{module}` {how} {name} ({points:+.1} points)"));
        }
    }
    if compared == 0 {
        return None;
    }
    let rows = counted(rows as usize, "test row");
    Some(match exceptions.len() {
        0 => format!(
            "every module beats its untrained twin and the module before it, by more than twice the standard \
             error over {rows}"
        ),
        some => {
            let others = match compared - some {
                0 => String::new(),
                1 => "; the other comparison is won".to_string(),
                won => format!("; the other {won} comparisons are won"),
            };
            format!(
                "{}{others} (noise: twice the standard error over {rows})",
                exceptions.join("; ")
            )
        }
    })
}

/// Twice the standard error of the difference between two shares of `rows`, computed as if the two were measured on
/// different rows. On the same rows the error is smaller.
fn noise(one: f64, other: f64, rows: u64) -> f64 {
    let variance = one * (1.0 - one) + other * (1.0 - other);
    2.0 * (variance / rows.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(index: usize, origin: Origin, accuracy: f64) -> Scored<'static> {
        Scored { module: ["a", "b"][index], index, origin, accuracy: Some(accuracy) }
    }

    #[test]
    fn a_module_beats_another_by_more_than_twice_the_standard_error() {
        let mut all = vec![
            scored(0, Origin::Trained, 0.5),
            scored(0, Origin::Untrained, 0.2),
            scored(1, Origin::Trained, 0.53),
            scored(1, Origin::Untrained, 0.3),
        ];
        let good = "every module beats its untrained twin and the module before it, by more than twice the \
                    standard error over";
        assert_eq!(verdict(&all, 10_000).unwrap(), format!("{good} 10000 test rows"));
        // Three points of 1000 rows: the standard error is 2.2 points.
        let close = "`b` is within the noise of `a` (+3.0 points); the other 2 comparisons are won \
                     (noise: twice the standard error over 1000 test rows)";
        assert_eq!(verdict(&all, 1000).unwrap(), close);
        all[2].accuracy = Some(0.2);
        let behind = "`b` falls behind its untrained twin (-10.0 points); `b` falls behind `a` (-30.0 points); \
                      the other comparison is won (noise: twice the standard error over 1000 test rows)";
        assert_eq!(verdict(&all, 1000).unwrap(), behind);
        assert_eq!(verdict(&all[..1], 1000), None);
    }

    #[test]
    fn the_smallest_difference_that_counts_is_twice_the_standard_error() {
        // sqrt((0.8 * 0.2 + 0.79 * 0.21) / 1000) is 1.8 points.
        assert!((noise(0.8, 0.79, 1000) - 2.0 * 0.018_052).abs() < 1e-4);
        for (accuracy, beats) in [(0.835, true), (0.82, false), (0.79, false)] {
            let pair = [scored(0, Origin::Trained, accuracy), scored(0, Origin::Untrained, 0.79)];
            assert_eq!(verdict(&pair, 1000).unwrap().starts_with("every module beats"), beats);
        }
    }
}
