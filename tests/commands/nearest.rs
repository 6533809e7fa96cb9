//! What is like what: the same as a plain scan by cosine finds.

use crate::tiny;
use gimlet_store::Store;
use serde_json::Value;
use tiny::Tiny;

/// Similarity, id of the sample and position, the most similar first, of all other samples.
fn scan(tiny: &Tiny, dataset: &str, id: i64, position: usize) -> Vec<(f64, i64, usize)> {
    let generation = Store::new().dataset(tiny.path(dataset)).newest().unwrap().unwrap();
    let shape = generation.manifest().schema.column("pooled").unwrap().shape.clone();
    let (positions, channels) = (shape[0] * shape[1], shape[2]);
    let reader = generation.reader(&["pooled"]).unwrap();
    let rows: Vec<u64> = (0..reader.rows()).collect();
    let mut values = vec![0.0; rows.len() * positions * channels];
    reader.read_f32("pooled", &rows, &mut values).unwrap();
    let ids = reader.keys().unwrap().ids;
    let vector = |row: usize, position: usize| -> Vec<f64> {
        let from = (row * positions + position) * channels;
        values[from..from + channels].iter().map(|it| f64::from(*it)).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let own = ids.iter().position(|it| *it == id).unwrap();
    let query = vector(own, position);
    let mut all = Vec::new();
    for (row, id) in ids.iter().enumerate().filter(|(row, _)| *row != own) {
        let likeness = |position: usize| {
            let other = vector(row, position);
            dot(&query, &other) / (dot(&query, &query) * dot(&other, &other)).sqrt()
        };
        let best = (0..positions).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap();
        all.push((likeness(best), *id, best));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

#[test]
fn the_nearest_patches_are_those_of_a_plain_scan() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    for (module, split, sample, patch) in
        [("a", "test", 5, 0), ("b", "test", 23, 8), ("b", "train", 40, 4)]
    {
        let (id, at) = (sample.to_string(), patch.to_string());
        let args = [module, "--sample", &id, "--patch", &at, "--split", split, "--count", "6"];
        let found = tiny.json("nearest", &args);
        assert_eq!(found["query"]["id"], sample);
        assert_eq!(found["query"]["patch"]["index"], patch);
        let dataset = format!("runs/tiny/datasets/{module}/{split}");
        let expected = scan(&tiny, &dataset, sample, patch);
        let nearest = found["nearest"].as_array().unwrap();
        assert_eq!(nearest.len(), 6);
        for (found, (value, id, position)) in nearest.iter().zip(expected) {
            assert_eq!(found["id"], id);
            assert_eq!(found["patch"]["index"], position);
            assert!((found["value"].as_f64().unwrap() - value).abs() < 1e-6);
            assert!(found["label"].is_i64() && found["label_name"].is_string());
        }
    }
}

#[test]
fn the_query_comes_first_in_the_picture_and_its_sample_is_not_found() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    let all = tiny.json("nearest", &["b", "--sample", "3", "--count", "100", "--png", "near.png"]);
    let nearest = all["nearest"].as_array().unwrap();
    assert_eq!(nearest.len(), 23, "at most one of each other sample");
    assert!(nearest.iter().all(|it| it["id"] != 3));
    assert_eq!(all["query"]["patch"]["index"], 4, "the middle one");
    let sheet = image::open(tiny.path("near.png")).unwrap();
    assert_eq!(sheet.width(), 24 * (96 + 6) + 6);

    let (out, _) = tiny.ok("nearest", &["b", "--sample", "3", "--count", "2"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("sample 3, ") && lines[0].ends_with("patch 1, 1"), "{out}");
    assert_eq!(lines.len(), 2 + 2, "{out}");
    let first: &Value = &nearest[0];
    assert!(lines[2].contains(&first["id"].to_string()), "{out}");
}

#[test]
fn what_is_not_there_is_named() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &["--quiet"]);
    let err = tiny.fails(5, "nearest", &["a", "--sample", "0"]);
    assert!(err.contains("module `a`") && err.contains("gimlet run tiny.toml"), "{err}");
    tiny.ok("run", &["--quiet"]);
    let err = tiny.fails(2, "nearest", &["c", "--sample", "0"]);
    assert!(err.contains("its modules are a, b"), "{err}");
    let err = tiny.fails(2, "nearest", &["a", "--sample", "24"]);
    assert!(err.contains("no sample 24") && err.contains("24 samples, such as "), "{err}");
    let err = tiny.fails(2, "nearest", &["a", "--sample", "-3"]);
    assert!(err.contains("no sample -3"), "{err}");
    let err = tiny.fails(2, "nearest", &["a", "--sample", "0", "--patch", "9"]);
    assert!(err.contains("no patch 9") && err.contains("0 to 8, in a grid of 3x3"), "{err}");
}
