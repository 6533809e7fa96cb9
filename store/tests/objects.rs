//! The store on object storage: what it does on a disk, it does there.

use std::path::{Path, PathBuf};

use gimlet_store::{
    Column, Compression, CompressionSetting, DType, Dataset, Generation, Lease, Rows, Schema, Spec,
    Values, files,
};
use serde_json::json;

const KEY: &str = "3f9ac2d1e0b4a7c83f9ac2d1e0b4a7c83f9ac2d1e0b4a7c83f9ac2d1e0b4a7c8";

fn spec(key: &str) -> Spec {
    let column = Column {
        name: "x".into(),
        dtype: DType::F32,
        shape: vec![2, 3],
        dims: vec![],
        compression: Compression::None,
    };
    let schema =
        Schema { columns: vec![column], source: false, label_names: None, attributes: vec![] };
    Spec {
        schema,
        key: key.into(),
        settings: json!({}),
        rows: None,
        rows_per_part: 4,
        rows_per_group: 2,
        compression: CompressionSetting::Fixed(Compression::None),
    }
}

fn write(dataset: &Dataset, key: &str, rows: usize) -> Generation {
    let mut writer = dataset.begin(spec(key)).unwrap();
    let ids: Vec<i64> = (0..rows as i64).collect();
    let values: Vec<f32> = (0..6 * rows).map(|value| value as f32).collect();
    let labels = vec![None; rows];
    let tensors = [Values::F32(&values)];
    writer
        .write(&Rows {
            ids: &ids,
            labels: &labels,
            sources: None,
            attributes: &[],
            tensors: &tensors,
        })
        .unwrap();
    writer.commit(json!({})).unwrap()
}

fn root(name: &str) -> PathBuf {
    Path::new("memory://objects").join(name)
}

#[test]
fn a_generation_is_written_and_read() {
    let dataset = Dataset::at(root("a/train"));
    let generation = write(&dataset, KEY, 10);
    assert_eq!(generation.number(), 1);
    assert!(generation.is_whole().unwrap());
    let names = files::names(&generation.dir()).unwrap();
    assert!(names.contains(&"part-00002.parquet".to_owned()), "{names:?}");
    let reader = generation.reader(&["x"]).unwrap();
    let mut out = vec![0.0; 12];
    reader.read_f32("x", &[9, 3], &mut out).unwrap();
    assert_eq!(out[..6], [54.0, 55.0, 56.0, 57.0, 58.0, 59.0]);
    assert_eq!(reader.keys().unwrap().ids.len(), 10);
    generation.verify().unwrap();
    // The same key again is the same generation.
    assert_eq!(write(&dataset, KEY, 10).number(), 1);
}

#[test]
fn a_lease_keeps_others_out_until_it_is_let_go() {
    let path = root("lease/00000001.json");
    let shared = Lease::share(&path).unwrap();
    let _second = Lease::share(&path).unwrap();
    assert!(Lease::take(&path, "me").unwrap().is_err());
    assert!(Lease::is_held(&path).unwrap());
    drop((shared, _second));
    let alone = Lease::take(&path, "me").unwrap().unwrap();
    assert_eq!(Lease::take(&path, "you").unwrap().unwrap_err(), "me");
    drop(alone);
    assert!(!Lease::is_held(&path).unwrap());
}
