//! A pipeline file as it is written: every key with its position, nothing checked but its type.
//!
//! Enums are externally tagged, because serde loses positions in the other kinds.

use std::fmt;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use toml::Spanned;

use super::settings::{ActivationType, Activations, Compression, Loss, OnBadSample, Short};
use crate::schedule::{KINDS, Kind, NAMES};

/// A key that may be left out, with the position of its value.
pub type Optional<T> = Option<Spanned<T>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Pipeline {
    pub name: Optional<String>,
    pub seed: Option<u64>,
    pub data: Spanned<Data>,
    pub view: Spanned<View>,
    pub modules: Spanned<Vec<Spanned<Module>>>,
    pub split: Optional<Split>,
    pub loss: Option<Loss>,
    #[serde(default)]
    pub training: Training,
    #[serde(default)]
    pub schedule: Schedule,
    #[serde(default)]
    pub store: Store,
    #[serde(default)]
    pub probe: Probe,
    #[serde(default)]
    pub slurm: Slurm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Data {
    pub train: Optional<Patterns>,
    pub test: Optional<Patterns>,
    pub root: Optional<String>,
    pub image: Optional<String>,
    pub audio: Optional<String>,
    pub label: Optional<Label>,
    pub frames: Optional<String>,
    pub alignments: Optional<Patterns>,
    pub labels: Optional<String>,
    pub names: Optional<String>,
    pub textures: Optional<Textures>,
    pub subset: Optional<usize>,
    pub test_subset: Optional<usize>,
    pub on_bad_sample: Option<OnBadSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Textures {
    pub classes: Optional<usize>,
    pub size: Optional<usize>,
    pub train: Optional<usize>,
    pub test: Optional<usize>,
    pub noise: Optional<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct View {
    pub resize: Optional<usize>,
    pub grayscale: Optional<bool>,
    pub crop: Optional<usize>,
    pub flip: Optional<bool>,
    pub patch: Optional<usize>,
    pub stride: Optional<usize>,
    pub rate: Optional<usize>,
    pub clip: Optional<usize>,
    pub window: Optional<usize>,
    pub hop: Optional<usize>,
    pub short: Optional<Short>,
    pub normalise: Option<Normalise>,
    pub views: Optional<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Normalise {
    pub mean: Spanned<Vec<Spanned<f64>>>,
    pub std: Spanned<Vec<Spanned<f64>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Module {
    pub name: Spanned<String>,
    pub in_channels: Optional<usize>,
    pub layers: Optional<Vec<Spanned<Layer>>>,
    pub preset: Optional<String>,
    pub width: Optional<usize>,
    pub epochs: Optional<usize>,
    pub learning_rate: Optional<f64>,
    pub activations: Optional<Activations>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    Conv(Conv),
    Conv1d(Conv),
    Gru(Gru),
    Relu(Empty),
    Basic(Basic),
    Bottleneck(Bottleneck),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Conv {
    pub channels: Spanned<usize>,
    pub kernel: Spanned<usize>,
    pub stride: Optional<usize>,
    pub padding: Optional<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Gru {
    pub channels: Spanned<usize>,
    pub bptt: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Basic {
    pub channels: Spanned<usize>,
    pub stride: Optional<usize>,
    pub blocks: Optional<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Bottleneck {
    pub planes: Spanned<usize>,
    pub stride: Optional<usize>,
    pub blocks: Optional<usize>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Training {
    pub epochs: Optional<usize>,
    pub batch: Optional<usize>,
    pub micro_batch: Optional<usize>,
    pub recompute: Option<bool>,
    pub learning_rate: Optional<f64>,
    pub input_noise: Optional<f64>,
    pub checkpoint_seconds: Optional<f64>,
    pub held_out: Optional<usize>,
}

/// The name of a schedule. Its settings are read once it is known ([`super::schedule`]).
#[derive(Default)]
pub struct Schedule {
    pub kind: Option<&'static Kind>,
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl<'de> Visitor<'de> for Expected {
            type Value = Schedule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a schedule, or a table")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Schedule, E> {
                let ScheduleName(kind) = ScheduleName::deserialize(StrDeserializer::new(name))?;
                Ok(Schedule { kind: Some(kind) })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Schedule, A::Error> {
                let mut kind = None;
                while let Some(ScheduleKey { is_kind }) = map.next_key()? {
                    match is_kind {
                        true => kind = Some(map.next_value::<ScheduleName>()?.0),
                        false => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Schedule { kind })
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

struct ScheduleName(&'static Kind);

impl<'de> Deserialize<'de> for ScheduleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = KINDS.iter().find(|it| it.name == name);
        kind.map(ScheduleName).ok_or_else(|| D::Error::unknown_variant(&name, NAMES))
    }
}

/// A key that some schedule has.
struct ScheduleKey {
    is_kind: bool,
}

impl<'de> Deserialize<'de> for ScheduleKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let mut known = vec!["kind"];
        for name in KINDS.iter().flat_map(|it| it.keys) {
            if !known.contains(name) {
                known.push(name);
            }
        }
        if known.contains(&key.as_str()) {
            return Ok(Self { is_kind: key == "kind" });
        }
        let known = known.join("`, `");
        Err(D::Error::custom(format!("unknown field `{key}`, expected one of `{known}`")))
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Store {
    pub dtype: Option<ActivationType>,
    pub compression: Option<Compression>,
    pub relu: Option<bool>,
    pub rows_per_part: Optional<usize>,
    pub activations: Option<Activations>,
    pub max_bytes: Optional<Bytes>,
    pub read_memory: Optional<Bytes>,
    pub keep_generations: Optional<usize>,
    pub url: Optional<String>,
    pub cache_bytes: Optional<Bytes>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Probe {
    pub epochs: Optional<usize>,
    pub batch: Optional<usize>,
    pub learning_rate: Optional<f64>,
}

/// Of all jobs, and in it the same of one kind of job, which has no further kinds in it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Slurm {
    pub partition: Optional<String>,
    pub account: Optional<String>,
    pub qos: Optional<String>,
    pub time: Optional<String>,
    pub gres: Optional<String>,
    pub cpus_per_task: Optional<usize>,
    pub mem: Optional<String>,
    pub constraint: Optional<String>,
    pub extra: Option<Vec<Spanned<String>>>,
    pub setup: Option<Vec<Spanned<String>>>,
    pub grace_seconds: Optional<usize>,
    pub ingest: Optional<Box<Slurm>>,
    pub train: Optional<Box<Slurm>>,
    pub encode: Optional<Box<Slurm>>,
    pub probe: Optional<Box<Slurm>>,
}

/// One path or glob, or a list of them.
pub struct Patterns(pub Vec<String>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl<'de> Visitor<'de> for Expected {
            type Value = Patterns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or glob, or a list of them")
            }

            fn visit_str<E: Error>(self, pattern: &str) -> Result<Patterns, E> {
                Ok(Patterns(vec![pattern.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = list.next_element()? {
                    patterns.push(pattern);
                }
                Ok(Patterns(patterns))
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

/// The columns of the labels; none when it is `false`.
pub struct Label(pub Vec<String>);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl<'de> Visitor<'de> for Expected {
            type Value = Label;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the name of a column, a list of them, or false when the data has no labels",
                )
            }

            fn visit_str<E: Error>(self, column: &str) -> Result<Label, E> {
                Ok(Label(vec![column.to_owned()]))
            }

            fn visit_bool<E: Error>(self, labelled: bool) -> Result<Label, E> {
                if labelled {
                    return Err(E::invalid_value(Unexpected::Bool(true), &self));
                }
                Ok(Label(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Label, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = list.next_element()? {
                    columns.push(column);
                }
                if columns.is_empty() {
                    return Err(A::Error::invalid_length(0, &self));
                }
                Ok(Label(columns))
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

/// A number of bytes: a whole number, or a string of a number and a unit.
pub enum Bytes {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl Visitor<'_> for Expected {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, such as 20000000000 or \"20GB\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes::Text(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, bytes: i64) -> Result<Bytes, E> {
                u64::try_from(bytes)
                    .map(Bytes::Number)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

/// How the layers of all modules are cut again.
pub enum Split {
    Each,
    Modules(usize),
    Units(Vec<usize>),
}

impl<'de> Deserialize<'de> for Split {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl<'de> Visitor<'de> for Expected {
            type Value = Split;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"each\", \"end-to-end\", a number of modules or a list of units for each module")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Split, E> {
                match word {
                    "each" => Ok(Split::Each),
                    "end-to-end" => Ok(Split::Modules(1)),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }

            fn visit_i64<E: Error>(self, modules: i64) -> Result<Split, E> {
                usize::try_from(modules)
                    .map(Split::Modules)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(modules), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Split, A::Error> {
                let mut units = Vec::new();
                while let Some(count) = list.next_element()? {
                    units.push(count);
                }
                Ok(Split::Units(units))
            }
        }
        deserializer.deserialize_any(Expected)
    }
}
