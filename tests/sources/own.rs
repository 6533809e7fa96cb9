//! A source that a program brings along, through a whole run.

use std::path::Path;
use std::sync::Arc;

use gimlet::pipeline::{Environment, PerSplit, Pipeline, Split};
use gimlet::report::{self, Options, RunView};
use gimlet::source::{BadSample, Content, Keep, Media, Remarks, Sample, Source};
use gimlet::stage::progress::Silent;
use gimlet::stage::session::Session;
use gimlet::stage::{Outcome, Run, RunDir};
use gimlet::stop::Stop;
use gimlet::{Result, random};
use image::{GrayImage, Luma};
use serde_json::json;

use crate::tiny;

/// Images of stripes that lie or stand.
struct Stripes {
    rows: usize,
    /// What the stripes begin at is drawn from it.
    seed: u64,
    names: Vec<String>,
}

impl Stripes {
    fn of(rows: usize, seed: u64) -> Arc<dyn Source> {
        let names = ["lying", "standing"].map(String::from).to_vec();
        Arc::new(Stripes { rows, seed, names })
    }

    fn image(&self, row: usize) -> GrayImage {
        let mut draws = random::generator(self.seed, "stripes", &[row as u64]);
        let phase = draws.below(8);
        let is_bright = |at: u32| (at + phase) % 8 < 4;
        GrayImage::from_fn(16, 16, |x, y| {
            let at = if row.is_multiple_of(2) { y } else { x };
            Luma([if is_bright(at) { 200 } else { 50 }])
        })
    }
}

impl Source for Stripes {
    fn rows(&self) -> usize {
        self.rows
    }

    fn label_names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn content(&self) -> Content {
        Content::generated(json!({ "kind": "stripes", "rows": self.rows, "seed": self.seed }))
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        Ok(Some((16, 16)))
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        let sample = |row: usize| Sample {
            id: row as i64,
            source: format!("stripes {row}"),
            label: Some((row % 2) as i64),
            further: Vec::new(),
            frames: None,
            text: None,
            media: Media::Image(self.image(row).into()),
            remarks: Remarks::default(),
        };
        rows.iter().map(|row| keep(sample(*row)).map(Ok)).collect()
    }
}

fn pipeline(seed: u64) -> Pipeline {
    let (file, environment) = (Path::new("own.toml"), Environment::default());
    let mut pipeline = Pipeline::parse(tiny::PIPELINE, file, &[], &environment).unwrap();
    let (train, test) = (Stripes::of(48, seed), Stripes::of(24, seed + 1));
    pipeline.data = PerSplit { train, test }.into();
    pipeline
}

#[test]
fn a_run_of_a_source_of_ones_own_is_trained_probed_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, stop) = (|| RunDir::at(folder.path().join("run")), Stop::new());
    let mine = pipeline(3);
    let run = Run::open(&mine, dir(), Session::new(&stop, &Silent)).unwrap();
    for step in run.standing.to_take().unwrap() {
        assert_eq!(run.step(step).unwrap(), Outcome::Done, "{step:?}");
    }

    let mut embedded = Vec::new();
    assert_eq!(
        gimlet::stage::embed(&run, Stripes::of(10, 9).as_ref(), 1, &mut embedded).unwrap(),
        10
    );

    let page = report::write(&RunView {
        pipeline: &mine,
        standing: &run.standing,
        stages: run.standing.status().unwrap(),
        progress: &Silent,
        stop: &stop,
        arguments: "own.toml".to_string(),
        elsewhere: "own.toml".to_string(),
        options: Options::default(),
    });
    let page = std::fs::read_to_string(page.unwrap()).unwrap();
    assert!(page.contains("standing"));
    assert_eq!(page.matches("class=\"missing\"").count(), 1, "only the twin is missing: {page}");
    let ingested = run.standing.dir.dataset("ingest", Split::Test).newest().unwrap().unwrap();
    let account = &ingested.manifest().summary["account"];
    assert_eq!((&account["rows"], &account["labelled"]), (&json!(24), &json!(true)));
    drop(run);

    // The same content is known again, and another is not.
    let again = pipeline(3);
    let run = Run::open(&again, dir(), Session::new(&stop, &Silent)).unwrap();
    for step in run.standing.to_take().unwrap() {
        assert_eq!(run.step(step).unwrap(), Outcome::Unchanged, "{step:?}");
    }
    drop(run);
    let other = pipeline(4);
    let run = Run::open(&other, dir(), Session::new(&stop, &Silent)).unwrap();
    assert_eq!(run.step(run.standing.to_take().unwrap()[0]).unwrap(), Outcome::Done);
}
