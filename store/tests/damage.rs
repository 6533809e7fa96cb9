//! Whatever happens to the files, the reader says so; it never panics and never gives other values.

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use gimlet_store::{
    Compression, CompressionSetting, Dataset, ErrorKind, Keys, Limits, Result, Spec, Store,
};
use serde_json::{Value, json};
use support::*;
use tempfile::TempDir;

const ROWS: usize = 23;

fn dataset() -> (TempDir, Dataset, PathBuf) {
    compressed(Compression::None)
}

fn compressed(compression: Compression) -> (TempDir, Dataset, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let compression = CompressionSetting::Fixed(compression);
    let spec = Spec { compression, ..spec(schema(), 10, 4) };
    let part = generation(&dataset, spec, ROWS, 7).dir().path().to_path_buf();
    (folder, dataset, part.join("part-00001.parquet"))
}

/// Everything there is: the keys, and the values of each column.
fn read_all(dataset: &Dataset) -> Result<(Keys, Vec<Vec<f32>>)> {
    let generation = dataset.generation(1)?;
    let columns = &generation.manifest().schema.columns;
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let reader = generation.reader(&names)?;
    let positions: Vec<u64> = (0..reader.rows()).collect();
    let mut values = Vec::new();
    for column in columns {
        let mut out = vec![0.0; positions.len() * column.values()];
        reader.read_f32(&column.name, &positions, &mut out)?;
        values.push(out);
    }
    Ok((reader.keys()?, values))
}

/// That reading is refused as damage; gives the message.
fn damaged(dataset: &Dataset) -> String {
    let read = catch_unwind(AssertUnwindSafe(|| read_all(dataset)));
    let error = read.expect("no panic").expect_err("damage is found");
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    error.to_string()
}

#[test]
fn bits_flipped_all_over_a_part_are_found() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        flip_bits(compression);
    }
}

fn flip_bits(compression: Compression) {
    let (_folder, dataset, part) = compressed(compression);
    let whole = fs::read(&part).unwrap();
    let values = read_all(&dataset).unwrap();
    // A prime step, which meets every kind of place in pages, index and footer.
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&part, &bytes).unwrap();
        // The first bytes of the file and the dictionary of a `u8` column are of no use to our
        // reader, which may pass over them, but not give other values.
        match catch_unwind(AssertUnwindSafe(|| read_all(&dataset))).expect("no panic") {
            Ok(read) => assert!(read == values, "byte {at}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}"),
        }
        let verified = dataset.generation(1).unwrap().verify();
        assert_eq!(verified.unwrap_err().kind(), ErrorKind::Damaged, "byte {at}");
    }
}

#[test]
fn damage_in_a_page_is_named() {
    let (_folder, dataset, part) = dataset();
    let whole = fs::read(&part).unwrap();
    // Row 13 is row 3 of the first row group of part 1.
    let row: Vec<u8> =
        row_values(&schema().columns[1], 13).iter().flat_map(|value| value.to_le_bytes()).collect();
    let at = whole.windows(row.len()).position(|bytes| bytes == row).unwrap();
    let mut bytes = whole.clone();
    bytes[at + 5] ^= 4;
    fs::write(&part, &bytes).unwrap();
    let place = "part-00001.parquet: damaged: row group 0, row 3, column `pooled`";
    assert!(damaged(&dataset).contains(place));
    let error = dataset.generation(1).unwrap().verify().unwrap_err();
    assert!(error.to_string().contains(place), "{error}");
    // The other rows can still be read.
    let reader = dataset.generation(1).unwrap().reader(&["pooled"]).unwrap();
    reader.read_f32("pooled", &[12, 14], &mut [0.0; 30]).unwrap();
}

#[test]
fn a_part_of_another_length_is_found() {
    let (_folder, dataset, part) = dataset();
    let whole = fs::read(&part).unwrap();
    for bytes in [&[], &whole[..1], &whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
        fs::write(&part, bytes).unwrap();
        assert!(damaged(&dataset).contains("bytes, not"));
    }
    fs::write(&part, [&whole[..], b"more"].concat()).unwrap();
    damaged(&dataset);
    fs::remove_file(&part).unwrap();
    assert!(damaged(&dataset).contains("missing"));
}

#[test]
fn swapped_parts_are_found() {
    let (_folder, dataset, part) = dataset();
    let other = tempfile::tempdir().unwrap();
    let mut spec = spec(schema(), 10, 4);
    spec.key = "a".repeat(64);
    let foreign = generation(&Store::new().dataset(other.path()), spec, ROWS, 7);
    fs::copy(foreign.dir().path().join("part-00001.parquet"), &part).unwrap();
    damaged(&dataset);
    let (_folder, dataset, part) = crate::dataset();
    fs::copy(part.with_file_name("part-00000.parquet"), &part).unwrap();
    damaged(&dataset);
}

