//! Runs in one process: each has a store of its own, which obeys its own pipeline.

use crate::tiny;
use std::path::Path;

use gimlet::pipeline::{Environment, Pipeline};
use gimlet::stage::progress::Silent;
use gimlet::stage::{Run, RunDir, Session, Step};
use gimlet::stop::Stop;

fn pipeline(overrides: &[&str]) -> Pipeline {
    let overrides: Vec<String> = overrides.iter().map(|it| (*it).to_owned()).collect();
    let file = Path::new("tiny.toml");
    Pipeline::parse(tiny::PIPELINE, file, &overrides, &Environment::default()).unwrap()
}

#[test]
fn two_runs_do_not_see_each_others_numbers_or_limits() {
    let stop = Stop::new();
    let (none, default) = (pipeline(&["store.cache_bytes=0"]), pipeline(&[]));
    // Both lie in memory, under one name.
    let open = |pipeline| {
        let dir = RunDir::at("memory://runs/tiny");
        Run::open(pipeline, dir, Session::new(&stop, &Silent)).unwrap()
    };
    let (working, idle) = (open(&none), open(&default));
    let first = working.standing.plan.steps()[..4].to_vec();
    for step in &first {
        working.step(*step).unwrap();
    }
    let store = working.standing.dir.store();
    assert_eq!(store.kept_at_most(), 0);
    assert!(store.bytes_read() > 0 && store.bytes_fetched().1 > 0);
    let other = idle.standing.dir.store();
    assert_eq!(other.kept_at_most(), default.store.cache_bytes);
    assert_eq!((other.bytes_read(), other.bytes_fetched()), (0, (0, 0)));
    assert!(first.iter().all(|step| working.standing.is_done(*step).unwrap()));
    assert!(!idle.standing.is_done(Step::Ingest).unwrap());
}
