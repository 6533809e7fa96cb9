//! How far a piece of work has come, how fast it goes, and how long it still takes.

use std::time::{Duration, Instant};

use crate::quantity::{short_bytes, time_in_words};
use crate::stage::progress::Unit;

/// Before this time, a rate says nothing.
const TOO_SOON: Duration = Duration::from_millis(300);

/// The pace of a piece of work since this process began it.
pub struct Pace {
    unit: Unit,
    total: u64,
    /// The units that were done before.
    before: u64,
    since: Instant,
}

impl Pace {
    /// The pace of `total` units, `before` of which are done. A total of 0 is not known.
    pub fn begin(unit: Unit, total: u64, before: u64) -> Self {
        Self { unit, total, before, since: Instant::now() }
    }

    /// The pace in words, with `done` units done: `480/5000 rows  812/s  6 s left`.
    pub fn facts(&self, done: u64) -> String {
        self.facts_after(done, self.since.elapsed())
    }

    fn facts_after(&self, done: u64, passed: Duration) -> String {
        let seconds = passed.as_secs_f64();
        let (count, name) = match self.unit {
            Unit::Bytes => (short_bytes as fn(u64) -> String, String::new()),
            Unit::Of(things) => ((|it| it.to_string()) as fn(u64) -> String, format!(" {things}")),
        };
        let mut facts = match (self.total, done) {
            (0, 0) => return format!("{} so far", time_in_words(seconds)),
            (0, done) => vec![format!("{}{name}", count(done))],
            (total, done) => vec![format!("{}/{}{name}", count(done), count(total))],
        };
        let here = done.saturating_sub(self.before);
        if here > 0 && passed >= TOO_SOON {
            let rate = here as f64 / seconds;
            facts.push(match self.unit {
                Unit::Bytes => format!("{}/s", short_bytes(rate as u64)),
                Unit::Of(_) => format!("{}/s", rounded(rate)),
            });
            if self.total > done {
                let left = (self.total - done) as f64 / rate;
                facts.push(format!("{} left", time_in_words(left)));
            }
        }
        facts.join("  ")
    }
}

/// A number with about two digits: `812`, `9.4`, `0.31`.
fn rounded(number: f64) -> String {
    match number {
        10.0.. => format!("{number:.0}"),
        1.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::progress::ROWS;

    #[test]
    fn the_rate_is_that_of_this_process() {
        let pace = Pace::begin(ROWS, 5000, 4000);
        // Half a second for 100 rows: nine times as long for the other 900.
        let facts = pace.facts_after(4100, Duration::from_millis(500));
        assert_eq!(facts, "4100/5000 rows  200/s  5 s left");
        assert_eq!(pace.facts_after(4000, Duration::from_secs(9)), "4000/5000 rows");
        assert_eq!(pace.facts_after(4100, Duration::from_millis(10)), "4100/5000 rows");
        assert_eq!(pace.facts_after(5000, Duration::from_secs(1)), "5000/5000 rows  1000/s");
    }

    #[test]
    fn bytes_are_told_in_words_and_an_unknown_total_has_no_end() {
        let bytes = Pace::begin(Unit::Bytes, 3_000_000_000, 0);
        let facts = bytes.facts_after(1_000_000_000, Duration::from_secs(100));
        assert_eq!(facts, "1.0 GB/3.0 GB  10.0 MB/s  3 min 20 s left");
        let unknown = Pace::begin(Unit::Of("sections"), 0, 0);
        assert_eq!(unknown.facts_after(0, Duration::from_secs(12)), "12 s so far");
        assert_eq!(unknown.facts_after(4, Duration::from_secs(2)), "4 sections  2.0/s");
    }
}
