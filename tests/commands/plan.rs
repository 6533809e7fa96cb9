//! `gimlet plan`: what a run would do and take, before anything runs.

use crate::tiny;
use insta::assert_snapshot;
use serde_json::Value;
use tiny::{Tiny, three_modules};

/// Without numbers that are the machine's: free bytes.
fn shown(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("free on the disk: ") {
        Some(rest) => format!("free on the disk: [free]; {}", rest.split_once("; ").unwrap().1),
        None => line.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The forecast of one step.
fn step<'a>(plan: &'a Value, stage: &str, step: &str) -> &'a Value {
    let mut steps = plan["steps"].as_array().unwrap().iter();
    steps.find(|it| it["stage"] == stage && it["step"] == step).unwrap()
}

fn bytes(plan: &Value, stage: &str, name: &str) -> f64 {
    step(plan, stage, name)["bytes"].as_u64().unwrap() as f64
}

#[test]
fn a_plan_says_what_would_run_and_leaves_nothing_behind() {
    let tiny = Tiny::with(&three_modules());
    let (out, _) = tiny.ok("plan", &[]);
    assert_snapshot!(shown(&out), @r#"
    stage      step    state    rows  a row                              bytes     memory  time  why
    ingest     ingest  missing    72  image u8 [16, 16, 1]           ~48.45 kB          -  ~0 s  not run yet
    untrained  encode  missing    72  pooled f32 [3, 3, 12]         ~153.98 kB          -  ~0 s  not run yet
    a          train   missing     -  -                               ~2.94 kB  ~80.61 MB  ~0 s  not run yet
    a          encode  missing    72  activation f16 [9, 8, 8, 4]   <377.34 kB          -  ~0 s  not run yet
    a          probe   missing     -  -                                      -          -  ~0 s  not run yet
    b          train   missing     -  -                               ~5.47 kB  ~81.28 MB  ~0 s  not run yet
    b          encode  missing    72  activation f16 [9, 4, 4, 8]   <221.82 kB          -  ~0 s  not run yet
    b          probe   missing     -  -                                      -          -  ~0 s  not run yet
    c          train   missing     -  -                              ~11.28 kB  ~80.74 MB  ~0 s  not run yet
    c          encode  missing    72  activation f16 [9, 2, 2, 12]  <128.51 kB          -  ~0 s  not run yet
    c          probe   missing     -  -                                      -          -  ~0 s  not run yet

    activations of a: stored as relu(z) (as the pipeline says)
    activations of b: stored as relu(z) (as the pipeline says)
    activations of c: stored (as the pipeline says)

    ~: estimated; <: at most, before compression
    11 of 11 steps would run, in 0 s (a guess; --measure times some steps)
    1.01 MB to be written before compression; 0 B there
    free on the disk: [free]; store.max_bytes: not set
    "#);
    let settings = [
        "store.activations=auto",
        "store.max_bytes=1.5MB",
        "store.dtype=int8",
        "view.views=4",
        "training.epochs=20",
    ];
    let (out, _) = tiny.ok("plan", &settings.map(|it| ["--set", it]).concat());
    assert_snapshot!(shown(&out), @r#"
    stage      step    state    rows  a row                            bytes     memory  time  why
    ingest     ingest  missing    72  image u8 [16, 16, 1]         ~48.45 kB          -  ~0 s  not run yet
    untrained  encode  missing    72  pooled f32 [3, 3, 12]       ~153.98 kB          -  ~0 s  not run yet
    a          train   missing     -  -                            ~16.77 kB  ~80.61 MB  ~0 s  not run yet
    a          encode  missing   216  pooled f32 [3, 3, 4]        ~116.74 kB          -  ~0 s  not run yet
    a          probe   missing     -  -                                    -          -  ~0 s  not run yet
    b          train   missing     -  -                            ~19.30 kB  ~81.94 MB  ~0 s  not run yet
    b          encode  missing   216  activation i8 [9, 4, 4, 8]  <417.41 kB          -  ~0 s  not run yet
    b          probe   missing     -  -                                    -          -  ~0 s  not run yet
    c          train   missing     -  -                            ~25.10 kB  ~80.74 MB  ~0 s  not run yet
    c          encode  missing   216  pooled f32 [3, 3, 12]       ~178.94 kB          -  ~0 s  not run yet
    c          probe   missing     -  -                                    -          -  ~0 s  not run yet

    activations of a: recomputed (auto: 0.002 s less than writing and reading them)
    activations of b: stored as relu(z) (auto: recomputing them would take 0.001 s more)
    activations of c: recomputed (auto: no module reads them)

    ~: estimated; <: at most, before compression
    11 of 11 steps would run, in 0 s (a guess; --measure times some steps)
    1.04 MB to be written before compression; 0 B there
    free on the disk: [free]; store.max_bytes: 1.50 MB
    "#);
    assert!(!tiny.path("runs").exists());
}

#[test]
fn bytes_are_those_that_are_written_then() {
    let tiny = Tiny::with(&three_modules());
    let args = ["store.compression=none", "data.textures.train=480", "store.rows_per_part=128"];
    let args = args.map(|it| ["--set", it]).concat();
    for dtype in ["store.dtype=f16", "store.dtype=f32", "store.dtype=int8"] {
        let args =
            [&args[..], &["--set", dtype, "--set", "view.views=2", "--run-dir", dtype]].concat();
        let planned = tiny.json("plan", &args);
        tiny.ok("run", &args);
        let done = tiny.json("plan", &args);
        for (stage, name) in [
            ("ingest", "ingest"),
            ("untrained", "encode"),
            ("a", "encode"),
            ("b", "encode"),
            ("c", "encode"),
        ] {
            assert_eq!(step(&planned, stage, name)["bytes_are"], "estimated");
            assert_eq!(step(&done, stage, name)["bytes_are"], "actual");
            let ratio = bytes(&planned, stage, name) / bytes(&done, stage, name);
            assert!((0.95..1.15).contains(&ratio), "{dtype}: {stage} is off by {ratio}");
            let (before, after) = (&step(&planned, stage, name)["rows"], &step(&done, stage, name));
            assert_eq!(*before, after["rows"]);
        }
        assert_eq!(done["room"]["needed"], 0);
        let used = done["room"]["used"].as_f64().unwrap();
        let total = done["total_bytes"].as_f64().unwrap();
        assert!(used >= total, "{used} bytes hold {total}");
    }
}

#[test]
fn what_is_done_counts_as_there_and_what_would_run_says_why() {
    let tiny = Tiny::with(&three_modules());
    tiny.ok("run", &[]);
    let plan = tiny.json("plan", &["--set", "modules.b.epochs=3"]);
    let runs: Vec<bool> =
        plan["steps"].as_array().unwrap().iter().map(|it| it["runs"].as_bool().unwrap()).collect();
    let b_and_after = [false, false, false, false, false, true, true, true, true, true, true];
    assert_eq!(runs, b_and_after);
    assert_eq!(step(&plan, "b", "train")["why"], "modules.b.epochs: 2 -> 3");
    assert_eq!(step(&plan, "a", "train")["memory_is"], "actual");
    assert_eq!(step(&plan, "b", "train")["memory_is"], "estimated");
    assert_eq!(step(&plan, "c", "encode")["bytes_are"], "most");

    // All is done: there is nothing to write, and so it fits.
    let (used, limit) = (plan["room"]["used"].as_u64().unwrap(), "store.max_bytes=1000");
    tiny.ok("plan", &["--set", limit]);
    tiny.ok("run", &["--set", limit]);
    // Less is missing when something is there.
    let limit = format!("store.max_bytes={used}");
    let short = ["--set", "modules.b.epochs=3", "--set", limit.as_str()];
    let err = tiny.fails(1, "plan", &short);
    assert!(err.contains("earlier generations take room"), "{err}");
    let needed = plan["room"]["needed"].as_u64().unwrap();
    let limit = format!("store.max_bytes={}", used + needed);
    tiny.ok("run", &["--set", "modules.b.epochs=3", "--set", limit.as_str()]);
}

#[test]
fn what_does_not_fit_is_refused_by_how_much_and_nothing_is_written() {
    let tiny = Tiny::with(&three_modules());
    let limit = ["--set", "store.max_bytes=300kB"];
    let needed = tiny.json("plan", &[])["room"]["needed"].as_u64().unwrap();
    let err = tiny.fails(1, "plan", &limit);
    assert_snapshot!(err.lines().skip(1).collect::<Vec<_>>().join("\n"), @r#"
    error: this does not fit, by 708.27 kB: up to 1.01 MB are to be written, 0 B are there, and `store.max_bytes` is 300.00 kB
    hint: set `store.activations` to "auto" or "recompute", a smaller `store.dtype`, or fewer `view.views` or samples; `gimlet plan` shows what each step takes
    "#);
    let output = tiny.output("plan", &[&["--json"], &limit[..]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&document["fits"], document["over_bytes"].as_u64()),
        (&false.into(), Some(needed - 300_000))
    );

    let err = tiny.fails(1, "run", &limit);
    assert!(err.contains("this does not fit, by "), "{err}");
    assert!(!tiny.path("runs/tiny/datasets").exists());
    // One step after another: the first ones fit.
    tiny.ok("ingest", &limit);
    tiny.ok("train", &[&["a"], &limit[..]].concat());
    let err = tiny.fails(1, "encode", &[&["a"], &limit[..]].concat());
    assert!(err.contains("`store.max_bytes` is 300.00 kB"), "{err}");
    assert!(!tiny.path("runs/tiny/datasets/a").exists());
}

#[cfg(unix)]
#[test]
fn what_no_disk_holds_is_refused() {
    let tiny = Tiny::new();
    let large = ["data.textures.train=2000000000", "data.textures.size=4096", "view.crop=16"];
    let absurd = [
        "data.textures.train=2147483647",
        "data.textures.size=16384",
        "view.crop=16",
        "view.views=65536",
        "store.activations=auto",
        "modules.a.layers=[{ conv = { channels = 16384, kernel = 16383 } }]",
    ];
    for args in [&large[..], &absurd[..]] {
        let args: Vec<&str> = args.iter().flat_map(|it| ["--set", it]).collect();
        for command in ["plan", "run"] {
            let err = tiny.fails(1, command, &args);
            assert!(err.contains("are free on the disk"), "{err}");
        }
    }
    assert!(!tiny.path("runs/tiny/datasets").exists());
}

#[test]
fn measured_seconds_come_from_steps_that_leave_nothing_behind() {
    let tiny = Tiny::with(&three_modules());
    let plan = tiny.json("plan", &["--measure"]);
    for module in ["a", "b", "c"] {
        let train = step(&plan, module, "train");
        assert_eq!(train["seconds_are"], "measured");
        assert!(train["seconds"].as_f64().unwrap() > 0.0);
    }
    let guessed = tiny.json("plan", &[]);
    assert_eq!(step(&guessed, "a", "train")["seconds_are"], "estimated");
    assert!(!tiny.path("runs").exists());
}

#[test]
fn the_size_of_images_comes_from_the_first_ones_header() {
    let head = three_modules();
    let (head, rest) = head.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    let data = "[data]\ntrain = \"images\"\ntest = \"images\"\n";
    let tiny = Tiny::with(&format!("{head}{data}\n[view]\ncrop = 16\n{rest}"));
    for n in 0..12u8 {
        let folder = tiny.path("images").join(["cat", "dog"][usize::from(n % 2)]);
        std::fs::create_dir_all(&folder).unwrap();
        let image =
            image::GrayImage::from_fn(20, 18, |x, y| image::Luma([n * 9 + (x * y) as u8 / 4]));
        image.save(folder.join(format!("{n:02}.png"))).unwrap();
    }
    let plan = tiny.json("plan", &[]);
    let images = step(&plan, "ingest", "ingest");
    assert_eq!(images["tensors"][0]["shape"], serde_json::json!([18, 20, 1]));
    assert_eq!(images["rows"], serde_json::json!({ "train": 12, "test": 12 }));

    // The header is all that is read.
    let first = tiny.path("images/cat/00.png");
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(&first, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(tiny.json("plan", &[])["steps"][0]["tensors"], plan["steps"][0]["tensors"]);
    std::fs::write(&first, b"").unwrap();
    let err = tiny.fails(1, "plan", &[]);
    assert!(err.contains("header of the first image") && err.contains("on_bad_sample"), "{err}");
    let auto = ["--set", "store.activations=auto"];
    tiny.fails(1, "status", &auto);
    tiny.ok("status", &[]);
}
