//! The published code's numbers, from the files that hold them.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use gimlet::loss::{Negatives, infonce};

pub fn folder() -> PathBuf {
    match std::env::var_os("GIMLET_GOLDEN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
    }
}

/// One file: its tensors and what its metadata says.
pub struct Case {
    pub name: String,
    pub tensors: HashMap<String, Tensor>,
    pub metadata: HashMap<String, String>,
}

impl Case {
    pub fn load(path: &Path) -> Case {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let mut tensors = HashMap::new();
        for (name, view) in safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let (shape, raw) = (view.shape(), view.data());
            let tensor = match view.dtype() {
                safetensors::Dtype::F32 => {
                    Tensor::from_raw_buffer(raw, DType::F32, shape, &Device::Cpu)
                }
                safetensors::Dtype::I64 => {
                    Tensor::from_raw_buffer(raw, DType::I64, shape, &Device::Cpu)
                }
                safetensors::Dtype::I32 => {
                    let values: Vec<i64> = raw
                        .chunks_exact(4)
                        .map(|v| i64::from(i32::from_le_bytes(v.try_into().unwrap())))
                        .collect();
                    Tensor::from_vec(values, shape, &Device::Cpu)
                }
                other => panic!("{}: {name} is {other:?}", path.display()),
            };
            tensors.insert(name, tensor.unwrap());
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Case { name, tensors, metadata: header.metadata().clone().unwrap_or_default() }
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor `{name}`", self.name))
    }

    pub fn scalar(&self, name: &str) -> f64 {
        f64::from(self.get(name).flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
    }

    /// A number, or the first of a list of one, in the metadata.
    pub fn number(&self, key: &str) -> usize {
        let text = &self.metadata[key];
        text.trim_matches(['[', ']']).parse().unwrap_or_else(|_| panic!("{key} = {text}"))
    }

    /// The negatives `{prefix}neg.{k}` of a batch on a grid of `(rows, columns)`, from the file's
    /// numbering `(y, x, b)` to ours, `(b, y, x)`; and the settings that they follow from.
    pub fn negatives(
        &self,
        prefix: &str,
        batch: usize,
        (rows, columns): (usize, usize),
    ) -> (Negatives, infonce::Settings) {
        let tables: Vec<Vec<Vec<i64>>> = (0..)
            .map_while(|k| self.tensors.get(&format!("{prefix}neg.{k}")))
            .map(|table| table.to_vec2::<i64>().unwrap())
            .collect();
        let count = tables[0][0].len();
        let predicting = |table: &Vec<Vec<i64>>| table.len() / (batch * columns);
        let negatives = tables
            .iter()
            .map(|table| {
                let predicting = predicting(table);
                let ours = |theirs: usize| {
                    let (yx, b) = (theirs / batch, theirs % batch);
                    (b * predicting + yx / columns) * columns + yx % columns
                };
                let mut negatives = vec![0; table.len() * count];
                for (position, row) in table.iter().enumerate() {
                    for (n, &target) in row.iter().enumerate() {
                        negatives[ours(position) * count + n] = ours(target as usize) as u32;
                    }
                }
                negatives
            })
            .collect();
        let settings = infonce::Settings {
            prediction_steps: tables.len(),
            negatives: count,
            skip: rows - 1 - predicting(&tables[0]),
            context: None,
        };
        (negatives, settings)
    }

    /// The predictors `{prefix}{k}{suffix}` `[out, in, 1, 1]` as ours, `[in, out]`.
    pub fn predictors(&self, prefix: &str, suffix: &str) -> Vec<Tensor> {
        (0..)
            .map_while(|k| self.tensors.get(&format!("{prefix}{k}{suffix}")))
            .map(|w| w.squeeze(3).unwrap().squeeze(2).unwrap().t().unwrap().contiguous().unwrap())
            .collect()
    }
}

pub const INFONCE: &str = "infonce_vision";
pub const RESNET: &str = "resnet";
pub const ADAM: &str = "adam_trajectory";
pub const PIXELCNN: &str = "pixelcnn";
pub const INFONCE1D: &str = "infonce_audio";
pub const MODULES: &str = "audio_modules";

/// The files of one kind of case.
pub fn files(prefix: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap_or_else(|e| panic!("{}: {e}", folder().display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .filter(|path| {
            let stem = path.file_stem().unwrap().to_string_lossy();
            // Its context comes from nowhere that it says; `pixelcnn` has both.
            stem.starts_with(prefix) && !stem.contains("context")
        })
        .collect();
    paths.sort();
    paths
}

/// The cases of one kind. Our own folder has some of every kind; another one need not.
pub fn cases(prefix: &str) -> Vec<Case> {
    let paths = files(prefix);
    if paths.is_empty() {
        let message = format!("no case `{prefix}*.safetensors` in {}", folder().display());
        assert!(std::env::var_os("GIMLET_GOLDEN_DIR").is_some(), "{message}");
        // Past the test harness, which swallows what a test prints that passes.
        std::io::stderr().write_all(format!("skipped: {message}\n").as_bytes()).unwrap();
    }
    paths.iter().map(|path| Case::load(path)).collect()
}

/// `[n, c, h, w]` -> `[n, h, w, c]`.
pub fn channels_last(t: &Tensor) -> Tensor {
    t.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

/// A convolution's weight `[out, in, kh, kw]` -> `[kh, kw, in, out]`; a bias as it is.
pub fn ours(t: &Tensor) -> Tensor {
    if t.rank() == 4 { t.permute((2, 3, 1, 0)).unwrap().contiguous().unwrap() } else { t.clone() }
}

pub fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

pub fn largest(t: &Tensor) -> f32 {
    flat(t).iter().fold(0.0, |max, value| max.max(value.abs()))
}

pub fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// Asserts that no value is farther than 1e-4 of the largest expected one.
pub fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let pairs = flat(found).into_iter().zip(flat(expected));
    let farthest = pairs.fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
    let scale = largest(expected);
    assert!(scale > 0.0 && scale.is_finite(), "{what}: nothing to compare with, scale {scale}");
    assert!(farthest <= 1e-4 * scale, "{what}: off by {farthest} at a scale of {scale}");
}

pub fn assert_loss(what: &str, found: f64, expected: f64) {
    assert!(((found - expected) / expected).abs() <= 1e-5, "{what}: {found}, not {expected}");
}
