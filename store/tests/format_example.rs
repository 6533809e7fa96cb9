//! The example in `FORMAT.md` is what is written.

use gimlet_store::{
    Column, Compression, CompressionSetting, DType, Rows, Schema, Spec, Store, Values,
};

#[test]
fn the_example_is_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dims = vec!["row".into(), "column".into()];
    let x = Column {
        name: "x".into(),
        dtype: DType::F32,
        shape: vec![2, 3],
        dims,
        compression: Compression::None,
    };
    let mut writer = Store::new()
        .dataset(folder.path())
        .begin(Spec {
            schema: Schema {
                columns: vec![x],
                source: false,
                label_names: None,
                attributes: vec![],
            },
            key: "0".repeat(64),
            settings: serde_json::Value::Null,
            rows: Some(2),
            rows_per_part: 2,
            rows_per_group: 2,
            compression: CompressionSetting::Fixed(Compression::None),
        })
        .unwrap();
    let values: Vec<f32> = (0u8..12).map(f32::from).collect();
    let (ids, labels) = (&[7, 9], &[Some(1), None]);
    let tensors = &[Values::F32(&values)];
    writer.write(&Rows { ids, labels, sources: None, attributes: &[], tensors }).unwrap();
    let generation = writer.commit(serde_json::Value::Null).unwrap();
    let part = std::fs::read(generation.dir().path().join("part-00000.parquet")).unwrap();

    let text = include_str!("../FORMAT.md");
    let example = &text[text.find("## Example").unwrap()..];
    // Every second piece between fences is a block of bytes with comments.
    let blocks: Vec<Vec<u8>> = example.split("```").skip(1).step_by(2).map(bytes).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        assert!(part.windows(block.len()).any(|bytes| bytes == block), "{block:02x?}");
    }
}

fn bytes(block: &str) -> Vec<u8> {
    let code = block.lines().filter_map(|line| line.split('#').next());
    code.flat_map(str::split_whitespace).map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect()
}
