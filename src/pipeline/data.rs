//! The `[data]` table.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::Environment;
use super::bounds::{COUNT, SIZE, optional_number, optional_whole};
use super::origin::{Fault, Origin};
use super::raw::{self, Optional, Patterns};
use super::settings::{Data, Files, OnBadSample, Source, Textures};
use crate::error::folder_of;

/// Checks a data table of the pipeline `file` and fills in its defaults.
pub fn resolve(
    data: &Spanned<raw::Data>,
    file: &Path,
    origin: &Origin<'_>,
    environment: &Environment,
) -> Result<Data, Fault> {
    let raw = data.get_ref();
    let source = match &raw.textures {
        Some(generator) => {
            refuse_files(raw)?;
            Source::Textures(textures(generator.get_ref())?)
        }
        None => Source::Files(Files {
            train: patterns(&raw.train, "train", data)?,
            test: patterns(&raw.test, "test", data)?,
            root: root(&raw.root, file, origin, environment),
            image: column(&raw.image, "image")?,
            label: match &raw.label {
                None => Some("label".to_owned()),
                Some(label) => label.get_ref().0.clone(),
            },
        }),
    };
    Ok(Data {
        source,
        subset: optional_whole(&raw.subset, "subset", COUNT)?,
        test_subset: optional_whole(&raw.test_subset, "test_subset", COUNT)?,
        on_bad_sample: raw.on_bad_sample.unwrap_or(OnBadSample::Fail),
    })
}

fn textures(raw: &raw::Textures) -> Result<Textures, Fault> {
    let unit = |noise: f64| (0.0..=1.0).contains(&noise);
    let noise = optional_number(&raw.noise, "noise", "a number from 0 to 1", unit)?;
    Ok(Textures {
        classes: optional_whole(&raw.classes, "classes", COUNT)?.unwrap_or(10),
        size: optional_whole(&raw.size, "size", SIZE)?.unwrap_or(32),
        train: optional_whole(&raw.train, "train", COUNT)?.unwrap_or(4000),
        test: optional_whole(&raw.test, "test", COUNT)?.unwrap_or(1000),
        noise: noise.unwrap_or(0.1) as f32,
    })
}

/// A generator reads no files: a key about them would have no effect.
fn refuse_files(raw: &raw::Data) -> Result<(), Fault> {
    let spans = [
        ("train", raw.train.as_ref().map(Spanned::span)),
        ("test", raw.test.as_ref().map(Spanned::span)),
        ("root", raw.root.as_ref().map(Spanned::span)),
        ("image", raw.image.as_ref().map(Spanned::span)),
        ("label", raw.label.as_ref().map(Spanned::span)),
    ];
    for (key, span) in spans {
        if let Some(span) = span {
            let message = format!("`{key}` is about files, but [data.textures] makes the images");
            return Err(Fault::at(span, message)
                .hint(format!("leave out `data.{key}` or the table [data.textures]")));
        }
    }
    Ok(())
}

fn patterns(
    value: &Optional<Patterns>,
    key: &str,
    data: &Spanned<raw::Data>,
) -> Result<Vec<String>, Fault> {
    let Some(value) = value else {
        return Err(Fault::at(data.span(), format!("missing key `{key}` in [data]")).hint(
            "[data] has paths in `train` and `test`, or a table [data.textures] that makes images",
        ));
    };
    let Patterns(patterns) = value.get_ref();
    if patterns.is_empty() || patterns.iter().any(String::is_empty) {
        return Err(Fault::at(value.span(), format!("`{key}` names no file")));
    }
    Ok(patterns.clone())
}

fn column(value: &Optional<String>, key: &str) -> Result<String, Fault> {
    match value {
        None => Ok(key.to_owned()),
        Some(name) if name.get_ref().is_empty() => {
            Err(Fault::at(name.span(), format!("`{key}` must name a column")))
        }
        Some(name) => Ok(name.get_ref().clone()),
    }
}

fn root(
    value: &Optional<String>,
    file: &Path,
    origin: &Origin<'_>,
    environment: &Environment,
) -> PathBuf {
    match (value, &environment.data_root) {
        // A path typed on the command line starts where the command runs.
        (Some(root), _) if origin.override_at(&root.span()).is_some() => root.get_ref().into(),
        (Some(root), _) => folder_of(file).join(root.get_ref()),
        (None, Some(root)) => root.clone(),
        (None, None) => folder_of(file),
    }
}
