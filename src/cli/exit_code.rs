//! The exit codes of the program, which the README lists.

use crate::Kind;
use crate::stop::Why;

/// The codes for failures: the code, the kind of error, the README's words for it, and what to do next.
const CODES: [(u8, Kind, &str, &str); 6] = [
    (1, Kind::Failed, "failed", "Read the message and its hint. What is finished is kept."),
    (
        2,
        Kind::Usage,
        "wrong usage or pipeline",
        "Correct the command line or the file. Nothing was done.",
    ),
    (
        4,
        Kind::Damaged,
        "store damaged",
        "`gimlet run` makes again what is damaged; `gimlet verify` names it.",
    ),
    (
        5,
        Kind::NotReady,
        "input not there yet",
        "Do the step that the message names first, or use `gimlet run`.",
    ),
    (
        AGAIN,
        Kind::Interrupted,
        "stopped by a signal or by `--max-runtime`: run it again",
        "The same command goes on from the last checkpoint. A scheduler may start it again by itself.",
    ),
    (
        CTRL_C,
        Kind::Interrupted,
        "interrupted by Ctrl-C",
        "The same command goes on from the last checkpoint.",
    ),
];

/// The page of exit codes; `head` stands below its title.
pub fn page(head: &str) -> String {
    let row = |(code, _, words, next): &(u8, Kind, &str, &str)| {
        format!("| {code} | {words} | {next} |\n")
    };
    let rows: String = CODES.iter().map(row).collect();
    format!(
        "# Exit codes\n\n{head}\n\n| code | meaning | what to do next |\n|---|---|---|\n\
         | 0 | done, or nothing to do | |\n{rows}"
    )
}

/// Asks the caller to run the same command again: EX_TEMPFAIL in `sysexits.h`.
const AGAIN: u8 = 75;

/// The usual exit code of programs after Ctrl-C.
const CTRL_C: u8 = 130;

/// The exit code for a kind of error.
pub fn of(kind: Kind) -> u8 {
    CODES.iter().find(|(_, it, ..)| *it == kind).map_or(1, |(code, ..)| *code)
}

/// The exit code of a process that stops. `None`: only processes that it started were asked to stop.
pub fn of_stop(why: Option<Why>) -> u8 {
    if why == Some(Why::Interrupt) { CTRL_C } else { AGAIN }
}

/// The kind of error that a process of this program ended with; [`Kind::Failed`] for other codes.
pub fn kind(code: i32) -> Kind {
    CODES.iter().find(|(it, ..)| i32::from(*it) == code).map_or(Kind::Failed, |(_, kind, ..)| *kind)
}

#[cfg(test)]
mod tests {
    use gimlet_store::ErrorKind;

    use super::*;

    #[test]
    fn the_readme_lists_all_of_them() {
        let readme: Vec<&str> = include_str!("../../README.md").split_whitespace().collect();
        let codes = CODES.map(|(code, _, words, _)| format!(", {code} {words}")).concat();
        let list =
            format!("the exit code says what happened: 0 done or nothing to do{codes} (both");
        assert!(readme.join(" ").contains(&list), "the README does not say: {list}");
    }

    #[test]
    fn a_kind_is_found_again_by_its_code() {
        for kind in [Kind::Failed, Kind::Usage, Kind::Damaged, Kind::NotReady, Kind::Interrupted] {
            assert_eq!(super::kind(of(kind).into()), kind);
        }
        assert_eq!(of(Kind::Storage(ErrorKind::NoSpace)), 1);
        assert_eq!(kind(of_stop(Some(Why::Interrupt)).into()), Kind::Interrupted);
        assert_eq!(kind(of_stop(Some(Why::Runtime)).into()), Kind::Interrupted);
        assert_eq!(kind(101), Kind::Failed);
    }
}
