//! The `[data]` table.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::Environment;
use super::bounds::{COUNT, SIZE, optional_number, optional_whole};
use super::name_pattern::NamePattern;
use super::origin::{Fault, Origin};
use super::raw::{self, Optional, Patterns};
use super::settings::{Data, Files, Medium, OnBadSample, Source, Textures};
use crate::error::folder_of;

/// Checks a data table of the pipeline `file`, which is of such a `medium`, and fills in its defaults.
pub fn resolve(
    data: &Spanned<raw::Data>,
    file: &Path,
    origin: &Origin<'_>,
    environment: &Environment,
    medium: Medium,
) -> Result<Data, Fault> {
    let raw = data.get_ref();
    let source = match &raw.textures {
        Some(generator) => {
            refuse_files(raw)?;
            if medium == Medium::Sound {
                let message = "[data.textures] makes images, but [view] is of sound";
                return Err(Fault::at(generator.span(), message));
            }
            Source::Textures(textures(generator.get_ref())?)
        }
        None => {
            refuse_other_medium(raw, medium)?;
            let mut labels = labels(raw)?.into_iter();
            Source::Files(Files {
                train: patterns(&raw.train, "train", data)?,
                test: patterns(&raw.test, "test", data)?,
                root: root(&raw.root, file, origin, environment),
                medium,
                column: match medium {
                    Medium::Image => column(&raw.image, "image")?,
                    Medium::Sound => column(&raw.audio, "audio")?,
                },
                label: labels.next(),
                further: labels.collect(),
                frames: raw.frames.as_ref().map(|_| column(&raw.frames, "frames")).transpose()?,
                alignments: match &raw.alignments {
                    Some(_) => Some(patterns(&raw.alignments, "alignments", data)?),
                    None => None,
                },
                labels: raw.labels.as_ref().map(|it| it.get_ref().clone()),
                names: raw.names.as_ref().map(|it| it.get_ref().clone()),
            })
        }
    };
    Ok(Data {
        source,
        subset: optional_whole(&raw.subset, "subset", COUNT)?,
        test_subset: optional_whole(&raw.test_subset, "test_subset", COUNT)?,
        on_bad_sample: raw.on_bad_sample.unwrap_or(OnBadSample::Fail),
    })
}

/// The columns of labels, each once. What says where labels lie must go with them.
fn labels(raw: &raw::Data) -> Result<Vec<String>, Fault> {
    let columns = match &raw.label {
        None => vec!["label".to_owned()],
        Some(label) => label.get_ref().0.clone(),
    };
    let span = raw.label.as_ref().map(Spanned::span);
    if let Some(span) = &span {
        if columns.iter().any(String::is_empty) {
            return Err(Fault::at(span.clone(), "`label` must name a column"));
        }
        let twice = (1..columns.len()).find(|&i| columns[..i].contains(&columns[i]));
        if let Some(i) = twice {
            let message = format!("`label` names the column `{}` twice", columns[i]);
            return Err(Fault::at(span.clone(), message));
        }
    }
    if let (Some(_), Some(names)) = (&raw.labels, &raw.names) {
        let message = "`names` and `labels` both say where the labels of files lie";
        return Err(Fault::at(names.span(), message).hint("leave out one of them"));
    }
    for (key, value) in [("labels", &raw.labels), ("names", &raw.names)] {
        let Some(value) = value else { continue };
        if columns.is_empty() {
            let message = format!("`{key}` says where labels lie, but `label = false`");
            return Err(Fault::at(value.span(), message).hint("leave out one of them"));
        }
        if value.get_ref().is_empty() {
            return Err(Fault::at(value.span(), format!("`{key}` must not be empty")));
        }
    }
    if let Some(names) = &raw.names {
        let wrong = |what: String| Fault::at(names.span(), format!("`names` {what}"));
        let pattern = NamePattern::parse(names.get_ref()).map_err(wrong)?;
        let missing = columns.iter().find(|column| pattern.fields().all(|it| it != *column));
        if let Some(missing) = missing {
            let fields: Vec<_> = pattern.fields().collect();
            let message = format!("`names` has no field `{missing}` for the label");
            return Err(Fault::at(span.unwrap_or(names.span()), message)
                .hint(format!("set `data.label` to some of `{}`", fields.join("`, `"))));
        }
    }
    Ok(columns)
}

