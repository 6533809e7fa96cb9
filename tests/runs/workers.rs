//! The `async` schedule: workers that talk through the store alone, and what becomes of them.

use crate::tiny;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gimlet::pipeline::Pipeline;
use gimlet::random::generator;
use gimlet::stage::{At, RunDir, Standing, Step, lock};
use gimlet_store::Store;
use tiny::{Held, Tiny, text, three_modules, walk};

const RUN: &str = "runs/tiny";

/// Three modules that publish after every epoch, of six steps.
fn three(epochs: usize) -> Tiny {
    Tiny::with(&format!(
        "schedule = \"async\"\n{}",
        three_modules().replace("epochs = 2", &format!("epochs = {epochs}"))
    ))
}

/// `gimlet COMMAND tiny.toml ARGS` as a process that can be signalled.
fn spawn(tiny: &Tiny, command: &str, args: &[&str]) -> Child {
    let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    gimlet.current_dir(tiny.path(".")).env_remove("GIMLET_DATA");
    gimlet.args(["--threads", "2", command, "tiny.toml"]).args(args);
    gimlet.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Waits until `what` holds.
fn wait_for<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process that has the lock of a module, as the lock says.
fn worker(run_dir: &Path, module: &str) -> Option<u32> {
    let locks = std::fs::read_dir(run_dir.join("locks")).ok()?;
    let mut names = locks.flatten().map(|entry| entry.path());
    let path = names.find(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("{module}-")) && name.ends_with(".lock")
    })?;
    let file = std::fs::File::open(&path).ok()?;
    file.try_lock_shared().is_err().then_some(())?;
    let holder = std::fs::read_to_string(path).ok()?;
    holder.split(' ').nth(1)?.parse().ok()
}

fn published(tiny: &Tiny, module: &str) -> Vec<(u64, u64)> {
    let dataset = Store::new().dataset(tiny.path(RUN).join("datasets").join(module).join("train"));
    let all = dataset.readable().unwrap().map(Result::unwrap);
    let steps = |it: &gimlet_store::Generation| it.manifest().settings["steps"].as_u64();
    all.filter_map(|it| Some((it.number(), steps(&it)?))).collect()
}

/// The generations that the steps of a module were trained on, as its log says.
fn trained_on(tiny: &Tiny, module: &str) -> Vec<u64> {
    let log = tiny.find(&format!("{RUN}/modules/{module}"), "log.jsonl");
    let lines = std::fs::read_to_string(log).unwrap();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    lines.lines().filter_map(|it| line(it)["generation"].as_u64()).collect()
}

#[test]
fn a_run_trains_all_modules_at_once_each_on_what_comes_from_below() {
    let tiny = three(4);
    let (_, err) = tiny.ok("run", &[]);
    assert!(err.contains("a: ") && err.contains("b: ") && err.contains("c: "), "{err}");
    for module in ["b", "c"] {
        let on = trained_on(&tiny, module);
        assert_eq!(on.len(), 4 * 6);
        assert!(on.is_sorted(), "{module} never goes back: {on:?}");
        let mut all = on.clone();
        all.dedup();
        assert!(all.len() > 1, "{module} has seen newer generations: {on:?}");
    }
    let kept = published(&tiny, "a");
    assert!(kept.len() <= 3, "two are kept, and the one that came after: {kept:?}");
    assert_eq!(kept[0].1, 4 * 6, "the last is of the module as its training left it");
    assert_eq!(published(&tiny, "c"), [], "nobody reads what the last one would publish");

    let (_, err) = tiny.ok("run", &[]);
    assert!(err.contains("all 11 steps are done"), "{err}");
    tiny.ok("verify", &[]);
}

#[test]
fn the_first_module_ends_as_it_does_in_turn() {
    let tiny = three(3);
    tiny.ok("run", &[]);
    tiny.ok("run", &["--set", "schedule=\"sequential\"", "--run-dir", "turns"]);
    assert!(tiny.tensors(RUN, "a") == tiny.tensors("turns", "a"), "it reads samples, not others");
    assert!(tiny.tensors(RUN, "b") != tiny.tensors("turns", "b"), "it has read early generations");
}

