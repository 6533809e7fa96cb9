//! The `[data]` table.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::bounds::{count, number_of};
use super::environment::Environment;
use super::name_pattern::NamePattern;
use super::origin::{Fault, Origin};
use super::raw::{self, Optional, Patterns};
use super::reference;
use super::settings::{
    ActivationFiles, Data, Files, Medium, OnBadSample, RowLabels, Source, Textures,
};
use crate::folder::folder_of;

/// Reads the data table of the pipeline `file`, whose view is of `medium`, and fills in its defaults.
pub fn resolve(
    data: &Spanned<raw::Data>,
    file: &Path,
    origin: &Origin<'_>,
    environment: &Environment,
    medium: Option<Medium>,
) -> Result<Data, Fault> {
    let raw = data.get_ref();
    let source = match (&raw.textures, &raw.activations, medium) {
        (Some(generator), Some(_), _) => {
            let message = "[data.textures] and [data.activations] both say where samples come from";
            return Err(Fault::at(generator.span(), message).hint("leave out one of them"));
        }
        (Some(generator), None, _) => {
            refuse_files(raw, "[data.textures] makes the images", "data.textures")?;
            Source::Textures(generator.get_ref().clone())
        }
        (None, Some(files), _) => {
            let root = root(&raw.root, file, origin, environment);
            Source::Activations(activations(raw, files, root)?)
        }
        (None, None, None) => {
            let message = "[view] is of activations, and [data] has no [data.activations]";
            return Err(Fault::at(data.span(), message));
        }
        (None, None, Some(medium)) => {
            refuse_other_medium(raw, medium)?;
            let labels = raw.label.as_ref().map(|it| it.get_ref().0.clone());
            let mut labels = labels.unwrap_or_else(|| vec!["label".to_owned()]).into_iter();
            Source::Files(Files {
                train: patterns(&raw.train, "train", data)?,
                test: match (&raw.test, &raw.hold_out) {
                    (None, Some(_)) => Vec::new(),
                    (Some(_), Some(hold_out)) => return Err(two_test_splits(hold_out)),
                    _ => patterns(&raw.test, "test", data)?,
                },
                hold_out: raw.hold_out.as_ref().map(|it| *it.get_ref()),
                root: root(&raw.root, file, origin, environment),
                medium,
                column: match medium {
                    Medium::Image => text(&raw.image),
                    Medium::Sound => text(&raw.audio),
                }
                .unwrap_or_else(|| medium.key().to_owned()),
                label: labels.next(),
                further: labels.collect(),
                frames: text(&raw.frames),
                alignments: raw.alignments.as_ref().map(|it| it.get_ref().0.clone()),
                labels: text(&raw.labels),
                names: text(&raw.names),
            })
        }
    };
    Ok(Data {
        source,
        subset: raw.subset,
        test_subset: raw.test_subset,
        on_bad_sample: raw.on_bad_sample.unwrap_or(OnBadSample::Fail),
    })
}

/// Reads the table `files` of activations, in the data table `raw`.
fn activations(
    raw: &raw::Data,
    files: &Spanned<raw::ActivationFiles>,
    root: PathBuf,
) -> Result<ActivationFiles, Fault> {
    refuse_files_beside_activations(raw)?;
    let raw::ActivationFiles { train, test, column, labels } = files.get_ref();
    let named = |value: &Optional<Patterns>, key: &str| {
        let missing = || {
            Fault::at(files.span(), format!("missing key `{key}` in [data.activations]")).hint(
                "`train` and `test` name a dataset, or `.npy`, `.npz`, safetensors or Parquet files",
            )
        };
        value.as_ref().map(|it| it.get_ref().0.clone()).ok_or_else(missing)
    };
    let labels = match labels.as_ref().map(|it| it.get_ref().0.as_deref()) {
        None => RowLabels::IfThere,
        Some(None) => RowLabels::Without,
        Some(Some(name)) => RowLabels::named(name),
    };
    Ok(ActivationFiles {
        train: named(train, "train")?,
        test: match (test, &raw.hold_out) {
            (None, Some(_)) => Vec::new(),
            (Some(_), Some(hold_out)) => return Err(two_test_splits(hold_out)),
            _ => named(test, "test")?,
        },
        hold_out: raw.hold_out.as_ref().map(|it| *it.get_ref()),
        root,
        column: text(column),
        labels,
    })
}

/// Fails unless every setting is within its bounds, and the settings for labels fit together.
pub fn check(data: &Data, medium: Option<Medium>) -> Result<(), Fault> {
    match (&data.source, medium) {
        (Source::Activations(files), None) => check_activations(files)?,
        (Source::Activations(_), Some(medium)) => {
            let message = format!("the data are activations, but [view] is of {}s", medium.noun());
            return Err(Fault::of("data.activations", message));
        }
        (Source::Textures(_) | Source::Files(_), None) => {
            let message = "[view] is of activations, but the data are images or sounds";
            return Err(Fault::of("data", message));
        }
        (source, Some(medium)) => check_samples(source, medium)?,
        (Source::Own(_), None) => {}
    }
    let settings = reference::data();
    count(&settings, "data.subset", data.subset)?;
    count(&settings, "data.test_subset", data.test_subset)
}

