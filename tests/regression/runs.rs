//! 1 to 3: what a run says and keeps.

use super::tiny::{PIPELINE, Tiny};

/// 1: settings that are f32 in the program were named with the digits of their f64 neighbours:
/// `view.mean: 0.4120000123977661`.
#[test]
fn r1_a_changed_number_is_named_as_it_was_written() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    let change = ["--set", "view.normalise={ mean = [0.3], std = [0.25] }"];
    let status = tiny.json("status", &change);
    let why = status["stages"][2]["why"].as_str().unwrap();
    assert_eq!(why, "view.mean: [0.412] -> [0.3]; view.std: [0.257] -> [0.25]");
}

/// 2: a data set that was moved or deleted after it had been ingested stopped the whole run.
#[test]
fn r2_what_was_ingested_stands_for_a_source_that_is_gone() {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    let data = "[data]\ntrain = \"images\"\ntest = \"images\"";
    let tiny = Tiny::with(&format!("{head}{data}\n[view]\n{rest}"));
    for n in 0..20u8 {
        let folder = tiny.path("images").join(["cat", "dog"][usize::from(n % 2)]);
        std::fs::create_dir_all(&folder).unwrap();
        let image =
            image::GrayImage::from_fn(16, 16, |x, y| image::Luma([n * 9 + (x * y) as u8 / 4]));
        image.save(folder.join(format!("{n}.png"))).unwrap();
    }
    tiny.ok("ingest", &[]);
    std::fs::rename(tiny.path("images"), tiny.path("moved")).unwrap();
    let (_, err) = tiny.ok("train", &["a"]);
    assert_eq!(err.matches("stands for it").count(), 1, "{err}");
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][0]["state"], "done");
    assert!(status["stands_in"].as_str().unwrap().contains("images"), "{status}");
    // What other settings ask for was not ingested.
    let err = tiny.fails(5, "run", &["--set", "seed=6"]);
    assert!(err.contains("images") && err.contains("no ingest"), "{err}");
    std::fs::rename(tiny.path("moved"), tiny.path("images")).unwrap();
    assert_eq!(tiny.json("status", &[])["stands_in"], serde_json::Value::Null);
}

/// 3: the probe of a stack whose untrained twin had been interrupted between two modules.
#[test]
fn r3_an_untrained_stack_that_is_half_committed_is_completed() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("encode", &["untrained"]);
    let folder = tiny.path("runs/tiny/untrained/b/train");
    std::fs::remove_dir_all(&folder).unwrap();
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][1]["state"], "partial", "{status}");
    tiny.ok("encode", &["untrained"]);
    assert_eq!(tiny.json("status", &[])["stages"][1]["state"], "done");
}