#[test]
fn generations_have_views_of_their_own() {
    let tiny = Tiny::with(&format!(
        "schedule = {{ kind = \"async\", sync_every = 2 }}\n{}",
        three_modules()
            .replace("epochs = 2", "epochs = 5")
            .replace("patch = 8", "crop = 12\nflip = true\nviews = 2\npatch = 8")
            .replace("stride = 4", "stride = 2")
            .replace("rows_per_part = 16", "rows_per_part = 16\nkeep_generations = 9")
    ));
    tiny.ok("run", &[]);
    let steps: Vec<u64> = published(&tiny, "a").into_iter().map(|it| it.1).rev().collect();
    assert_eq!(steps, [0, 12, 24, 30], "as drawn, after each two epochs, and at the end");
    let dataset = Store::new().dataset(tiny.path(RUN).join("datasets/a/train"));
    let views = |number| {
        let keys = dataset.generation(number).unwrap().reader(&["pooled"]).unwrap().keys().unwrap();
        keys.attributes
    };
    let (first, second) = (views(1), views(2));
    let numbers = |attributes: &[Vec<i64>]| {
        let mut all = attributes[0].clone();
        all.dedup();
        all
    };
    assert_eq!((numbers(&first), numbers(&second)), (vec![0, 1], vec![2, 3]));
    assert_ne!(first[1..], second[1..], "other crops and flips");
}

