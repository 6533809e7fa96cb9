//! What is written is read back, by us and by the standard Parquet reader.

mod read_back;
mod support;

use std::fs::File;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Int8Type, Int64Type, UInt8Type};
use gimlet_store::{Compression, CompressionSetting, DType, Schema, Spec, Store};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use read_back::{assert_reads, assert_reads_back};
use support::*;

fn any_schema() -> impl Strategy<Value = Schema> {
    let dtype = prop_oneof![
        Just(DType::U8),
        Just(DType::I8),
        Just(DType::F16),
        Just(DType::Bf16),
        Just(DType::F32)
    ];
    let shape = prop::collection::vec(1usize..5, 1..5);
    let columns = prop::collection::vec((dtype, shape), 0..4);
    (columns, any::<bool>(), 0usize..3).prop_map(|(columns, source, attributes)| Schema {
        columns: columns
            .into_iter()
            .enumerate()
            .map(|(at, (dtype, shape))| column(&format!("c{at}"), dtype, &shape))
            .collect(),
        source,
        label_names: None,
        attributes: (0..attributes).map(|at| format!("a{at}")).collect(),
    })
}

fn any_compression() -> impl Strategy<Value = CompressionSetting> {
    prop_oneof![
        Just(CompressionSetting::Fixed(Compression::None)),
        Just(CompressionSetting::Fixed(Compression::Lz4)),
        Just(CompressionSetting::Fixed(Compression::Zstd)),
        Just(CompressionSetting::Auto),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_come_back(
        schema in any_schema(),
        rows in 1usize..40,
        rows_per_part in 1usize..20,
        rows_per_group in 1usize..12,
        at_once in 1usize..30,
        compression in any_compression(),
        positions in prop::collection::vec(any::<prop::sample::Index>(), 0..50),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let dataset = Store::new().dataset(folder.path());
        let spec = Spec { compression, ..spec(schema, rows_per_part, rows_per_group) };
        let generation = generation(&dataset, spec, rows, at_once);
        prop_assert_eq!(generation.rows(), rows as u64);
        prop_assert_eq!(generation.manifest().parts.len(), rows.div_ceil(rows_per_part));
        assert_reads_back(&generation, rows);
        let positions: Vec<u64> = positions.iter().map(|at| at.index(rows) as u64).collect();
        assert_reads(&generation, &positions);
        generation.verify().unwrap();
    }
}

#[test]
fn the_standard_reader_reads_the_same() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        reads_with_the_standard_reader(compression);
    }
}

fn reads_with_the_standard_reader(compression: Compression) {
    let folder = tempfile::tempdir().unwrap();
    let rows = 23;
    let spec =
        Spec { compression: CompressionSetting::Fixed(compression), ..spec(schema(), 10, 4) };
    let generation = generation(&Store::new().dataset(folder.path()), spec, rows, 7);
    let mut row = 0;
    for part in &generation.manifest().parts {
        let file = File::open(generation.dir().path().join(&part.file)).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let activation = builder.schema().field_with_name("activation").unwrap().clone();
        assert!(!activation.is_nullable());
        assert!(matches!(activation.data_type(), DataType::FixedSizeList(_, 30)));
        assert_eq!(activation.metadata()["ARROW:extension:name"], "arrow.fixed_shape_tensor");
        let tensor: serde_json::Value =
            serde_json::from_str(&activation.metadata()["ARROW:extension:metadata"]).unwrap();
        let dims = ["d0", "d1", "d2"];
        assert_eq!(tensor, serde_json::json!({ "shape": [3, 2, 5], "dim_names": dims }));
        let hugging_face: serde_json::Value =
            serde_json::from_str(&builder.schema().metadata()["huggingface"]).unwrap();
        let label_feature = &hugging_face["info"]["features"]["label"];
        assert_eq!(
            label_feature,
            &serde_json::json!({ "names": ["cat", "dog"], "_type": "ClassLabel" })
        );

        for batch in builder.with_batch_size(3).build().unwrap() {
            let batch = batch.unwrap();
            let keys = batch.column(0).as_primitive::<Int64Type>();
            let labels = batch.column(1).as_primitive::<Int64Type>();
            let sources = batch.column(2).as_string::<i32>();
            for at in 0..batch.num_rows() {
                assert_eq!(keys.value(at), id(row));
                assert_eq!(labels.is_valid(at).then(|| labels.value(at)), label(row));
                assert_eq!(sources.value(at), source(row));
                for (which, name) in schema().attributes.iter().enumerate() {
                    let values = batch.column_by_name(name).unwrap().as_primitive::<Int64Type>();
                    assert_eq!(values.value(at), attribute(which, row));
                }
                for column in &schema().columns {
                    let list = |name: &str| {
                        batch.column_by_name(name).unwrap().as_fixed_size_list().value(at)
                    };
                    let values = list(&column.name);
                    let found: Vec<f32> = match column.dtype {
                        DType::U8 => {
                            let values = values.as_primitive::<UInt8Type>().values();
                            values.iter().map(|value| f32::from(*value)).collect()
                        }
                        DType::I8 => {
                            let scales = list(&format!("{}_scale", column.name));
                            let scales = scales.as_primitive::<Float32Type>().values();
                            let values = values.as_primitive::<Int8Type>().values().iter();
                            let scales = scales.iter().cycle();
                            values.zip(scales).map(|(q, scale)| f32::from(*q) * scale).collect()
                        }
                        DType::F16 => {
                            let values = values.as_primitive::<Float16Type>().values();
                            values.iter().map(|value| value.to_f32()).collect()
                        }
                        DType::Bf16 => {
                            let values = values.as_fixed_size_binary();
                            let bits = (0..values.len()).map(|at| values.value(at));
                            let upper = bits.map(|it| u32::from(it[1]) << 8 | u32::from(it[0]));
                            upper.map(|upper| f32::from_bits(upper << 16)).collect()
                        }
                        DType::F32 => values.as_primitive::<Float32Type>().values().to_vec(),
                    };
                    assert_eq!(found, row_values(column, row), "row {row}, {}", column.name);
                }
                row += 1;
            }
        }
    }
    assert_eq!(row, rows);
}

#[test]
fn statistics_are_those_of_the_stored_values() {
    let folder = tempfile::tempdir().unwrap();
    let generation = generation(&Store::new().dataset(folder.path()), spec(schema(), 10, 4), 23, 7);
    for column in schema().columns {
        let values: Vec<f64> =
            (0..23).flat_map(|row| row_values(&column, row)).map(f64::from).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let zeros = values.iter().filter(|value| **value == 0.0).count() as f64;
        let found = generation.manifest().statistics[&column.name];
        assert_eq!(found.count, values.len() as u64);
        assert!((found.mean - mean).abs() < 1e-9 * mean.abs().max(1.0));
        assert!((found.std - variance.sqrt()).abs() < 1e-6 * variance.sqrt());
        assert_eq!(f64::from(found.min), values.iter().copied().fold(f64::MAX, f64::min));
        assert_eq!(f64::from(found.max), values.iter().copied().fold(f64::MIN, f64::max));
        assert!((found.zero_fraction - zeros / count).abs() < 1e-12);
    }
}