fn check_activations(files: &ActivationFiles) -> Result<(), Fault> {
    let empty = |patterns: &[String]| patterns.is_empty() || patterns.iter().any(String::is_empty);
    let is_held_out = files.hold_out.is_some();
    for (key, patterns, needed) in
        [("train", &files.train, true), ("test", &files.test, !is_held_out)]
    {
        if needed && empty(patterns) {
            let message = format!("`{key}` names no file and no dataset");
            return Err(Fault::of(format!("data.activations.{key}"), message));
        }
    }
    let names = [
        ("column", files.column.as_deref()),
        (
            "labels",
            match &files.labels {
                RowLabels::Column(name) | RowLabels::Csv(name) => Some(name.as_str()),
                RowLabels::IfThere | RowLabels::Without => None,
            },
        ),
    ];
    for (key, name) in names {
        if name == Some("") {
            return Err(Fault::of(
                format!("data.activations.{key}"),
                format!("`{key}` must not be empty"),
            ));
        }
    }
    count(&reference::data(), "data.hold_out", files.hold_out)
}

/// Fails unless samples of `medium` can come from this source.
fn check_samples(source: &Source, medium: Medium) -> Result<(), Fault> {
    match source {
        Source::Textures(_) if medium == Medium::Sound => {
            let message = "[data.textures] makes images, but [view] is of sound";
            return Err(Fault::of("data.textures", message));
        }
        Source::Files(files) if files.medium != medium => {
            let (of, view) = (files.medium.noun(), medium.noun());
            return Err(Fault::of(
                "data",
                format!("the data are of {of}, but [view] is of {view}"),
            ));
        }
        Source::Textures(textures) => check_textures(textures)?,
        Source::Files(files) => {
            check_labels(files)?;
            check_names(files)?;
            count(&reference::data(), "data.hold_out", files.hold_out)?;
        }
        Source::Own(_) | Source::Activations(_) => {}
    }
    Ok(())
}

fn check_textures(textures: &Textures) -> Result<(), Fault> {
    let Textures { classes, size, train, test, noise } = *textures;
    let settings = reference::textures();
    number_of(&settings, "data.textures.noise", noise.into())?;
    count(&settings, "data.textures.classes", classes)?;
    count(&settings, "data.textures.size", size)?;
    count(&settings, "data.textures.train", train)?;
    count(&settings, "data.textures.test", test)
}

/// Fails when a column of labels has no name or is named twice, or when `labels` or `names` do not fit the columns.
fn check_labels(files: &Files) -> Result<(), Fault> {
    let columns: Vec<_> = files.label_columns().collect();
    if columns.iter().any(|column| column.is_empty()) {
        return Err(Fault::of("data.label", "`label` must name a column"));
    }
    if let Some(i) = (1..columns.len()).find(|&i| columns[..i].contains(&columns[i])) {
        let message = format!("`label` names the column `{}` twice", columns[i]);
        return Err(Fault::of("data.label", message));
    }
    if let (Some(_), Some(_)) = (&files.labels, &files.names) {
        let message = "`names` and `labels` both say where the labels of files lie";
        return Err(Fault::of("data.names", message).hint("leave out one of them"));
    }
    for (key, value) in [("labels", &files.labels), ("names", &files.names)] {
        let Some(value) = value else { continue };
        let path = format!("data.{key}");
        if columns.is_empty() {
            let message = format!("`{key}` says where labels lie, but `label = false`");
            return Err(Fault::of(path, message).hint("leave out one of them"));
        }
        if value.is_empty() {
            return Err(Fault::of(path, format!("`{key}` must not be empty")));
        }
    }
    if let Some(names) = &files.names {
        let wrong = |what: String| Fault::of("data.names", format!("`names` {what}"));
        let pattern = NamePattern::parse(names).map_err(wrong)?;
        let missing = columns.iter().find(|column| pattern.fields().all(|it| it != **column));
        if let Some(missing) = missing {
            let fields: Vec<_> = pattern.fields().collect();
            let message = format!("`names` has no field `{missing}` for the label");
            return Err(Fault::of("data.label", message)
                .or_of("data.names")
                .hint(format!("set `data.label` to some of `{}`", fields.join("`, `"))));
        }
    }
    Ok(())
}

