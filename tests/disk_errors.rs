//! A run on a disk that fills up, that is read-only, or under limits on files: an error that says what to
//! do, and once that is done the same command ends as if nothing had happened.
#![cfg(unix)]

#[path = "../store/tests/mounting/mod.rs"]
mod mounting;
mod tiny;

use std::path::Path;
use std::process::{Command, Output};

use gimlet_store::faults;
use mounting::{MOUNT, in_a_name_space, skipped};
use tiny::Tiny;

/// Small parts and a checkpoint after every step, so that there are many moments to fail in.
const RUN: &str =
    "run tiny.toml --set training.checkpoint_seconds=0 --set store.rows_per_part=8 --run-dir";

/// `sh -c SCRIPT` beside the pipeline, in which `gimlet DIR` runs it.
fn shell(tiny: &Tiny, mut command: Command, script: &str) -> Output {
    let binary = assert_cmd::cargo::cargo_bin!("gimlet");
    let gimlet = format!("gimlet() {{ $exec \"{}\" --threads 1 {RUN} \"$@\"; }}", binary.display());
    command.current_dir(tiny.path(".")).arg("-c").arg(format!("{gimlet}\n{script}"));
    command.output().unwrap()
}

fn sh() -> Command {
    Command::new("sh")
}

/// Runs that must end well.
fn ok(tiny: &Tiny, script: &str) {
    let output = shell(tiny, sh(), script);
    assert!(output.status.success(), "{script}: {}", tiny::text(&output.stderr));
}

