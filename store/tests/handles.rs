//! Two stores of one process have nothing to do with each other.

mod support;

use gimlet_store::{ErrorKind, Store};
use support::*;

const ROWS: usize = 23;

#[test]
fn stores_do_not_see_each_others_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (reading, idle) = (Store::new(), Store::new());
    generation(&Store::new().dataset(folder.path()), spec(schema(), 10, 4), ROWS, 5);
    let generation = reading.dataset(folder.path()).newest().unwrap().unwrap();
    let mut out = vec![0.0; 15];
    generation.reader(&["pooled"]).unwrap().read_f32("pooled", &[3], &mut out).unwrap();
    assert!(generation.is_whole().unwrap());
    assert!(reading.bytes_read() > 0 && reading.looks().records > 0);
    assert_eq!(reading.looks().generations, 1);
    assert_eq!((idle.bytes_read(), idle.bytes_fetched()), (0, (0, 0)));
    assert_eq!((idle.looks().records, idle.looks().generations), (0, 0));
    // A clone is the same store.
    assert_eq!(reading.clone().bytes_read(), reading.bytes_read());
}

#[test]
fn what_one_store_keeps_is_no_others_matter() {
    let (small, other) = (Store::new(), Store::new());
    small.keep_at_most(1000);
    assert_eq!(small.kept_at_most(), 1000);
    assert_eq!(other.kept_at_most(), 20_000_000_000);
}

#[test]
fn memory_lives_as_long_as_its_store() {
    let (one, other) = (Store::new(), Store::new());
    one.keep_at_most(0);
    generation(&one.dataset("memory://place/train"), spec(schema(), 10, 4), ROWS, 5);
    let found = one.dataset("memory://place/train").generation(1).unwrap();
    assert_eq!(found.reader(&["pooled"]).unwrap().rows(), ROWS as u64);
    assert!(one.bytes_fetched().1 > 0 && one.bytes_read() > 0);
    let error = other.dataset("memory://place/train").generation(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_location_leads_where_its_path_says() {
    let store = Store::new();
    for (path, on_disk) in [("runs/a", true), ("s3://bucket/runs", false), ("other://x/a", true)] {
        let at = store.locate(path).join("b");
        assert_eq!(at.on_disk().is_some(), on_disk, "{at}");
        assert_eq!(at.to_string(), format!("{path}/b"));
        assert_eq!((at.name(), at.folder().to_string()), ("b".into(), path.into()));
    }
}
