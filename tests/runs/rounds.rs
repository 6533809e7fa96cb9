//! Modules that train in rounds: what they come to, what stays on disk, and what commands say of it.

use crate::tiny;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gimlet::parameters::Parameters;
use gimlet::random::generator;
use gimlet_store::{Generation, Store, faults};
use insta::assert_snapshot;
use serde_json::Value;
use tiny::{Held, Tiny, killed, three_modules};

/// `--set` for each setting, in a run directory.
fn args(run_dir: &str, settings: &[&str]) -> Vec<String> {
    let settings = settings.iter().flat_map(|it| ["--set".to_owned(), (*it).to_owned()]);
    settings.chain(["--run-dir".to_owned(), run_dir.to_owned()]).collect()
}

/// A command with settings, in a run directory; it must end well.
fn ok(tiny: &Tiny, command: &str, run_dir: &str, settings: &[&str]) -> (String, String) {
    let args = args(run_dir, settings);
    tiny.ok(command, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn json(tiny: &Tiny, command: &str, run_dir: &str, settings: &[&str]) -> Value {
    let args = args(run_dir, settings);
    tiny.json(command, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// So many rounds of so many epochs.
fn rounds(rounds: usize, epochs: usize) -> [String; 3] {
    [
        "schedule.kind=rounds".to_owned(),
        format!("schedule.rounds={rounds}"),
        format!("schedule.epochs_per_round={epochs}"),
    ]
}

fn with<'a>(rounds: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    rounds.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// The record of the newest training of a module.
fn newest(tiny: &Tiny, run_dir: &str, module: &str) -> Value {
    let records = Store::new().records(tiny.path(run_dir).join("modules").join(module));
    records.readable::<Value>().unwrap().next().unwrap().unwrap().1
}

/// The encoder and the loss that the newest training of a module has ended with.
fn trained(tiny: &Tiny, run_dir: &str, module: &str) -> Vec<u8> {
    let record = newest(tiny, run_dir, module);
    let folder = tiny.path(run_dir).join("modules").join(module);
    let path = folder.join(record["weights"].as_str().unwrap());
    let (weights, _) = Parameters::from_safetensors(&std::fs::read(&path).unwrap(), &path).unwrap();
    weights.without("adam").to_safetensors(&Value::Null).unwrap()
}

/// The log of the newest training of a module.
pub fn log(tiny: &Tiny, run_dir: &str, module: &str) -> Vec<Value> {
    let record = newest(tiny, run_dir, module);
    let folder = tiny.path(run_dir).join("modules").join(module);
    let path = folder.join(&record["key"].as_str().unwrap()[..16]).join("log.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn losses(log: &[Value]) -> Vec<(u64, u64, f64)> {
    let number = |entry: &Value, key: &str| entry[key].as_u64().unwrap();
    let of = |it: &Value| (number(it, "step"), number(it, "epoch"), it["loss"].as_f64().unwrap());
    log.iter().map(of).collect()
}

/// The generations of a module's dataset, oldest first.
fn generations(tiny: &Tiny, run_dir: &str, module: &str, split: &str) -> Vec<Generation> {
    let folder = tiny.path(run_dir).join("datasets").join(module).join(split);
    let mut all: Vec<_> =
        Store::new().dataset(folder).readable().unwrap().collect::<Result<_, _>>().unwrap();
    all.reverse();
    all
}

fn probes(tiny: &Tiny, run_dir: &str, settings: &[&str]) -> Value {
    json(tiny, "run", run_dir, settings)["probes"].clone()
}

#[test]
fn one_round_is_a_sequential_run_of_as_many_epochs() {
    let tiny = Tiny::new();
    let one = rounds(1, 2);
    ok(&tiny, "run", "sequential", &[]);
    ok(&tiny, "run", "rounds", &with(&one, &[]));
    for module in ["a", "b"] {
        assert!(trained(&tiny, "rounds", module) == trained(&tiny, "sequential", module));
    }
    assert_eq!(probes(&tiny, "rounds", &with(&one, &[])), probes(&tiny, "sequential", &[]));
    let status = json(&tiny, "status", "rounds", &with(&one, &[]));
    assert_eq!(status["stages"][2].get("round"), None, "{status:#}");
}

#[test]
fn the_first_module_learns_what_it_learns_without_rounds() {
    let tiny = Tiny::new();
    ok(&tiny, "run", "sequential", &["training.epochs=6"]);
    ok(&tiny, "run", "rounds", &with(&rounds(3, 2), &["store.keep_generations=1"]));
    assert!(trained(&tiny, "rounds", "a") == trained(&tiny, "sequential", "a"));
    assert!(trained(&tiny, "rounds", "b") != trained(&tiny, "sequential", "b"));

    // Of the last round alone, and yet of all.
    let (all, log) = (log(&tiny, "sequential", "a"), log(&tiny, "rounds", "a"));
    assert_eq!(losses(&log), losses(&all));
    assert_eq!(log.len(), 6 * 6);
    let seconds: Vec<f64> = log.iter().map(|it| it["seconds"].as_f64().unwrap()).collect();
    assert!(seconds.is_sorted(), "{seconds:?}");
    let record = newest(&tiny, "rounds", "a");
    assert_eq!(record["steps"], 6 * 6);
    assert_eq!(record["seconds"].as_f64(), seconds.last().copied());
    let folders = std::fs::read_dir(tiny.path("rounds/modules/a")).unwrap();
    let folders = folders.filter(|it| it.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(folders, 1, "those before have gone");
}

#[test]
fn each_round_has_views_of_its_own_and_the_test_split_has_not() {
    let tiny = Tiny::new();
    let three = rounds(3, 1);
    let more =
        ["data.textures.size=20", "view.crop=16", "store.keep_generations=3", "view.views=2"];
    ok(&tiny, "run", "run", &with(&three, &more));
    let attributes = |split| -> Vec<Vec<Vec<i64>>> {
        let of = |it: &Generation| it.reader(&["pooled"]).unwrap().keys().unwrap().attributes;
        generations(&tiny, "run", "a", split).iter().map(of).collect()
    };
    let (train, test) = (attributes("train"), attributes("test"));
    assert_eq!((train.len(), test.len()), (3, 3));
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        // The views are numbered on, and where they lie is drawn anew.
        let numbers = train[one][0].iter().map(|it| it + 2 * (other - one) as i64);
        assert_eq!(numbers.collect::<Vec<_>>(), train[other][0]);
        assert_ne!(train[one][1..], train[other][1..], "rounds {one} and {other}");
        assert_eq!(test[one], test[other]);
    }
    // What b makes of a row says which view of the sample that was.
    let of_b = generations(&tiny, "run", "b", "train");
    assert_eq!(of_b.len(), 1, "nobody reads what b has made in earlier rounds");
    assert_eq!(of_b[0].reader(&["pooled"]).unwrap().keys().unwrap().attributes, train[2]);
}

#[test]
fn more_rounds_go_on_from_those_that_are_there() {
    let tiny = Tiny::new();
    let (two, three) = (rounds(2, 2), rounds(3, 2));
    ok(&tiny, "run", "at once", &with(&three, &[]));
    ok(&tiny, "run", "grown", &with(&two, &[]));
    let before = newest(&tiny, "grown", "a");
    let (_, err) = ok(&tiny, "run", "grown", &with(&three, &[]));
    let worked = |step: &str| err.lines().any(|it| it.contains(step) && it.contains("steps,"));
    for module in ["a", "b"] {
        assert!(worked(&format!("train {module}, round 3")), "{err}");
        assert!(!worked(&format!("train {module}, round 2")), "{err}");
        assert!(trained(&tiny, "grown", module) == trained(&tiny, "at once", module));
    }
    assert_eq!(
        probes(&tiny, "grown", &with(&three, &[])),
        probes(&tiny, "at once", &with(&three, &[]))
    );
    let after = newest(&tiny, "grown", "a");
    assert!(after["seconds"].as_f64() > before["seconds"].as_f64(), "{before} {after}");
    // Seconds and memory of encodings add up, too.
    let [.., last, newest] = &generations(&tiny, "grown", "a", "train")[..] else { panic!() };
    let seconds = |it: &Generation| it.manifest().summary["seconds"].as_f64().unwrap();
    assert!(seconds(newest) > seconds(last));
    // Fewer rounds than are there need nothing done either.
    let (_, err) = ok(&tiny, "run", "grown", &with(&two, &[]));
    assert!(!err.contains("steps,"), "{err}");
}

#[test]
fn boundaries_that_are_recomputed_give_the_same_weights() {
    let tiny = Tiny::with(&three_modules());
    let two = rounds(2, 1);
    let more = ["store.dtype=f32", "view.views=2", "data.textures.size=20", "view.crop=16"];
    let settings = with(&two, &more);
    ok(&tiny, "run", "stored", &settings);
    for recomputed in [&["a"][..], &["a", "b"]] {
        let run_dir = recomputed.concat();
        let of_modules = recomputed.iter().map(|it| format!("modules.{it}.activations=recompute"));
        let of_modules: Vec<String> = of_modules.collect();
        let settings = with(&of_modules, &settings);
        ok(&tiny, "run", &run_dir, &settings);
        for module in ["a", "b", "c"] {
            let same = trained(&tiny, &run_dir, module) == trained(&tiny, "stored", module);
            assert!(same, "{module} above {recomputed:?}");
        }
        assert_eq!(probes(&tiny, &run_dir, &settings), probes(&tiny, "stored", &with(&two, &more)));
        assert_eq!(generations(&tiny, &run_dir, "a", "train").len(), 1, "but for the probe");
    }
}

/// The records of a folder and the folders of keys in it, which may not have records yet.
fn on_disk(folder: &Path) -> (usize, usize) {
    let (mut records, mut folders) = (0, 0);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            records += usize::from(name.ends_with(".json"));
            folders += usize::from(name.len() == 16);
        }
    }
    (records, folders)
}

fn gimlet(tiny: &Tiny, command: &str, run_dir: &str, settings: &[&str]) -> Command {
    let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    gimlet.current_dir(tiny.path(".")).args(["--threads", "2", command, "tiny.toml"]);
    gimlet.args(args(run_dir, settings)).stdout(Stdio::null()).stderr(Stdio::piped());
    gimlet
}

fn ends_well(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", tiny::text(&output.stderr));
}

#[test]
fn no_more_generations_are_on_disk_than_stay_and_the_one_at_work() {
    let tiny = Tiny::new();
    let six = rounds(6, 2);
    for keep in [1, 3] {
        let (run_dir, keep_generations) =
            (format!("keep-{keep}"), format!("store.keep_generations={keep}"));
        let settings = with(&six, &[&keep_generations, "store.rows_per_part=8"]);
        let shelves = ["modules/a", "modules/b", "datasets/a/train", "datasets/a/test"];
        let shelves = shelves.map(|it| tiny.path(&run_dir).join(it));
        // Held at the record of the fourth round, it is seen in the middle on any machine.
        let mut run = gimlet(&tiny, "run", &run_dir, &settings);
        let Some(mut held) = Held::begin(&mut run, "link modules/b/00000004") else { return };
        let mut most = 0;
        while held.child.try_wait().unwrap().is_none() {
            for shelf in &shelves {
                let (records, folders) = on_disk(shelf);
                most = most.max(records).max(folders);
                // One is listed while another comes or goes.
                assert!(
                    records.max(folders) <= keep + 1,
                    "{records} {folders} in {}",
                    shelf.display()
                );
            }
            held.release();
        }
        ends_well(held.child);
        assert!(most >= keep, "{most} were seen");
        for shelf in &shelves {
            assert_eq!(on_disk(shelf), (keep, keep), "{}", shelf.display());
        }
        assert_eq!(on_disk(&tiny.path(&run_dir).join("datasets/b/train")), (1, 1));
        let (_, err) = ok(&tiny, "run", &run_dir, &settings);
        assert!(err.contains("all 8 steps are done"), "{err}");
        ok(&tiny, "verify", &run_dir, &settings);
    }
}

#[test]
fn what_stays_for_a_while_may_be_removed_by_gc_and_what_is_needed_may_not() {
    let tiny = Tiny::new();
    let three = rounds(3, 1);
    let settings = with(&three, &[]);
    ok(&tiny, "run", "runs/tiny", &settings);
    let gc = |limits: &[&str]| {
        let settings = settings.iter().flat_map(|it| ["--set", it]);
        let args: Vec<&str> = settings.chain(limits.iter().copied()).collect();
        let found = tiny.json("gc", &args);
        let paths = found["leftovers"].as_array().unwrap().iter().filter(|it| it["goes"] == true);
        paths.map(|it| it["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(gc(&[]), Vec::<String>::new());
    // Of rounds 2 and 3, the former.
    let second = ["datasets/a/test", "datasets/a/train", "modules/a", "modules/b"];
    assert_eq!(
        gc(&["--keep", "0", "--grace", "0"]),
        second.map(|it| format!("{it}/00000002.json"))
    );
    let (_, err) = ok(&tiny, "run", "runs/tiny", &settings);
    assert!(err.contains("all 8 steps are done"), "{err}");
    ok(&tiny, "verify", "runs/tiny", &settings);

    // In the middle of a run what comes next reads the second round of a, which is not the newest.
    let four = rounds(4, 1);
    let middle = with(&four, &["seed=6"]);
    ok(&tiny, "ingest", "runs/tiny", &middle);
    for step in ["train", "encode", "train", "encode"] {
        let args = args("runs/tiny", &middle);
        let args: Vec<&str> = ["a"].into_iter().chain(args.iter().map(String::as_str)).collect();
        tiny.ok(step, &args);
    }
    let args = args("runs/tiny", &middle);
    let limits = ["--keep", "0", "--grace", "0"].into_iter();
    tiny.ok("gc", &args.iter().map(String::as_str).chain(limits).collect::<Vec<_>>());
    assert_eq!(
        generations(&tiny, "runs/tiny", "a", "train").len(),
        2,
        "b has yet to train on both"
    );
    ok(&tiny, "run", "runs/tiny", &middle);
}

#[test]
fn one_step_after_another_says_which_round_it_is_and_what_it_lacks() {
    let tiny = Tiny::new();
    let three = rounds(3, 1);
    let settings: Vec<&str> = three.iter().flat_map(|it| ["--set", it.as_str()]).collect();
    let of = |module: &'static str| [&[module][..], &settings].concat();
    tiny.ok("ingest", &settings);
    let (_, err) = tiny.ok("train", &of("a"));
    assert!(err.contains("train a, round 1"), "{err}");
    let err = tiny.fails(5, "train", &of("b"));
    assert!(
        err.contains("`train b, round 1` needs what `encode a, round 1` writes")
            && err.contains("run `gimlet encode a` first"),
        "{err}"
    );
    // Ahead of b, which then finds what it needs all the same.
    let (_, err) = tiny.ok("train", &of("a"));
    assert!(err.contains("train a, round 2"), "{err}");
    let (_, err) = tiny.ok("encode", &of("a"));
    assert!(err.contains("encode a, round 1"), "{err}");
    let (_, err) = tiny.ok("train", &of("b"));
    assert!(err.contains("train b, round 1"), "{err}");
    let err = tiny.fails(5, "train", &of("b"));
    assert!(err.contains("`train b, round 2` needs what `encode a, round 2` writes"), "{err}");
    let (out, _) = tiny.ok("status", &settings);
    let states =
        out.lines().map(|line| line.split_whitespace().take(4).collect::<Vec<_>>().join(" "));
    assert_snapshot!(states.collect::<Vec<_>>().join("\n"), @r"
    stage step state generation
    ingest ingest done 1
    untrained encode missing -
    b train 1/3 done
    a train 2/3 done
    a encode 2/3 missing
    b train 2/3 missing
    a train 3/3 missing
    a encode 3/3 missing
    a probe missing -
    b train 3/3 missing
    b encode 3/3 missing
    b probe missing -
    ");
    tiny.ok("run", &settings);
    let (_, err) = tiny.ok("train", &of("a"));
    assert!(err.contains("train a, round 3") && err.contains("nothing changed"), "{err}");
    let (_, err) = tiny.ok("encode", &of("a"));
    assert!(err.contains("encode a, round 3") && err.contains("nothing changed"), "{err}");

    let whole = Tiny::new();
    whole.ok("run", &settings);
    for module in ["a", "b"] {
        assert!(trained(&tiny, "runs/tiny", module) == trained(&whole, "runs/tiny", module));
    }
}

#[test]
fn status_of_a_run_that_is_done_is_that_of_the_last_round() {
    let tiny = Tiny::new();
    let three = rounds(3, 2);
    let settings = with(&three, &["store.keep_generations=1"]);
    let status = |settings: &[&str]| {
        let document = json(&tiny, "status", "run", settings);
        let stages = document["stages"].as_array().unwrap().clone();
        let of = |it: &Value| {
            let text = |key: &str| it[key].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {} {}",
                text("stage"),
                text("step"),
                it["round"],
                it["rounds"],
                text("state")
            )
        };
        (stages.iter().map(of).collect::<Vec<_>>(), stages)
    };
    let (fresh, _) = status(&settings);
    assert_eq!(fresh.len(), 2 + 3 * 3 + 1 + 2, "{fresh:#?}");
    assert_eq!(fresh[2], "a train 1 3 missing");
    ok(&tiny, "run", "run", &settings);
    let (done, stages) = status(&settings);
    assert_eq!(
        done,
        [
            "ingest ingest null null done",
            "untrained encode null null done",
            "a train 3 3 done",
            "a encode 3 3 done",
            "a probe null null done",
            "b train 3 3 done",
            "b encode 3 3 done",
            "b probe null null done",
        ]
    );
    // What the table says that a module has cost is what its last round says of all.
    let (table, _) = ok(&tiny, "run", "run", &settings);
    let row = table.lines().find(|it| it.starts_with("b ") && it.contains(" trained")).unwrap();
    let written: u64 = [5, 6].iter().map(|it| stages[*it]["bytes"].as_u64().unwrap()).sum();
    assert!(row.ends_with(&format!("{:.1} kB", written as f64 / 1e3)), "{row}: {written}");
    assert_eq!(stages[2]["seconds"], newest(&tiny, "run", "a")["seconds"]);
    let (text, _) = ok(&tiny, "status", "run", &settings);
    assert!(text.contains("train 3/3"), "{text}");

    // Rounds that are to come are missing, and do not look stale for the sake of those that are there.
    let more = rounds(4, 2);
    let (grown, stages) = status(&with(&more, &["store.keep_generations=1"]));
    assert!(grown.contains(&"a train 3 4 done".to_owned()), "{grown:#?}");
    let place = grown.iter().position(|it| it == "a train 4 4 missing");
    assert_eq!(stages[place.unwrap_or_else(|| panic!("{grown:#?}"))]["why"], "not run yet");
    // Other settings are.
    let (other, _) =
        status(&with(&three, &["store.keep_generations=1", "training.learning_rate=1e-2"]));
    assert!(other.contains(&"a train 1 3 stale".to_owned()), "{other:#?}");

    let inspected = json(&tiny, "inspect", "run", &settings);
    assert_eq!(inspected["datasets"].as_array().unwrap().len(), 2 * (1 + 2 + 2));
}

#[test]
fn a_plan_counts_what_is_on_disk_at_a_time_and_the_seconds_of_all_rounds() {
    let tiny = Tiny::new();
    let five = rounds(5, 2);
    let settings = with(&five, &["store.compression=none"]);
    let (out, _) = ok(&tiny, "plan", "run", &settings);
    let shown = out.split("free on the disk").next().unwrap().trim_end();
    assert_snapshot!(shown, @r"
    stage      step          state    rows  a row                             bytes     memory  time  why
    ingest     ingest        missing    72  image u8 [16, 16, 1]          ~48.45 kB          -  ~0 s  not run yet
    untrained  encode        missing    72  pooled f32 [3, 3, 8]          ~92.29 kB          -  ~0 s  not run yet
    a          train 1-5/5   missing     -  -                             ~11.90 kB  ~80.61 MB  ~0 s  not run yet
    a          encode 1-5/5  missing    72  activation f16 [9, 8, 8, 4]  ~377.34 kB          -  ~0 s  not run yet
    a          probe         missing     -  -                                     -          -  ~0 s  not run yet
    b          train 1-5/5   missing     -  -                             ~19.49 kB  ~81.28 MB  ~0 s  not run yet
    b          encode 5/5    missing    72  activation f16 [9, 4, 4, 8]  ~221.82 kB          -  ~0 s  not run yet
    b          probe         missing     -  -                                     -          -  ~0 s  not run yet

    activations of a: stored as relu(z) (as the pipeline says)
    activations of b: stored (as the pipeline says)

    bytes are those of one round; of 5 rounds, the newest 2 stay on disk
    ~: estimated; <: at most, before compression
    20 of 20 steps would run, in 0 s (a guess; --measure times some steps)
    1.55 MB to be written; 0 B there
    ");
    let plan = |more: &[&str]| {
        json(&tiny, "plan", "run", &with(&five, &[&["store.compression=none"], more].concat()))
    };
    let needed = |more: &[&str]| plan(more)["room"]["needed"].as_u64().unwrap();
    let of_one = json(&tiny, "plan", "run", &["store.compression=none"]);
    let step = |plan: &Value, round: Value, stage: &str, step: &str, what: &str| {
        let mut all = plan["steps"].as_array().unwrap().iter();
        let is_it =
            |it: &&Value| it["stage"] == stage && it["step"] == step && it["round"] == round;
        all.find(is_it).unwrap_or_else(|| panic!("{plan:#}"))[what].as_f64().unwrap()
    };
    let both = plan(&[]);
    // A generation more of all that b reads and goes on with; not of what is written once.
    let (one, two, three) = (
        needed(&["store.keep_generations=1"]),
        needed(&["store.keep_generations=2"]),
        needed(&["store.keep_generations=3"]),
    );
    let encoded = step(&both, 1.into(), "a", "encode", "bytes") as u64;
    assert!(two - one >= encoded && three - two >= encoded, "{one} {two} {three}");
    assert!(three - two < 2 * encoded, "{one} {two} {three}");
    assert!(needed(&["store.keep_generations=9"]) > three + encoded, "all that are made");
    let seconds = |plan: &Value| plan["seconds"].as_f64().unwrap();
    assert!(seconds(&both) > 2.0 * seconds(&of_one), "{} {}", seconds(&both), seconds(&of_one));

    // So much, beside `run.json`, is enough at each step; and a little less is not.
    let limit = format!("store.max_bytes={}", one + 100);
    let settings = with(&five, &["store.compression=none", "store.keep_generations=1", &limit]);
    ok(&tiny, "run", "run", &settings);
    let after = json(&tiny, "plan", "run", &settings);
    assert_eq!(after["room"]["needed"], 0);
    assert!(after["room"]["used"].as_u64().unwrap() <= one + 100);
    let limit = format!("store.max_bytes={}", one - 1);
    let settings = with(&five, &["store.compression=none", "store.keep_generations=1", &limit]);
    let args = args("other", &settings);
    let err = tiny.fails(1, "run", &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(err.contains("this does not fit, by "), "{err}");
}

#[test]
fn auto_recomputes_no_boundary_for_generations_that_are_not_kept() {
    // Enough arithmetic that reading what comes of it is faster.
    let heavy =
        "{ conv = { channels = 16, kernel = 5 } }, { basic = { channels = 16, blocks = 4 } }";
    let light = "{ conv = { channels = 4, kernel = 3 } }, { basic = { channels = 4 } }";
    let tiny = Tiny::with(&three_modules().replace(light, heavy));
    let ten = rounds(10, 4);
    let why = |more: &[&str]| {
        let settings = with(&ten, &[&["store.activations=auto"], more].concat());
        let plan = json(&tiny, "plan", "run", &settings);
        let of = |it: &Value| it["step"] == "encode" && it["stage"] == "a" && it["round"] == 10;
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().find(|it| of(it)).unwrap()["boundary"]["why"].as_str().unwrap().to_owned()
    };
    let needed = |keep: &str| {
        let plan = json(&tiny, "plan", "run", &with(&ten, &[keep]));
        plan["room"]["needed"].as_u64().unwrap()
    };
    let keep = "store.keep_generations=1";
    let limit = format!("store.max_bytes={}", needed(keep));
    assert!(!why(&[keep, &limit]).contains("store.max_bytes"), "{}", why(&[keep, &limit]));
    let keep = "store.keep_generations=2";
    assert!(why(&[keep, &limit]).contains("store.max_bytes"), "{}", why(&[keep, &limit]));
}

/// Small parts, a checkpoint after every step, and as little kept as can be.
const HURRIED: [&str; 3] =
    ["training.checkpoint_seconds=0", "store.rows_per_part=8", "store.keep_generations=1"];

#[test]
fn killed_again_and_again_it_ends_bit_for_bit_as_one_that_is_not() {
    let tiny = Tiny::new();
    let four = rounds(4, 2);
    let settings = with(&four, &HURRIED);
    ends_well(gimlet(&tiny, "run", "whole", &settings).spawn().unwrap());
    let whole = tiny.contents("whole");
    let mut draws = generator(11, "kills in rounds", &[]);
    let mut kills = 0;
    for series in 0.. {
        let run_dir = format!("killed-{series}");
        loop {
            if !killed(&mut gimlet(&tiny, "run", &run_dir, &settings), kills, &mut draws) {
                break;
            }
            kills += 1;
        }
        assert_eq!(tiny.contents(&run_dir), whole, "after {kills} kills");
        let (_, err) = ok(&tiny, "run", &run_dir, &settings);
        assert!(err.contains("all 8 steps are done"), "{err}");
        if kills >= 20 {
            break;
        }
    }
}

#[test]
fn ended_between_any_two_operations_it_loses_nothing() {
    if !faults::AVAILABLE {
        eprintln!("skipped: this build has no faults: rounds that end between two operations");
        return;
    }
    let tiny = Tiny::new();
    let three = rounds(3, 1);
    let settings = with(&three, &HURRIED);
    ends_well(gimlet(&tiny, "run", "whole", &settings).spawn().unwrap());
    let whole = tiny.contents("whole");
    let mut draws = generator(11, "operations in rounds", &[]);
    let (mut attempts, mut at_retiring) = (0, 0);
    loop {
        assert!(attempts < 200, "the run does not come to its end");
        let fault = format!("{}:{}", 10 + draws.below(25), ["die", "tear"][attempts % 2]);
        let output = gimlet(&tiny, "run", "ended", &settings).env("GIMLET_FAULT", &fault).output();
        let output = output.unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), Some(faults::EXIT_CODE), "{}", tiny::text(&output.stderr));
        attempts += 1;
        // More than stays, or a folder whose record has gone: it had not retired all.
        let shelves = ["modules/a", "modules/b", "datasets/a/train", "datasets/a/test"];
        let shelves = shelves.map(|it| on_disk(&tiny.path("ended").join(it)));
        at_retiring += usize::from(shelves.iter().any(|(records, _)| *records > 1));
        ok(&tiny, "verify", "ended", &settings);
    }
    assert!(attempts >= 10 && at_retiring >= 1, "{attempts} ends, {at_retiring} at retiring");
    assert_eq!(tiny.contents("ended"), whole, "after {attempts} ends");
}

#[test]
fn what_was_retired_is_made_again_where_damage_asks_for_it() {
    let tiny = Tiny::new();
    let three = rounds(3, 1);
    let settings = with(&three, &["store.keep_generations=1"]);
    ok(&tiny, "run", "run", &settings);
    let whole = tiny.contents("run");
    let record = newest(&tiny, "run", "b");
    let path = tiny.path("run/modules/b").join(record["weights"].as_str().unwrap());
    std::fs::remove_file(&path).unwrap();
    let (_, err) = ok(&tiny, "run", "run", &settings);
    assert!(err.contains("train a, round 1") && err.contains("is damaged: it is rebuilt"), "{err}");
    // The losses of the training that was there are still its log.
    let kept = |contents: Vec<(String, String)>| -> Vec<(String, String)> {
        contents.into_iter().filter(|it| whole.contains(it)).collect()
    };
    assert_eq!(kept(tiny.contents("run")), whole);
}

#[test]
fn rounds_do_not_go_on_from_weights_without_an_optimiser() {
    let tiny = Tiny::new();
    ok(&tiny, "run", "from", &[]);
    let from = args("from", &[]);
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    tiny.ok("export", &[&["--output", "stack.safetensors"], &from[..]].concat());
    let two = rounds(2, 1);
    ok(&tiny, "ingest", "run", &with(&two, &[]));
    let to = args("run", &with(&two, &[]));
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    tiny.ok("import", &[&["stack.safetensors"], &to[..]].concat());
    ok(&tiny, "run", "run", &with(&two, &[]));
    let three = rounds(3, 1);
    let more = args("run", &with(&three, &[]));
    let err = tiny.fails(1, "run", &more.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(err.contains("`train a, round 3` cannot go on from weights imported"), "{err}");
}
