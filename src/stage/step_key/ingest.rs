//! The key of `ingest`: everything that determines the rows of one split.

use serde::Serialize;
use serde_json::Value;

use super::METHOD_VERSION;
use crate::pipeline::{Data, Files, Medium, OnBadSample, Pipeline, Source, Split, Store, Textures};
use crate::stage::key::Key;
use crate::{Result, media};

#[derive(Serialize)]
struct IngestKey<'a> {
    step: &'static str,
    method: u32,
    split: &'static str,
    seed: u64,
    data: DataPart<'a>,
    view: Value,
    store: StorePart,
    /// What the files hold, or the generator's version.
    source: Value,
}

#[derive(Serialize)]
struct DataPart<'a> {
    #[serde(flatten)]
    source: SourcePart<'a>,
    /// Only for the training split.
    subset: Option<usize>,
    /// Only for the test split.
    test_subset: Option<usize>,
    on_bad_sample: OnBadSample,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SourcePart<'a> {
    Files {
        /// The column of the samples: `image` or `audio`.
        image: Option<&'a str>,
        audio: Option<&'a str>,
        label: Label<'a>,
        frames: Option<&'a str>,
        /// The files themselves are in `source`.
        alignments: Option<&'static str>,
        labels: Option<&'static str>,
        names: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hold_out: Option<usize>,
    },
    Textures {
        textures: TexturesPart,
    },
    /// Everything else is in `source`.
    Own {
        own: Vec<&'a str>,
    },
}

/// The columns of the labels, as a pipeline file has them. Their order is that of the probes.
#[derive(Serialize)]
#[serde(untagged)]
enum Label<'a> {
    /// `false`.
    None(bool),
    One(&'a str),
    Many(Vec<&'a str>),
}

#[derive(Serialize)]
struct TexturesPart {
    classes: usize,
    size: usize,
    /// Only for the training split.
    train: Option<usize>,
    /// Only for the test split.
    test: Option<usize>,
    noise: f32,
}

#[derive(Serialize)]
struct StorePart {
    rows_per_part: usize,
}

/// Makes the key of one split of `ingest`; `source` describes the content of its source.
pub(in crate::stage) fn ingest_key(
    pipeline: &Pipeline,
    split: Split,
    source: Value,
) -> Result<Key> {
    let Pipeline {
        name: _,
        file: _,
        seed,
        data,
        view,
        // These read what was ingested.
        modules: _,
        loss: _,
        training: _,
        schedule: _,
        store,
        probe: _,
        slurm: _,
    } = pipeline;
    let Data { source: kind, subset, test_subset, on_bad_sample } = data;
    let of_split = |split_of: Split, value: usize| (split_of == split).then_some(value);
    Key::of(&IngestKey {
        step: "ingest",
        method: METHOD_VERSION,
        split: split.name(),
        seed: *seed,
        data: DataPart {
            source: SourcePart::of(kind, of_split),
            subset: subset.and_then(|it| of_split(Split::Train, it)),
            test_subset: test_subset.and_then(|it| of_split(Split::Test, it)),
            on_bad_sample: *on_bad_sample,
        },
        view: media::of(view).ingest_key(kind),
        store: StorePart::of(store),
        source,
    })
}

impl<'a> SourcePart<'a> {
    fn of(source: &'a Source, of_split: impl Fn(Split, usize) -> Option<usize>) -> Self {
        match source {
            Source::Files(files) => {
                let Files {
                    // The paths of the data.
                    train: _,
                    test: _,
                    hold_out,
                    root: _,
                    medium,
                    column,
                    label,
                    further,
                    frames,
                    alignments,
                    labels,
                    names,
                } = files;
                let column = |of: Medium| (*medium == of).then_some(column.as_str());
                SourcePart::Files {
                    image: column(Medium::Image),
                    audio: column(Medium::Sound),
                    label: Label::of(label.as_deref(), further),
                    frames: frames.as_deref(),
                    alignments: alignments.as_ref().map(|_| "text files"),
                    labels: labels.as_ref().map(|_| "a CSV file"),
                    names: names.as_deref(),
                    hold_out: *hold_out,
                }
            }
            Source::Textures(textures) => {
                let Textures { classes, size, train, test, noise } = textures;
                SourcePart::Textures {
                    textures: TexturesPart {
                        classes: *classes,
                        size: *size,
                        train: of_split(Split::Train, *train),
                        test: of_split(Split::Test, *test),
                        noise: *noise,
                    },
                }
            }
            Source::Own(_) => SourcePart::Own { own: source.further() },
        }
    }
}

impl<'a> Label<'a> {
    fn of(first: Option<&'a str>, further: &'a [String]) -> Self {
        match (first, further) {
            (None, _) => Label::None(false),
            (Some(first), []) => Label::One(first),
            (Some(first), further) => {
                Label::Many([first].into_iter().chain(further.iter().map(String::as_str)).collect())
            }
        }
    }
}

impl StorePart {
    fn of(store: &Store) -> Self {
        let Store {
            // Samples are stored as they are.
            dtype: _,
            compression: _,
            relu: _,
            rows_per_part,
            activations: _,
            max_bytes: _,
            read_memory: _,
            keep_generations: _,
            url: _,
            cache_bytes: _,
        } = store;
        Self { rows_per_part: *rows_per_part }
    }
}