/// That it says what went wrong below `path`, and what to do about it.
fn assert_says(errors: &str, path: &Path, what: &str, hint: &str) {
    let error = errors.lines().find(|line| line.starts_with("error: ")).unwrap_or(errors);
    assert!(error.contains(&path.display().to_string()) && error.contains(what), "{errors}");
    let hinted = errors.lines().find(|line| line.starts_with("hint: ")).unwrap_or(errors);
    assert!(hinted.contains(hint), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

const AGAIN: &str = "and run the same command again; what was committed stays";

/// Runs `gimlet` on a small file system, on which `first` happens; then it gets room and runs again.
/// `None` where nothing can be mounted, else the exit code of the first run and what it said.
fn without_room(tiny: &Tiny, whole: &[(String, String)], first: &str) -> Option<(String, String)> {
    let place = tiny.path("place");
    std::fs::create_dir_all(&place).unwrap();
    let mut command = in_a_name_space("a run on a full disk")?;
    command.arg("sh").env("PLACE", &place);
    let script = format!(
        "remount() {{ mount -t tmpfs -o remount,$1 tmpfs $PLACE || exit 99; }}
         {MOUNT} || exit 99
         {first}
         rm -f $PLACE/filler
         remount size=64m,nr_inodes=10000
         gimlet $PLACE/run || exit 98
         rm -rf ended && cp -r $PLACE/run ended"
    );
    let output = shell(tiny, command, &script);
    assert!(output.status.success(), "{first}: {}", tiny::text(&output.stderr));
    assert!(tiny.contents("ended") == whole, "{first}: other bytes");
    let read = |name| std::fs::read_to_string(tiny.path(name)).unwrap();
    Some((read("code"), read("first")))
}

#[test]
fn a_disk_that_has_no_room_for_another_file() {
    let tiny = Tiny::new();
    ok(&tiny, "gimlet whole");
    let whole = tiny.contents("whole");
    for files in (10..100).step_by(10) {
        let first = format!(
            "remount size=64m,nr_inodes={files}
             gimlet $PLACE/run 2> first
             echo $? > code"
        );
        let Some((code, errors)) = without_room(&tiny, &whole, &first) else { return };
        assert_eq!(code, "1\n", "{errors}");
        assert_says(&errors, &tiny.path("place/run"), "No space left on device", AGAIN);
    }
}

#[test]
fn a_disk_that_somebody_else_fills() {
    let tiny = Tiny::new();
    ok(&tiny, "gimlet whole");
    let whole = tiny.contents("whole");
    if !faults::AVAILABLE {
        return skipped("a run whose disk somebody else fills", "this build has no faults");
    }
    for seen in ["datasets/ingest", "untrained/a/train", "modules/a", "datasets/a/train"] {
        // A run that is to take no more room than there is does not begin: it loses it on the way, held there until
        // the disk is full.
        let first = format!(
            "remount size=4m
             rm -f hold hold.held
             GIMLET_HOLD=$PWD/hold GIMLET_FAULT='create {seen}:wait' exec=exec gimlet $PLACE/run 2> first &
             pid=$!
             while kill -0 $pid && ! [ -e hold.held ]; do sleep 0.01; done
             head -c 5000000 /dev/zero > $PLACE/filler 2> /dev/null
             touch hold
             wait $pid
             echo $? > code"
        );
        let Some((code, errors)) = without_room(&tiny, &whole, &first) else { return };
        println!("{seen}: {code}{errors}");
        assert_eq!(code, "1\n", "{errors}");
        if !errors.contains("error: this does not fit") {
            assert_says(&errors, &tiny.path("place/run"), "No space left on device", AGAIN);
        }
    }
}

#[test]
fn a_disk_that_is_full_from_some_operation_on() {
    if !faults::AVAILABLE {
        return skipped("a run that finds the disk full", "this build has no faults");
    }
    let tiny = Tiny::new();
    ok(&tiny, "gimlet whole");
    let whole = tiny.contents("whole");
    // One run that fails again and again, further on each time.
    for (attempt, at) in (0..240).step_by(40).enumerate() {
        let script = format!("GIMLET_FAULT={at}:full gimlet full");
        let output = shell(&tiny, sh(), &script);
        let errors = tiny::text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "attempt {attempt}: {errors}");
        assert_says(&errors, Path::new("full"), "no storage space", AGAIN);
    }
    ok(&tiny, "gimlet full");
    assert!(tiny.contents("full") == whole, "other bytes");
}

#[test]
fn a_read_only_disk() {
    let tiny = Tiny::new();
    let place = tiny.path("place");
    std::fs::create_dir(&place).unwrap();
    let Some(mut command) = in_a_name_space("a run on a read-only disk") else { return };
    command.arg("sh").env("PLACE", &place);
    let script = format!(
        "{MOUNT} && mount -t tmpfs -o remount,size=64m tmpfs $PLACE || exit 99
         gimlet $PLACE/run || exit 98
         mount -t tmpfs -o remount,ro tmpfs $PLACE || exit 99
         gimlet $PLACE/run 2> same || exit 97
         gimlet $PLACE/run --set training.epochs=3 2> changed
         echo $? > code
         gimlet $PLACE/new 2> new
         echo $? >> code"
    );
    let output = shell(&tiny, command, &script);
    assert!(output.status.success(), "{}", tiny::text(&output.stderr));
    let read = |name| std::fs::read_to_string(tiny.path(name)).unwrap();
    assert!(read("same").contains("all 8 steps are done"), "{}", read("same"));
    assert_eq!(read("code"), "1\n1\n");
    for (errors, run_dir) in [("changed", "run"), ("new", "new")] {
        assert_says(&read(errors), &place.join(run_dir), "Read-only", "mounted read-only");
    }
}

#[test]
fn a_limit_on_open_files() {
    let tiny = Tiny::new();
    let script = "ulimit -n 20; gimlet limited --set store.rows_per_part=2";
    let output = shell(&tiny, sh(), script);
    let errors = tiny::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_says(&errors, Path::new("limited"), "Too many open files", "`ulimit -n`");
    // A limit that may be raised is raised.
    ok(&tiny, "ulimit -Sn 20; gimlet limited --set store.rows_per_part=2");
}

#[test]
fn a_limit_on_the_size_of_files() {
    let tiny = Tiny::new();
    ok(&tiny, "gimlet whole");
    // The signal that goes with it, as a shell leaves it, and ignored.
    for before in ["", "trap '' XFSZ; "] {
        let output = shell(&tiny, sh(), &format!("{before}ulimit -f 16; gimlet limited"));
        let errors = tiny::text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let hint = "raise the file-size limit (`ulimit -f`), which is ";
        assert_says(&errors, Path::new("limited"), "File too large", hint);
        assert!(errors.contains(AGAIN), "{errors}");
    }
    ok(&tiny, "gimlet limited");
    assert!(tiny.contents("limited") == tiny.contents("whole"), "other bytes");
}
