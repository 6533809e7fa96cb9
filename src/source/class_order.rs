//! The order of class names, which gives the classes their numbers.

use std::cmp::Ordering;

/// How the names of classes are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By their bytes.
    Text,
    /// Whole numbers first, by value; then the other names, by their bytes.
    Numbers,
}

impl Order {
    /// Sorts names and removes repeated ones.
    pub fn sort(self, names: &mut Vec<String>) {
        names.sort_by(|a, b| self.compare(a, b));
        names.dedup();
    }

    fn compare(self, a: &str, b: &str) -> Ordering {
        let by_text = || a.cmp(b);
        match (self, digits(a), digits(b)) {
            (Order::Text, ..) | (_, None, None) => by_text(),
            (_, Some(_), None) => Ordering::Less,
            (_, None, Some(_)) => Ordering::Greater,
            // Compares digits instead of parsing them: names may be longer than any integer.
            (_, Some(x), Some(y)) => x.len().cmp(&y.len()).then(x.cmp(y)).then_with(by_text),
        }
    }
}

/// The digits of a whole number without leading zeros; `None` for other names.
fn digits(name: &str) -> Option<&str> {
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| name.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_what_they_are() {
        let sorted = |order: Order, names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|it| it.to_string()).collect();
            order.sort(&mut names);
            names.join(" ")
        };
        let names = ["10", "9", "x", "010", "0", "9", "103", "1a", "b"];
        assert_eq!(sorted(Order::Numbers, &names), "0 9 010 10 103 1a b x");
        assert_eq!(sorted(Order::Text, &names), "0 010 10 103 1a 9 b x");
        let long = "9".repeat(60);
        assert_eq!(sorted(Order::Numbers, &[&long, "5", "x"]), format!("5 {long} x"));
    }
}