/// A part of another run, or of other shapes, cannot be passed off with hashes that fit.
#[test]
fn parts_know_whose_they_are() {
    let (folder, dataset, part) = dataset();
    let mut other_key = spec(schema(), 10, 4);
    other_key.key = "a".repeat(64);
    let mut other_shape = spec(schema(), 10, 4);
    other_shape.schema.columns[0].shape = vec![5, 2, 3];
    for spec in [other_key, other_shape] {
        let foreign_folder = tempfile::tempdir().unwrap();
        let foreign = generation(&Store::new().dataset(foreign_folder.path()), spec, ROWS, 7);
        fs::copy(foreign.dir().path().join("part-00001.parquet"), &part).unwrap();
        let entry = json!(foreign.manifest().parts[1]);
        edit(&folder.path().join("00000001.json"), |json| json["parts"][1] = entry);
        assert!(damaged(&dataset).contains("it belongs to another generation"));
    }
}

/// What is not a plain file in its own folder may be anything: it is not followed.
#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let elsewhere = tempfile::tempdir().unwrap();
    for place in ["00000001.json", &KEY[..16], "part"] {
        let (folder, dataset, part) = dataset();
        let place = if place == "part" { part } else { folder.path().join(place) };
        let target = elsewhere.path().join(place.file_name().unwrap());
        fs::rename(&place, &target).unwrap();
        // Something else by that name, then a link to what was there.
        if place.extension().is_some() {
            fs::create_dir(&place).unwrap();
            assert!(damaged(&dataset).contains("not a plain file"));
            fs::remove_dir(&place).unwrap();
            let socket = UnixListener::bind(&place).unwrap();
            assert!(damaged(&dataset).contains("not a plain file"));
            drop(socket);
            fs::remove_file(&place).unwrap();
        }
        symlink(&target, &place).unwrap();
        damaged(&dataset);
        if let Ok(generation) = dataset.generation(1) {
            assert_eq!(generation.verify().unwrap_err().kind(), ErrorKind::Damaged);
        }
        // Nor does a writer go out of the folder.
        if place.is_dir() {
            assert!(dataset.begin(spec(schema(), 10, 4)).is_err());
        }
    }
}

/// The notes of complete parts are believed only as far as they can be true.
#[test]
fn notes_that_lie_are_made_again() {
    let changes: &[(&str, Value)] = &[
        ("", json!(null)),
        ("", json!([[[[]]]])),
        ("/part/rows", json!(u64::MAX)),
        ("/part/rows", json!(0)),
        ("/part/bytes", json!(u64::MAX)),
        ("/part/index_offset", json!(u64::MAX)),
        ("/part/file", json!("../part-00001.parquet")),
        ("/schema/columns/0/shape", json!([1_u64 << 32, 1_u64 << 32, 4])),
        ("/schema/columns", json!([])),
        ("/sums/0/count", json!(u64::MAX)),
        ("/sums/0/zeros", json!(u64::MAX)),
        ("/sums/0/sum", json!(1.7e308)),
        ("/sums/0/sum_of_squares", json!(-1.0)),
        ("/sums", json!([])),
        ("/rows_per_part", json!(11)),
        ("/key", json!("0".repeat(64))),
    ];
    let (folder, honest, _) = dataset();
    let whole = read_all(&honest).unwrap();
    for (place, value) in changes {
        for manifest in [false, true] {
            if !manifest {
                let _ = fs::remove_file(folder.path().join("00000001.json"));
            }
            for part in 0..3 {
                let note =
                    folder.path().join(&KEY[..16]).join(format!(".part-0000{part}.parquet.json"));
                edit(&note, |json| *json.pointer_mut(place).unwrap() = value.clone());
            }
            generation(&honest, spec(schema(), 10, 4), ROWS, 7);
            assert!(read_all(&honest).unwrap() == whole, "{place} {value}");
            honest.generation(1).unwrap().verify().unwrap();
        }
    }
}

/// A generation of the key with other columns is none that a writer can go on with.
#[test]
fn a_committed_generation_of_other_columns_is_refused() {
    let (_folder, dataset, _) = dataset();
    let mut other = spec(schema(), 10, 4);
    other.schema.columns.pop();
    assert_eq!(dataset.begin(other).unwrap_err().kind(), ErrorKind::Failed);
}

