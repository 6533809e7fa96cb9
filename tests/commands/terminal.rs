//! What the program looks like: in 80 and 140 columns, as a log, with `-v` and with `-q`.

use std::process::Command;

use crate::tiny;
use tiny::{Tiny, gimlet, text};

/// The stdout of a command, in a terminal of so many columns as far as the program can tell.
fn in_columns(tiny: &Tiny, columns: usize, args: &[&str]) -> String {
    let mut gimlet = gimlet(&tiny.path("."));
    let output = gimlet.env("COLUMNS", columns.to_string()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn longest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[test]
fn every_table_fits_80_columns_and_shows_more_in_140() {
    let tiny = Tiny::new();
    let sweep = "pipeline = \"tiny.toml\"\nseeds = 2\nbaseline = \"short\"\n[[variants]]\nname = \"short\"\n\
                 [[variants]]\nname = \"long, with a name that is long too\"\nset = { training.epochs = 3 }\n";
    std::fs::write(tiny.path("sweep.toml"), sweep).unwrap();
    let commands: [&[&str]; 8] = [
        &["plan", "tiny.toml"],
        &["run", "tiny.toml"],
        &["status", "tiny.toml"],
        &["status", "tiny.toml", "--set", "training.epochs=3", "--set", "loss.infonce.negatives=5"],
        &["plan", "tiny.toml", "--set", "training.epochs=3"],
        &["probe", "tiny.toml"],
        &["compare", "tiny.toml", "--seeds", "2", "--run-dir", "runs/tiny-compared"],
        &["sweep", "sweep.toml", "--all-modules"],
    ];
    for command in commands {
        let narrow = in_columns(&tiny, 80, command);
        assert!(longest(&narrow) <= 80, "{command:?}:\n{narrow}");
        let wide = in_columns(&tiny, 140, command);
        assert!(longest(&wide) <= 140, "{command:?}:\n{wide}");
    }
    // What a module costs is there in 80 columns; what a row holds has room in 140.
    let narrow = in_columns(&tiny, 80, &["run", "tiny.toml"]);
    assert!(
        ["k-NN", "seconds", "memory", "written"].iter().all(|it| narrow.contains(it)),
        "{narrow}"
    );
    let plan = ["plan", "tiny.toml", "--set", "training.epochs=3"];
    let (narrow, wide) = (in_columns(&tiny, 80, &plan), in_columns(&tiny, 140, &plan));
    assert!(wide.contains("activation f16 [9, 8, 8, 4]"), "{wide}");
    assert!(narrow.contains("not shown in 80 columns: ") && narrow.contains("-> 3"), "{narrow}");
}

#[test]
fn a_run_begins_with_its_plan_and_ends_with_commands_that_work() {
    let tiny = Tiny::new();
    std::fs::write(tiny.path("tiny.safetensors"), "mine").unwrap();
    let settings = ["--set", "training.epochs=1", "--run-dir", "runs/with a space"];
    let (out, err) = tiny.ok("run", &settings);
    let plan: Vec<&str> = err.lines().take_while(|it| !it.is_empty()).collect();
    assert_eq!(plan[0], "tiny in runs/with a space");
    assert!(plan[4].starts_with("a          train, encode, probe  0 of 3  ~"), "{err}");
    assert!(plan.last().unwrap().starts_with("8 of 8 steps to do, about "), "{err}");
    assert!(plan.len() < 24, "one screen: {err}");
    assert!(out.contains("test rows"), "the verdict is a result: {out}");

    let commands: Vec<&str> = err.lines().skip_while(|it| *it != "next:").skip(1).collect();
    assert_eq!(commands.len(), 3, "{err}");
    for line in commands {
        let command = line.rsplit_once("  ").map_or(line, |(command, _)| command.trim_end());
        let mut shell = Command::new("sh");
        let output = shell.current_dir(tiny.path(".")).args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    }
    assert_eq!(std::fs::read(tiny.path("tiny.safetensors")).unwrap(), b"mine");
    assert!(tiny.path("tiny-2.safetensors").exists());

    let (_, err) = tiny.ok("run", &settings);
    assert!(err.starts_with("tiny in runs/with a space: all 8 steps are done\n"), "{err}");
}

#[test]
fn verbose_says_why_and_quiet_nothing_but_results() {
    let tiny = Tiny::new();
    let (table, err) = tiny.ok("run", &["-q"]);
    assert!(table.contains("accuracy") && err.is_empty(), "{err}");
    let (_, err) = tiny.ok("run", &["--set", "modules.b.epochs=3"]);
    assert!(!err.contains("2 -> 3") && !err.contains("neither saves"), "{err}");
    let (_, err) = tiny.ok("run", &["-v", "--set", "modules.b.epochs=4"]);
    assert!(err.contains("train b: stale: modules.b.epochs: 3 -> 4"), "{err}");
    let chosen = err.lines().filter(|it| it.starts_with("encode b train: compression: ")).count();
    assert_eq!(chosen, 1, "one line per dataset: {err}");
    // A single step says so too.
    let (_, err) = tiny.ok("train", &["-v", "b", "--set", "modules.b.epochs=5"]);
    assert!(err.contains("train b: stale: modules.b.epochs: 4 -> 5"), "{err}");
    tiny.fails(2, "run", &["-q", "-v"]);
}

#[test]
fn a_log_has_no_control_characters() {
    let tiny = Tiny::new();
    for schedule in ["sequential", "async"] {
        let kind = format!("schedule.kind={schedule}");
        let (out, err) = tiny.ok("run", &["--set", &kind, "--run-dir", schedule]);
        let control = |it: &char| it.is_control() && *it != '\n';
        assert_eq!(out.chars().chain(err.chars()).find(control), None, "{out}{err}");
    }
}

#[test]
fn completions_and_pages_for_man_are_those_of_all_commands() {
    let tiny = Tiny::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = in_columns(&tiny, 80, &["completions", shell]);
        assert!(script.contains("gimlet") && script.contains("neurons"), "{shell}: {script}");
    }
    let page = in_columns(&tiny, 80, &["man"]);
    assert!(page.contains(".TH gimlet 1"), "{page}");
    in_columns(&tiny, 80, &["man", "--dir", "pages"]);
    let read = |name: &str| std::fs::read_to_string(tiny.path("pages").join(name)).unwrap();
    assert_eq!(read("gimlet.1").trim_end(), page.trim_end());
    let run = read("gimlet-run.1");
    assert!(run.contains("gimlet run") || run.contains("gimlet\\-run"), "{run}");
    assert!(run.contains("max\\-runtime") && run.contains("quiet"), "{run}");
}
