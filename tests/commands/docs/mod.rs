//! The README and the book: every command, pipeline, snippet and link that they show.
//!
//! - A command in a block `sh` or `console` is held against the program's own parser; pipelines that it names have to be
//!   there, and take its settings.
//! - A block `toml` is a pipeline, a sweep, or keys that can be set.
//! - The commands of a block `console` are run, in a folder of the page's own; so is its Python (`walk.rs`).
//!   `<!-- before: gimlet … -->` is a command that is run and not shown.

mod page;
mod shell;
mod walk;

use std::collections::BTreeSet;

use clap::error::ErrorKind;
use gimlet::pipeline::{Environment, Pipeline};
use gimlet::sweep::Sweep;

use page::{Block, Page, root};

/// Pages that are made by a command from the program's own tables, and tested where they are made.
const GENERATED: &str = "docs/reference/";

/// The README and the pages of the book.
fn pages() -> Vec<Page> {
    let mut names = vec!["README.md".to_string()];
    crate::tiny::walk(&root().join("docs"), &mut |path| {
        if path.extension().is_some_and(|it| it == "md") {
            names.push(path.strip_prefix(root()).unwrap().display().to_string());
        }
    });
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}

fn written_by_hand() -> Vec<Page> {
    pages().into_iter().filter(|page| !page.name.starts_with(GENERATED)).collect()
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    for page in written_by_hand() {
        let own = pipelines_of(&page);
        let shown = |block: &&Block| ["sh", "console", "before:"].contains(&block.kind.as_str());
        for block in page.blocks.iter().filter(shown) {
            for words in shell::commands(block) {
                let place = format!("{}: {}", page.at(block.line), words.join(" "));
                match words[0].as_str() {
                    "gimlet" => check_command(&words, &own, &place),
                    _ => check_cargo(&words, &place),
                }
            }
        }
        for (line, code) in page.inline_commands() {
            let mut words = code.split_whitespace().skip(1);
            let name = words.next().unwrap_or_default();
            let command = gimlet::cli::command();
            let command = command.find_subcommand(name);
            let command = command.unwrap_or_else(|| panic!("{}: {code}", page.at(line)));
            for flag in words.filter_map(|word| word.strip_prefix("--")) {
                let known = command.get_arguments().any(|it| it.get_long() == Some(flag));
                assert!(known, "{}: {code}", page.at(line));
            }
        }
    }
}

/// Names of the pipelines that a page saves, or has `gimlet init` write.
fn pipelines_of(page: &Page) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for block in &page.blocks {
        let first = block.text.lines().next().and_then(|line| line.strip_prefix("# "));
        names.extend(first.filter(|it| it.ends_with(".toml")).map(str::to_string));
        for words in shell::commands(block) {
            if let [_, init, folder] = words.as_slice()
                && init == "init"
            {
                names.insert(format!("{}.toml", folder.trim_end_matches('/')));
            }
        }
    }
    names
}

fn check_command(words: &[String], own: &BTreeSet<String>, place: &str) {
    let matches = match gimlet::cli::command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error)
            if [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind()) =>
        {
            return;
        }
        Err(error) => panic!("{place}\n{error}"),
    };
    let Some((_, matches)) = matches.subcommand() else { return };
    let overrides: Vec<String> = match matches.try_get_many::<String>("overrides") {
        Ok(Some(values)) => values.cloned().collect(),
        _ => Vec::new(),
    };
    for file in words.iter().skip(2).filter(|word| word.ends_with(".toml")) {
        let path = root().join(file);
        if own.contains(file) {
            continue;
        }
        let read = match Sweep::is_sweep(&path) {
            Ok(true) => Sweep::load(&path, &overrides).map(drop),
            Ok(false) => Pipeline::load(&path, &overrides).map(drop),
            Err(error) => Err(error),
        };
        read.unwrap_or_else(|error| panic!("{place}\n{error}"));
    }
}

