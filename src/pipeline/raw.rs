//! A pipeline file as it is written: every key with its position, nothing checked but its type.
//!
//! Enums are externally tagged, because serde loses positions in the other kinds.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use toml::Spanned;

use super::Cut;
use super::origin::Fault;
use super::settings::{
    ActivationKind, ActivationType, Activations, Compression, OnBadSample, Probe, Short, StageKey,
    Textures, Training,
};
use crate::setting::{Setting, find};

/// A key that may be left out, with the position of its value.
pub type Optional<T> = Option<Spanned<T>>;

/// The number of a setting that may be left out; fails unless it is within the bounds.
pub fn optional_whole(
    value: &Optional<usize>,
    settings: &[Setting],
    name: &str,
) -> Result<Option<usize>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let number = *value.get_ref();
    let checked = find(settings, name).map_or(Ok(()), |it| it.check(number as f64));
    checked.map_err(|wrong| Fault::at(value.span(), wrong))?;
    Ok(Some(number))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Pipeline {
    pub name: Option<String>,
    pub seed: Option<u64>,
    pub data: Spanned<Data>,
    pub view: Optional<View>,
    pub modules: Spanned<Vec<Spanned<Module>>>,
    pub split: Option<Cut>,
    #[serde(default)]
    pub python: Python,
    #[serde(rename = "loss", default, deserialize_with = "name_or_table")]
    pub _loss: (),
    #[serde(default)]
    pub training: Training,
    #[serde(rename = "schedule", default, deserialize_with = "kind_or_table")]
    pub _schedule: (),
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
    pub hold_out: Optional<usize>,
    pub root: Optional<String>,
    pub image: Optional<String>,
    pub audio: Optional<String>,
    pub label: Optional<Label>,
    pub frames: Optional<String>,
    pub alignments: Optional<Patterns>,
    pub labels: Optional<String>,
    pub names: Optional<String>,
    pub textures: Optional<Textures>,
    pub activations: Optional<ActivationFiles>,
    pub subset: Option<usize>,
    pub test_subset: Option<usize>,
    pub on_bad_sample: Option<OnBadSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct ActivationFiles {
    pub train: Optional<Patterns>,
    pub test: Optional<Patterns>,
    pub column: Optional<String>,
    pub labels: Optional<RowLabels>,
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
    pub kind: Optional<ActivationKind>,
    pub grid: Optional<[usize; 2]>,
    pub normalise: Optional<Normalise>,
    pub views: Optional<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Normalise {
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Module {
    pub name: Spanned<String>,
    pub in_channels: Option<usize>,
    pub layers: Option<Vec<OneKey>>,
    pub preset: Optional<String>,
    pub width: Optional<usize>,
    pub python: Optional<String>,
    pub arguments: Optional<toml::Table>,
    pub key: Optional<StageKey>,
    pub epochs: Option<usize>,
    pub learning_rate: Option<f64>,
    pub activations: Option<Activations>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Python {
    pub interpreter: Option<String>,
}

/// A layer, checked to be a table with one key. `modules.rs`, which knows the layers, reads it.
pub struct OneKey;

impl<'de> Deserialize<'de> for OneKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl<'de> Visitor<'de> for Expected {
            type Value = OneKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table with one key")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, layer: A) -> Result<OneKey, A::Error> {
                let (_, settings) = layer.variant::<String>()?;
                let IgnoredAny = settings.newtype_variant()?;
                Ok(OneKey)
            }
        }
        deserializer.deserialize_enum("Layer", &[], Expected)
    }
}

/// Checks that a schedule is given by its name, or by a table. `schedule.rs`, which knows the schedules, reads it.
fn kind_or_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    struct Expected;
    impl<'de> Visitor<'de> for Expected {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a schedule, or a table")
        }

        fn visit_str<E: Error>(self, _kind: &str) -> Result<(), E> {
            Ok(())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<String>()? {
                match key.as_str() {
                    "kind" => drop(map.next_value::<String>()?),
                    _ => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(())
        }
    }
    deserializer.deserialize_any(Expected)
}

/// Checks that a loss is given by its name, or by a table with one key. `loss.rs`, which knows the losses, reads it.
fn name_or_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    struct Expected;
    impl<'de> Visitor<'de> for Expected {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a loss, or a table with one key")
        }

        fn visit_str<E: Error>(self, _name: &str) -> Result<(), E> {
            Ok(())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let Some((one, IgnoredAny)) = map.next_entry::<String, _>()? else {
                return Err(A::Error::custom("wanted the name of a loss"));
            };
            match map.next_key::<String>()? {
                None => Ok(()),
                Some(other) => Err(A::Error::custom(format!("both `{one}` and `{other}`"))),
            }
        }
    }
    deserializer.deserialize_any(Expected)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Store {
    pub dtype: Option<ActivationType>,
    pub compression: Option<Compression>,
    pub relu: Option<bool>,
    pub rows_per_part: Option<usize>,
    pub activations: Option<Activations>,
    pub max_bytes: Optional<Bytes>,
    pub read_memory: Optional<Bytes>,
    pub keep_generations: Option<usize>,
    pub url: Optional<String>,
    pub cache_bytes: Optional<Bytes>,
}

/// The `[slurm]` table for all jobs, or one of the tables in it for one kind of job, which has no tables in it.
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

/// The columns of the labels; `false` stands for none.
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

/// Where the labels of activations lie; `None` for `false`.
pub struct RowLabels(pub Option<String>);

impl<'de> Deserialize<'de> for RowLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl Visitor<'_> for Expected {
            type Value = RowLabels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the name of a column or of a CSV file, or false when there are no labels",
                )
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<RowLabels, E> {
                Ok(RowLabels(Some(name.to_owned())))
            }

            fn visit_bool<E: Error>(self, labelled: bool) -> Result<RowLabels, E> {
                match labelled {
                    true => Err(E::invalid_value(Unexpected::Bool(true), &self)),
                    false => Ok(RowLabels(None)),
                }
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