/// Keys that are of another medium than the view would have no effect.
fn refuse_other_medium(raw: &raw::Data, medium: Medium) -> Result<(), Fault> {
    let (keys, of, instead) = match medium {
        Medium::Image => (
            vec![
                ("audio", raw.audio.as_ref().map(Spanned::span)),
                ("frames", raw.frames.as_ref().map(Spanned::span)),
                ("alignments", raw.alignments.as_ref().map(Spanned::span)),
            ],
            "sound",
            "images",
        ),
        Medium::Sound => {
            (vec![("image", raw.image.as_ref().map(Spanned::span))], "images", "sound")
        }
    };
    for (key, span) in keys {
        if let Some(span) = span {
            let message = format!("`{key}` is about {of}, but [view] is of {instead}");
            let hint = "a [view] with a `rate` is of sound, others are of images";
            return Err(Fault::at(span, message).hint(hint));
        }
    }
    if let (Some(_), Some(alignments)) = (&raw.frames, &raw.alignments) {
        let message = "`frames` and `alignments` both say where the labels of hops lie";
        return Err(Fault::at(alignments.span(), message).hint("leave out one of them"));
    }
    Ok(())
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
        ("audio", raw.audio.as_ref().map(Spanned::span)),
        ("label", raw.label.as_ref().map(Spanned::span)),
        ("frames", raw.frames.as_ref().map(Spanned::span)),
        ("alignments", raw.alignments.as_ref().map(Spanned::span)),
        ("labels", raw.labels.as_ref().map(Spanned::span)),
        ("names", raw.names.as_ref().map(Spanned::span)),
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Document {
        data: Spanned<raw::Data>,
    }

    const SOUND: &str = "[data]\ntrain = 'train'\ntest = 'test'\n";

    /// The table with these lines more.
    fn resolved(lines: &str, medium: Medium) -> Result<Files, String> {
        let text = format!("{SOUND}{lines}");
        let document: Document = toml::from_str(&text).unwrap();
        let file = Path::new("p.toml");
        let origin = Origin::new(file, &text, &[]);
        let data = resolve(&document.data, file, &origin, &Environment::default(), medium);
        match data.map(|data| data.source) {
            Ok(Source::Files(files)) => Ok(files),
            Ok(_) => panic!("no files"),
            Err(fault) => {
                let error = origin.error(fault);
                Err(format!("{error}\nhint: {}", error.hint_text().unwrap_or_default()))
            }
        }
    }

    #[test]
    fn every_key_of_sound_is_read() {
        let files = resolved("", Medium::Sound).unwrap();
        assert_eq!((files.column.as_str(), files.medium), ("audio", Medium::Sound));
        assert_eq!((files.label.as_deref(), files.further.len()), (Some("label"), 0));
        let lines = "audio = 'sound'\nlabel = ['digit', 'speaker']\nframes = 'phones'";
        let files = resolved(lines, Medium::Sound).unwrap();
        assert_eq!((files.column.as_str(), files.frames.as_deref()), ("sound", Some("phones")));
        assert_eq!(files.label_columns().collect::<Vec<_>>(), ["digit", "speaker"]);
        let lines = "label = 'speaker'\nnames = '{speaker}-{n}'\nalignments = ['a', 'b*']";
        let files = resolved(lines, Medium::Sound).unwrap();
        assert_eq!(files.names.as_deref(), Some("{speaker}-{n}"));
        assert_eq!(files.alignments.unwrap(), ["a", "b*"]);
        let files = resolved("labels = 'a.csv'", Medium::Sound).unwrap();
        assert_eq!(files.labels.as_deref(), Some("a.csv"));
        assert_eq!(resolved("label = false", Medium::Sound).unwrap().label, None);
        let images = resolved("label = ['a', 'b', 'c']", Medium::Image).unwrap();
        assert_eq!((images.label.unwrap(), images.further.len()), ("a".to_owned(), 2));
    }

    #[test]
    fn keys_that_do_not_go_together_are_shown() {
        let told = resolved("names = '{digit}_{n}'", Medium::Sound).unwrap_err();
        let expected = "\
`names` has no field `label` for the label
 --> p.toml:4:9
  |
4 | names = '{digit}_{n}'
  |         ^^^^^^^^^^^^^
hint: set `data.label` to some of `digit`, `n`";
        assert_eq!(told, expected);
        for (lines, medium, told) in [
            ("audio = 'a'", Medium::Image, "`audio` is about sound, but [view] is of images"),
            ("frames = 'a'", Medium::Image, "`frames` is about sound"),
            ("alignments = 'a'", Medium::Image, "`alignments` is about sound"),
            ("image = 'a'", Medium::Sound, "`image` is about images, but [view] is of sound"),
            ("frames = 'a'\nalignments = 'b'", Medium::Sound, "both say where the labels of hops"),
            (
                "labels = 'a'\nnames = '{label}'",
                Medium::Sound,
                "both say where the labels of files",
            ),
            ("label = false\nlabels = 'a'", Medium::Sound, "but `label = false`"),
            ("label = false\nnames = '{a}'", Medium::Sound, "but `label = false`"),
            ("labels = ''", Medium::Sound, "`labels` must not be empty"),
            ("names = '{a'", Medium::Sound, "`names` has a brace without its other"),
            ("label = ['a', 'b', 'a']", Medium::Sound, "names the column `a` twice"),
            ("label = ['a', '']", Medium::Sound, "`label` must name a column"),
            ("label = ''", Medium::Image, "`label` must name a column"),
            ("frames = ''", Medium::Sound, "`frames` must name a column"),
            ("alignments = []", Medium::Sound, "`alignments` names no file"),
            ("[data.textures]", Medium::Image, "`train` is about files"),
        ] {
            let error = resolved(lines, medium).unwrap_err();
            assert!(error.contains(told) && error.contains(" ^"), "{lines}: {error}");
        }
        let text = "[data.textures]\n";
        let document: Document = toml::from_str(text).unwrap();
        let file = Path::new("p.toml");
        let origin = Origin::new(file, text, &[]);
        let resolve =
            |medium| resolve(&document.data, file, &origin, &Environment::default(), medium);
        assert!(resolve(Medium::Image).is_ok());
        let told = origin.error(resolve(Medium::Sound).unwrap_err()).to_string();
        assert!(told.contains("makes images"), "{told}");
    }
}