#[test]
fn nothing_takes_more_memory_than_allowed() {
    let (folder, _, _) = dataset();
    let open = |limits: Limits| {
        let generation = Store::new().dataset(folder.path()).with_limits(limits).generation(1)?;
        generation.reader(&["image"])?.keys()
    };
    let enough = Limits { record: 64 << 10, index: 128 << 10, page: 4 << 10 };
    open(enough).unwrap();
    for (limits, name) in [
        (Limits { record: 2 << 10, ..enough }, "Limits::record"),
        (Limits { index: 4 << 10, ..enough }, "Limits::index"),
        (Limits { page: 64, ..enough }, "Limits::page"),
    ] {
        let error = open(limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.to_string().contains(name), "{error}");
    }
    // Pages of keys are longer than those of a row here.
    let error = open(Limits { page: 90, ..enough }).unwrap_err();
    assert!(error.to_string().contains("a page of keys"), "{error}");
}

fn edit(manifest: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    change(&mut value);
    fs::write(manifest, value.to_string()).unwrap();
}

#[test]
fn a_manifest_that_lies_is_refused() {
    let changes: &[(&str, Value)] = &[
        ("/parts/1/file", json!("../part-00001.parquet")),
        ("/parts/1/file", json!("/etc/passwd")),
        ("/parts/1/file", json!("part-00000.parquet")),
        ("/parts/1/rows", json!(11)),
        ("/parts/1/rows", json!(0)),
        ("/parts/1/rows", json!(u64::MAX)),
        ("/parts/1/bytes", json!(1_u64 << 60)),
        ("/parts/1/index_offset", json!(0)),
        ("/parts/1/index_offset", json!(u64::MAX)),
        ("/parts/1/blake3", json!("no hash")),
        ("/parts/1/index_blake3", json!("0".repeat(64))),
        ("/rows", json!(24)),
        ("/rows", json!(-1)),
        ("/parts", json!([])),
        ("/key", json!("../../../../../../../../../../../../../../../../../etc/passwd..")),
        ("/key", json!("0".repeat(64))),
        ("/schema/columns/0/shape", json!([3, 2, 4])),
        ("/schema/columns/0/shape", json!([u64::MAX, 2, 5])),
        ("/schema/columns/0/shape", json!([1_u64 << 32, 1_u64 << 32, 1])),
        ("/schema/columns/0/shape", json!([0, 2, 5])),
        ("/schema/columns/0/shape", json!([2, 3, 5])),
        ("/schema/columns/0/dtype", json!("f32")),
        ("/schema/columns/0/dtype", json!("f64")),
        ("/schema/columns/0/name", json!("id")),
        ("/schema/columns/1/name", json!("activation")),
        ("/schema/source", json!(false)),
        ("/schema/columns", json!([])),
    ];
    for (place, value) in changes {
        let (folder, dataset, _) = dataset();
        let manifest = folder.path().join("00000001.json");
        edit(&manifest, |json| *json.pointer_mut(place).unwrap() = value.clone());
        damaged(&dataset);
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_damage() {
    let (folder, dataset, _) = dataset();
    let manifest = folder.path().join("00000001.json");
    let whole = fs::read(&manifest).unwrap();
    let nested = "[".repeat(1 << 20);
    for bytes in [&[][..], b"{}", b"null", b"\xff\xfe", nested.as_bytes(), &whole[..300]] {
        fs::write(&manifest, bytes).unwrap();
        damaged(&dataset);
        assert_eq!(dataset.newest().unwrap_err().kind(), ErrorKind::Damaged);
    }
    fs::write(&manifest, whole).unwrap();
    edit(&manifest, |json| json["format_version"] = json!(3));
    let error = dataset.newest().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("format version 3"), "{error}");
}

#[test]
fn wrong_questions_are_refused() {
    let (_folder, dataset, _) = dataset();
    let generation = dataset.generation(1).unwrap();
    assert_eq!(generation.reader(&["nothing"]).unwrap_err().kind(), ErrorKind::NotFound);
    let reader = generation.reader(&["pooled"]).unwrap();
    let kind = |read: Result<()>| read.unwrap_err().kind();
    assert_eq!(kind(reader.read_f32("activation", &[0], &mut [0.0; 30])), ErrorKind::NotFound);
    assert_eq!(kind(reader.read_f32("pooled", &[23], &mut [0.0; 15])), ErrorKind::Failed);
    assert_eq!(kind(reader.read_f32("pooled", &[u64::MAX], &mut [0.0; 15])), ErrorKind::Failed);
    assert_eq!(kind(reader.read_f32("pooled", &[0], &mut [0.0; 14])), ErrorKind::Failed);
    assert_eq!(kind(reader.read_u8("pooled", &[0], &mut [0; 15])), ErrorKind::Failed);
}
