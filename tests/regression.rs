//! Faults that were found once, by number, so that they are not found again.

#[path = "regression/identity.rs"]
mod identity;
#[path = "regression/images.rs"]
mod images;
#[path = "regression/keys.rs"]
mod keys;
#[path = "regression/labels.rs"]
mod labels;
#[path = "regression/process.rs"]
mod process;
#[path = "regression/runs.rs"]
mod runs;
#[path = "regression/sound.rs"]
mod sound;
#[path = "regression/weights.rs"]
mod weights;

mod jpeg_file;
mod notes;
mod parquet_file;
mod sound_files;
mod tiny;
mod torch_file;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use image::{GrayImage, Luma};
use tiny::{PIPELINE, Tiny};

/// The pipeline over files, with this table of data.
fn over(data: &str) -> Tiny {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    Tiny::with(&format!("{head}[data]\n{data}\n[view]\ngrayscale = true\n{rest}"))
}

/// An image that no other number has.
fn picture(number: usize) -> GrayImage {
    let shade = |x: u32, y: u32| (number * 37) as u8 ^ (x * 11 + y * 7 + x * y) as u8;
    GrayImage::from_fn(16, 16, |x, y| Luma([shade(x, y)]))
}

/// `FOLDER/{cat,dog}/N.png`, as many as `count` of both together.
fn class_folders(folder: &Path, count: usize) {
    for number in 0..count {
        let folder = folder.join(["cat", "dog"][number % 2]);
        fs::create_dir_all(&folder).unwrap();
        picture(number).save(folder.join(format!("{number}.png"))).unwrap();
    }
}

/// A Parquet file with the labels in front of the images, of which each takes some kilobytes.
fn labels_and_images(path: &Path, labels: &[i64]) {
    let noise = |number: usize| {
        let mut draws = gimlet::random::generator(number as u64, "noise", &[]);
        GrayImage::from_fn(64, 64, |_, _| Luma([draws.below(256) as u8]))
    };
    let png = |number: usize| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        noise(number).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let images: Vec<Vec<u8>> = (0..labels.len()).map(png).collect();
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(&images));
    let labels: ArrayRef = Arc::new(Int64Array::from(labels.to_vec()));
    let columns = vec![("label", labels), ("image", images)];
    parquet_file::write(path, columns, None, 1000);
}

/// The state of `ingest`, and why.
fn ingest(tiny: &Tiny, args: &[&str]) -> (String, String) {
    let status = tiny.json("status", args);
    let told = |key: &str| status["stages"][0][key].as_str().unwrap().to_owned();
    (told("state"), told("why"))
}
