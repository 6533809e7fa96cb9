//! Boundaries that are not stored: the next module has its frozen predecessors compute them.

use crate::tiny;
use tiny::{Tiny, three_modules};

const F32: [&str; 2] = ["--set", "store.dtype=f32"];

fn with<'a>(more: &[&'a str], run_dir: &'a str) -> Vec<&'a str> {
    [&F32, more, &["--run-dir", run_dir]].concat()
}

/// Names and sizes of the tensor columns of a module's dataset.
fn columns(tiny: &Tiny, folder: &str) -> Vec<String> {
    let output =
        tiny::gimlet(&tiny.path(".")).args(["inspect", "--json", folder]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let columns = document["datasets"][0]["columns"].as_array().unwrap();
    columns.iter().map(|column| column["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn recomputed_boundaries_give_the_weights_and_probes_of_stored_ones() {
    let tiny = Tiny::with(&three_modules());
    let views =
        ["view.views=2", "data.textures.size=20", "view.crop=16"].map(|it| ["--set", it]).concat();
    tiny.ok("run", &with(&views, "stored"));
    let probes = |run_dir| {
        let document = tiny.json("probe", &with(&args(run_dir, &views), run_dir));
        document.as_array().unwrap().clone()
    };
    for run_dir in ["first", "both"] {
        tiny.ok("run", &with(&args(run_dir, &views), run_dir));
        for module in ["a", "b", "c"] {
            let (stored, recomputed) =
                (tiny.tensors("stored", module), tiny.tensors(run_dir, module));
            assert!(stored == recomputed, "the weights of {module} in {run_dir} differ");
        }
        assert_eq!(probes(run_dir), probes("stored"));
    }
    assert_eq!(columns(&tiny, "stored/datasets/b/train"), ["activation", "pooled"]);
    assert_eq!(columns(&tiny, "first/datasets/a/train"), ["pooled"]);
    assert_eq!(columns(&tiny, "first/datasets/b/train"), ["activation", "pooled"]);
    assert_eq!(columns(&tiny, "both/datasets/b/train"), ["pooled"]);
}

/// The settings of the runs above.
fn args<'a>(run_dir: &str, views: &[&'a str]) -> Vec<&'a str> {
    let recomputed: &[&str] = match run_dir {
        "first" => &["--set", "modules.a.activations=recompute"],
        "both" => &[
            "--set",
            "modules.a.activations=recompute",
            "--set",
            "modules.b.activations=recompute",
        ],
        _ => &[],
    };
    [views, recomputed].concat()
}

#[test]
fn storing_relu_instead_of_z_changes_no_weight() {
    let tiny = Tiny::with(&three_modules());
    tiny.ok("run", &with(&[], "relu"));
    let signed = ["--set", "store.relu=false"];
    tiny.ok("run", &with(&signed, "signed"));
    for module in ["a", "b", "c"] {
        assert!(tiny.tensors("relu", module) == tiny.tensors("signed", module), "{module}");
    }
    let least = |run_dir: &str, module: &str, column: usize| {
        let folder = format!("{run_dir}/datasets/{module}/train");
        let output =
            tiny::gimlet(&tiny.path(".")).args(["inspect", "--json", &folder]).output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        document["datasets"][0]["columns"][column]["min"].as_f64().unwrap()
    };
    for module in ["a", "b"] {
        assert_eq!(least("relu", module, 0), 0.0, "{module}");
        assert!(least("signed", module, 0) < 0.0, "{module}");
        assert!(least("relu", module, 1) < 0.0, "pooled vectors of {module} keep their sign");
    }
    assert!(least("relu", "c", 0) < 0.0, "no module reads them");
}

#[test]
fn a_step_after_a_recomputed_boundary_needs_its_predecessors_weights_and_not_their_maps() {
    let tiny = Tiny::with(&three_modules());
    let more = ["--set", "modules.a.activations=recompute"];
    tiny.ok("ingest", &more);
    let err = tiny.fails(5, "train", &[&["b"], &more[..]].concat());
    assert!(err.contains("`train b` needs what `train a` writes"), "{err}");
    tiny.ok("train", &[&["a"], &more[..]].concat());
    tiny.ok("train", &[&["b"], &more[..]].concat());
    let status = tiny.json("status", &more);
    assert_eq!(status["stages"][3]["state"], "missing", "encode a");
    assert_eq!(status["stages"][5]["state"], "done", "train b");
    tiny.ok("encode", &[&["b"], &more[..]].concat());
    // c reads what b has stored, and nothing below it.
    tiny.ok("train", &[&["c"], &more[..]].concat());

    let stored = tiny.json("status", &[]);
    assert_eq!(stored["stages"][5]["why"], "`encode a` is not done");
    tiny.ok("run", &more);
    let stored = tiny.json("status", &[]);
    let why = stored["stages"][3]["why"].as_str().unwrap();
    assert!(why.contains("store.activations: \"recompute\" -> \"store\""), "{why}");
}

#[test]
fn auto_recomputes_until_the_run_fits_and_says_so_in_the_key() {
    // Enough arithmetic that reading what comes of it is faster.
    let heavy =
        "{ conv = { channels = 16, kernel = 5 } }, { basic = { channels = 16, blocks = 4 } }";
    let light = "{ conv = { channels = 4, kernel = 3 } }, { basic = { channels = 4 } }";
    let tiny = Tiny::with(&three_modules().replace(light, heavy));
    let settings = |more: &[&str]| {
        let args = [&["--set", "store.activations=auto"], more].concat();
        tiny.ok("run", &[&args[..], &["--run-dir", "auto"]].concat());
        let args = [&args[..], &["--run-dir", "auto"]].concat();
        tiny.json("inspect", &args)["datasets"].as_array().unwrap().clone()
    };
    let of = |datasets: &[serde_json::Value], module: &str| {
        let path = format!("datasets/{module}/train");
        let it = datasets.iter().find(|it| it["path"].as_str().unwrap().contains(&path)).unwrap();
        it["settings"]["store"]["activations"].as_str().unwrap().to_string()
    };
    let roomy = settings(&[]);
    assert_eq!(["a", "b", "c"].map(|it| of(&roomy, it)), ["store", "store", "recompute"]);
    // Recomputing a, the largest, is enough.
    let tight = settings(&["--set", "store.max_bytes=2MB"]);
    assert_eq!(["a", "b", "c"].map(|it| of(&tight, it)), ["recompute", "store", "recompute"]);
    let args = ["store.activations=auto", "store.max_bytes=2MB"].map(|it| ["--set", it]).concat();
    let (text, _) = tiny.ok("plan", &args);
    assert!(text.contains("activations of a: recomputed (auto: for `store.max_bytes`, "), "{text}");
}