#[test]
fn workers_that_are_killed_twenty_times_end_their_work_all_the_same() {
    const KILLS: usize = 20;
    const EPOCHS: usize = 30;
    let tiny = three(EPOCHS);
    let settings = ["--set", "training.checkpoint_seconds=0.02"];
    // Each worker is held before it commits what it has come to: so none is done before all have been killed.
    let mut run = tiny.process("run", &settings);
    let Some(mut run) = Held::spawn(&mut run, "link weights.safetensors") else { return };
    let run_dir = tiny.path(RUN);
    let mut draws = generator(6, "kills", &[]);
    let mut killed = 0;
    while killed < KILLS {
        std::thread::sleep(Duration::from_millis(20 + u64::from(draws.below(150))));
        let module = ["a", "b", "c"][draws.below(3) as usize];
        if run.child.try_wait().unwrap().is_some() {
            // It has ended badly: it says so below.
            break;
        }
        let Some(pid) = worker(&run_dir, module).filter(|it| *it != run.child.id()) else {
            continue;
        };
        signal(pid, rustix::process::Signal::KILL);
        killed += 1;
        wait_for("another worker", || {
            worker(&run_dir, module).is_some_and(|it| it != pid).then_some(())
        });
    }
    run.release();
    let output = run.output();
    let err = text(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert_eq!(killed, KILLS, "{err}");
    let again = err.matches("was lost: it is started again").count();
    assert!(again >= KILLS - 3, "{again} were started again: {err}");
    for module in ["b", "c"] {
        assert_eq!(trained_on(&tiny, module).len(), EPOCHS * 6);
    }
    tiny.ok("verify", &[]);
    let status = tiny.json("status", &settings);
    let stages = status["stages"].as_array().unwrap();
    assert!(stages.iter().all(|it| it["state"] == "done"), "{status:#}");
    walk(&run_dir, &mut |path| {
        assert!(!path.to_str().unwrap().ends_with(".tmp"), "{}", path.display());
    });
}

#[test]
fn a_second_worker_of_a_module_is_refused_with_the_firsts_pid_and_host() {
    let tiny = three(2);
    tiny.ok("ingest", &[]);
    let pipeline = Pipeline::load(&tiny.path("tiny.toml"), &[]).unwrap();
    let dir = RunDir::at(tiny.path(RUN));
    let standing = Standing::new(&pipeline, dir).unwrap();
    let training = |module| Step::Train(At { module, round: 0 });
    let _lock = lock::acquire(&standing, training(0), gimlet_store::Shard::WHOLE).unwrap();
    let err = tiny.fails(1, "worker", &["--module", "a"]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let holder = format!("process {} {}", std::process::id(), host.trim());
    assert!(err.contains(holder.trim()), "{err}");

    // A run is told so, too, and the others do not wait for ever.
    drop(_lock);
    let _lock = lock::acquire(&standing, training(2), gimlet_store::Shard::WHOLE).unwrap();
    let err = tiny.fails(1, "run", &[]);
    assert!(err.contains("the worker of `c` failed") && err.contains(holder.trim()), "{err}");
    assert!(err.contains("hint: "), "{err}");
    drop(_lock);
    let (_, err) = tiny.ok("run", &["-v"]);
    assert!(err.contains("train b                done before"), "the others went on: {err}");
}

#[test]
fn the_death_of_one_does_not_stop_the_next_from_training_on_what_there_is() {
    let tiny = three(3);
    tiny.ok("ingest", &[]);
    let a = spawn(&tiny, "worker", &["--module", "a", "--set", "training.epochs=100000"]);
    // The setting is of both, so that they are of one pipeline.
    let settings = ["--module", "b", "--set", "training.epochs=100000"];
    wait_for("a generation", || (!published(&tiny, "a").is_empty()).then_some(()));
    let b = spawn(&tiny, "worker", &settings);
    let log = wait_for("a step of b", || {
        let mut found = None;
        walk(&tiny.path(RUN).join("modules/b"), &mut |path: &Path| {
            let is_log = path.ends_with("log.jsonl");
            found = found.take().or(is_log.then(|| path.to_path_buf()));
        });
        found
    });
    signal(a.id(), rustix::process::Signal::KILL);
    let a = a.wait_with_output().unwrap();
    assert!(!a.status.success());
    let newest = published(&tiny, "a")[0].0;
    let steps_on_newest = |log: &PathBuf| {
        let lines = std::fs::read_to_string(log).unwrap_or_default();
        lines.matches(&format!("\"generation\":{newest},")).count()
    };
    // More than an epoch, which is where it would wait for a worker that lives.
    wait_for("more steps than an epoch", || (steps_on_newest(&log) > 12).then_some(()));
    signal(b.id(), rustix::process::Signal::TERM);
    let b = b.wait_with_output().unwrap();
    assert_eq!(b.status.code(), Some(75), "{}", text(&b.stderr));
}

#[test]
fn a_generation_that_was_deleted_or_damaged_gives_way_to_another() {
    let tiny = three(3);
    let keep = ["--set", "store.keep_generations=9"];
    tiny.ok("ingest", &keep);
    tiny.ok("worker", &[&["--module", "a"][..], &keep].concat());
    let dataset = Store::new().dataset(tiny.path(RUN).join("datasets/a/train"));
    let numbers = dataset.generations().unwrap();
    assert_eq!(numbers, [4, 3, 2, 1]);
    // The newest has lost a part, the one before is cut short, the next has lost its manifest.
    let folder = |number| dataset.generation(number).unwrap().dir().path().to_path_buf();
    std::fs::remove_file(folder(4).join("part-00001.parquet")).unwrap();
    let part = folder(3).join("part-00000.parquet");
    let bytes = std::fs::read(&part).unwrap();
    std::fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::remove_file(dataset.folder().path().join("00000002.json")).unwrap();
    tiny.ok("worker", &[&["--module", "b"][..], &keep].concat());
    let on = trained_on(&tiny, "b");
    assert!(on.iter().all(|it| *it == 1), "{on:?}");

    std::fs::remove_file(folder(1).join("part-00002.parquet")).unwrap();
    let all = [&["--module", "b", "--set", "modules.b.epochs=4"][..], &keep].concat();
    let err = tiny.fails(4, "worker", &all);
    assert!(err.contains("`a` has ended") && err.contains("gimlet encode"), "{err}");
    tiny.ok("encode", &[&["a"][..], &keep].concat());
    tiny.ok("worker", &all);
}

#[test]
fn damage_under_a_reader_is_told_and_passed_over() {
    let tiny = three(3);
    let keep = ["--set", "store.keep_generations=9"];
    tiny.ok("ingest", &keep);
    tiny.ok("worker", &[&["--module", "a"][..], &keep].concat());
    let dataset = Store::new().dataset(tiny.path(RUN).join("datasets/a/train"));
    // Of the same length: only a reader of its pages can tell.
    let part = dataset.generation(4).unwrap().dir().path().join("part-00001.parquet");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
    std::fs::write(&part, bytes).unwrap();
    let (_, err) = tiny.ok("worker", &[&["--module", "b"][..], &keep].concat());
    assert!(err.contains("part-00001.parquet") && err.contains("generation 3"), "{err}");
    assert_eq!(trained_on(&tiny, "b").last(), Some(&3));
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let tiny = three(2);
    tiny.ok("ingest", &[]);
    tiny.ok("worker", &["--module", "a"]);
    let dataset = Store::new().dataset(tiny.path(RUN).join("datasets/a/train"));
    let newest = dataset.generations().unwrap()[0];
    // The newest was written long ago, all others are to be written tomorrow.
    let now = std::time::SystemTime::now();
    let day = Duration::from_secs(24 * 3600);
    walk(&tiny.path(RUN), &mut |path: &Path| {
        let old = path.to_str().unwrap().contains(&format!("{newest:08}"));
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(if old { now - 1000 * day } else { now + day }).unwrap();
    });
    tiny.ok("worker", &["--module", "b"]);
    assert!(trained_on(&tiny, "b").iter().all(|it| *it == newest), "order is by number");
    tiny.ok("run", &[]);
    tiny.ok("gc", &["--keep", "0"]);
    tiny.ok("verify", &[]);
}

#[test]
fn a_worker_stops_and_goes_on_where_it_was() {
    let tiny = three(40);
    tiny.ok("ingest", &[]);
    let at = "link datasets/a/train/00000003";
    let Some(a) = tiny.held(at, "worker", &["--module", "a"]) else { return };
    assert_eq!(published(&tiny, "a").len(), 2);
    a.signal(rustix::process::Signal::TERM);
    let a = a.output();
    assert_eq!(a.status.code(), Some(75), "{}", text(&a.stderr));
    tiny.ok("worker", &["--module", "a"]);
    tiny.ok("run", &["--set", "schedule=\"sequential\"", "--run-dir", "turns"]);
    assert!(tiny.tensors(RUN, "a") == tiny.tensors("turns", "a"));
}

#[test]
fn what_a_worker_cannot_do_it_says() {
    let tiny = Tiny::new();
    let err = tiny.fails(2, "worker", &["--module", "a"]);
    assert!(err.contains("`sequential`") && err.contains("schedule.kind=async"), "{err}");
    let tiny = three(2);
    let err = tiny.fails(2, "worker", &["--module", "x"]);
    assert!(err.contains("a, b, c"), "{err}");
    let err = tiny.fails(5, "worker", &["--module", "a"]);
    assert!(err.contains("`gimlet ingest`"), "{err}");
    let err = tiny.fails(2, "run", &["--set", "store.activations=recompute"]);
    assert!(err.contains("`a`") && err.contains("activations = \"store\""), "{err}");
}

#[test]
fn workers_end_with_the_run_that_started_them() {
    let tiny = three(100_000);
    let run = spawn(&tiny, "run", &[]);
    let run_dir = tiny.path(RUN);
    for module in ["a", "b", "c"] {
        wait_for("a worker", || worker(&run_dir, module).filter(|it| *it != run.id()));
    }
    signal(run.id(), rustix::process::Signal::KILL);
    run.wait_with_output().unwrap();
    for module in ["a", "b", "c"] {
        wait_for("the end of a worker", || worker(&run_dir, module).is_none().then_some(()));
    }
}

#[test]
fn a_worker_tells_where_its_time_went_and_of_large_batches() {
    let tiny = three(1);
    let small = ["--set", "store.read_memory=1kB"];
    tiny.ok("ingest", &small);
    let (out, err) = tiny.ok("train", &[&["a", "--profile"][..], &small].concat());
    assert!(out.contains("optimiser") && out.contains("moments"), "{out}");
    assert!(err.contains("one batch of `a` takes"), "{err}");
    let again = [&["a", "--profile", "--run-dir", "again"][..], &small].concat();
    tiny.ok("ingest", &[&["--run-dir", "again"][..], &small].concat());
    let profile = tiny.json("train", &again);
    assert!(profile["steps"].as_u64().unwrap() > 0, "{profile}");
}
