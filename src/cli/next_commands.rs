//! Commands that are worth typing after a run has ended.

use std::path::Path;

use super::arguments::PipelineArgs;
use super::grid::Grid;
use super::{invocation, screen};
use crate::report::quoted;

/// Three commands for the run of `pipeline`, which is called `name`: each works as it is printed.
pub fn next_commands(pipeline: &PipelineArgs, name: &str) -> String {
    let (program, arguments) = (invocation::program(), pipeline.as_typed());
    let weights = quoted(&free_file(name, |it| !Path::new(it).exists()));
    let commands = [
        ("report", String::new(), "one page of what was learned"),
        ("inspect", String::new(), "every dataset: sizes, statistics, rows"),
        ("export", format!(" --output {weights}"), "the weights as one file"),
    ];
    let lines = commands.map(|(command, output, what)| {
        vec![format!("{program} {command} {arguments}{output}"), what.to_string()]
    });
    let widest = lines.iter().map(|it| it[0].len()).max().unwrap_or(0);
    // A command is never wrapped: what it does goes above it, where there is no room beside it.
    let beside = screen::width_of_notes().is_none_or(|width| widest + 40 <= width);
    let text = match beside {
        true => Grid::new(vec![String::new(); 2], lines.to_vec(), vec![]).fit(None),
        false => {
            let lines = lines.iter().map(|it| format!("{}:\n  {}", it[1], it[0]));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    format!("next:\n{}", text.trim_start_matches('\n'))
}

/// A name for a file of weights that is not taken: `NAME.safetensors`, or with a number.
fn free_file(name: &str, is_free: impl Fn(&str) -> bool) -> String {
    let plain = |it: char| if it.is_alphanumeric() || "-_.".contains(it) { it } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let numbered = (2..).map(|number| format!("{name}-{number}.safetensors"));
    let mut names = std::iter::once(format!("{name}.safetensors")).chain(numbered);
    names.find(|it| is_free(it)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_not_proposed() {
        assert_eq!(free_file("a", |_| true), "a.safetensors");
        assert_eq!(free_file("a/b", |it| it.contains('3')), "a-b-3.safetensors");
    }
}