/// Fails when the name of a file or a column is empty.
fn check_names(files: &Files) -> Result<(), Fault> {
    let patterns = [
        ("train", Some(&files.train)),
        ("test", Some(&files.test).filter(|_| files.hold_out.is_none())),
        ("alignments", files.alignments.as_ref()),
    ];
    for (key, patterns) in patterns {
        if patterns.is_some_and(|it| it.is_empty() || it.iter().any(String::is_empty)) {
            return Err(Fault::of(format!("data.{key}"), format!("`{key}` names no file")));
        }
    }
    let columns = [(files.medium.key(), Some(&files.column)), ("frames", files.frames.as_ref())];
    for (key, column) in columns {
        if column.is_some_and(String::is_empty) {
            return Err(Fault::of(format!("data.{key}"), format!("`{key}` must name a column")));
        }
    }
    Ok(())
}

/// Fails on keys of another medium than the view's: they would have no effect.
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

/// Fails on keys about files beside a generator: it reads no files, so they would have no effect.
fn refuse_files(raw: &raw::Data, instead: &str, table: &str) -> Result<(), Fault> {
    let own = [
        ("hold_out", raw.hold_out.as_ref().map(Spanned::span)),
        ("root", raw.root.as_ref().map(Spanned::span)),
    ];
    refuse_keys(own.into_iter().chain(of_files_of_samples(raw)), instead, table)
}

/// Fails on keys about files of samples beside activations.
fn refuse_files_beside_activations(raw: &raw::Data) -> Result<(), Fault> {
    let instead = "[data.activations] names activations";
    refuse_keys(of_files_of_samples(raw), instead, "data.activations")
}

/// The keys that are about files of images or sounds, with their places where they are given.
fn of_files_of_samples(
    raw: &raw::Data,
) -> impl Iterator<Item = (&'static str, Option<Range<usize>>)> {
    [
        ("train", raw.train.as_ref().map(Spanned::span)),
        ("test", raw.test.as_ref().map(Spanned::span)),
        ("image", raw.image.as_ref().map(Spanned::span)),
        ("audio", raw.audio.as_ref().map(Spanned::span)),
        ("label", raw.label.as_ref().map(Spanned::span)),
        ("frames", raw.frames.as_ref().map(Spanned::span)),
        ("alignments", raw.alignments.as_ref().map(Spanned::span)),
        ("labels", raw.labels.as_ref().map(Spanned::span)),
        ("names", raw.names.as_ref().map(Spanned::span)),
    ]
    .into_iter()
}

fn refuse_keys(
    keys: impl Iterator<Item = (&'static str, Option<Range<usize>>)>,
    instead: &str,
    table: &str,
) -> Result<(), Fault> {
    for (key, span) in keys {
        if let Some(span) = span {
            let message = format!("`{key}` is about files, but {instead}");
            return Err(Fault::at(span, message)
                .hint(format!("leave out `data.{key}` or the table [{table}]")));
        }
    }
    Ok(())
}

/// The error of `test` beside `hold_out`.
fn two_test_splits(hold_out: &Spanned<usize>) -> Fault {
    let message = "`hold_out` takes the test split out of `train`, but `test` names one";
    Fault::at(hold_out.span(), message).hint("leave out one of them")
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
    Ok(value.get_ref().0.clone())
}

fn text(value: &Optional<String>) -> Option<String> {
    value.as_ref().map(|it| it.get_ref().clone())
}

fn root(
    value: &Optional<String>,
    file: &Path,
    origin: &Origin<'_>,
    environment: &Environment,
) -> PathBuf {
    match (value, &environment.data_root) {
        // A path from the command line is relative to the current folder.
        (Some(root), _) if origin.override_at(&root.span()).is_some() => root.get_ref().into(),
        (Some(root), _) => folder_of(file).join(root.get_ref()),
        (None, Some(root)) => root.clone(),
        (None, None) => folder_of(file),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use toml::de::DeTable;

    use super::*;

    #[derive(Deserialize)]
    struct Document {
        data: Spanned<raw::Data>,
    }

    const SOUND: &str = "[data]\ntrain = 'train'\ntest = 'test'\n";

    /// Reads the table of [`SOUND`] with `lines` added.
    fn resolved(lines: &str, medium: Medium) -> Result<Files, String> {
        match checked(&format!("{SOUND}{lines}"), medium).map(|data| data.source) {
            Ok(Source::Files(files)) => Ok(files),
            Ok(_) => panic!("no files"),
            Err(error) => Err(format!("{error}\nhint: {}", error.hint_text().unwrap_or_default())),
        }
    }

    fn checked(text: &str, medium: Medium) -> crate::Result<Data> {
        let document: Document = toml::from_str(text).unwrap();
        let file = Path::new("p.toml");
        let origin = Origin::new(file, text, &[]);
        let medium = Some(medium);
        let data = resolve(&document.data, file, &origin, &Environment::default(), medium);
        let checked = data.and_then(|data| check(&data, medium).map(|()| data));
        let table = DeTable::parse(text).unwrap();
        checked.map_err(|fault| origin.error(fault.located(table.get_ref())))
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
        assert!(checked(text, Medium::Image).is_ok());
        let told = checked(text, Medium::Sound).unwrap_err().to_string();
        assert!(told.contains("makes images"), "{told}");
    }
}