/// `cargo test --test NAME` and `cargo bench --bench NAME`: there is such a program.
fn check_cargo(words: &[String], place: &str) {
    for (flag, name) in words.iter().zip(words.iter().skip(1)) {
        let folders = match flag.as_str() {
            "--test" => ["tests", "store/tests"],
            "--bench" => ["benches", "store/benches"],
            _ => continue,
        };
        let there = |folder: &&str| {
            let path = root().join(folder).join(name);
            path.join("main.rs").exists() || path.with_extension("rs").exists()
        };
        assert!(folders.iter().any(there), "{place}");
    }
}

#[test]
fn every_block_of_toml_is_a_pipeline_or_a_sweep_or_keys_of_one() {
    for page in written_by_hand() {
        for block in page.blocks.iter().filter(|block| block.kind == "toml") {
            let place = page.at(block.line);
            let table: toml::Table =
                block.text.parse().unwrap_or_else(|error| panic!("{place}: {error}"));
            let read = if table.contains_key("modules") {
                let file = root().join("pipelines/page.toml");
                Pipeline::parse(&block.text, &file, &[], &Environment::of_process()).map(drop)
            } else if table.contains_key("pipeline") {
                let file = root().join("pipelines/sweeps/page.toml");
                Sweep::parse(&block.text, &file, &[]).map(drop)
            } else {
                let mut settings = Vec::new();
                flatten("", &table, &mut settings);
                // Keys of images or of sound.
                let load = |recipe| Pipeline::load(&root().join(recipe), &settings).map(drop);
                load("pipelines/cifar10.toml")
                    .or_else(|error| load("pipelines/spoken-digits.toml").map_err(|_| error))
            };
            read.unwrap_or_else(|error| panic!("{place}: {error}"));
        }
    }
}

/// Every value below `table` as `key=value`.
fn flatten(prefix: &str, table: &toml::Table, settings: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => flatten(&format!("{prefix}{key}."), inner, settings),
            value => settings.push(format!("{prefix}{key}={value}")),
        }
    }
}

#[test]
fn what_the_pages_show_is_what_happens() {
    let shows = |page: &&Page| {
        let runs = |block: &Block| ["console", "python"].contains(&block.kind.as_str());
        page.blocks.iter().any(runs)
    };
    let pages = written_by_hand();
    let walked: Vec<&Page> = pages.iter().filter(shows).collect();
    assert!(walked.len() >= 5, "most pages show nothing that can be run");
    for page in walked {
        walk::walk(page);
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = pages();
    let others =
        ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "STYLE.md", "store/README.md"];
    let there = others.into_iter().filter(|name| root().join(name).exists());
    all.extend(there.map(Page::read));
    let mut faults = Vec::new();
    for page in &all {
        for link in page.links() {
            let place = format!("{} -> {}", page.at(link.line), link.path.display());
            if !link.path.exists() {
                faults.push(place);
                continue;
            }
            let Some(anchor) = link.anchor else { continue };
            let path = link.path.canonicalize().unwrap();
            let name = path.strip_prefix(root().canonicalize().unwrap()).unwrap();
            if !Page::read(&name.display().to_string()).anchors().contains(&anchor) {
                faults.push(format!("{place}#{anchor}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_summary_lists_every_page_of_the_book() {
    let summary = Page::read("docs/SUMMARY.md");
    let listed = summary.links().into_iter().map(|link| link.path);
    let listed: BTreeSet<_> = listed.collect();
    let book = pages().into_iter().map(|page| root().join(page.name));
    let book = book.filter(|path| path.starts_with(root().join("docs")));
    let book: BTreeSet<_> = book.filter(|path| !path.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, book);
}

#[test]
fn no_line_of_prose_is_too_long() {
    let long = written_by_hand().into_iter().flat_map(|page| {
        page.long_lines().into_iter().map(|line| page.at(line)).collect::<Vec<_>>()
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "over 120 characters: {}", long.join(", "));
}
