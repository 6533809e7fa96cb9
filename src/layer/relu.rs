//! The layer `relu`: max(x, 0).

use serde::Deserialize;
use serde_json::Value;

use super::{Layer, Work};
use crate::setting::Setting;

/// The rectifier, max(x, 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Table")]
pub struct Relu;

/// A table without keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Table {}

impl From<Table> for Relu {
    fn from(Table {}: Table) -> Self {
        Self
    }
}

/// The settings of this layer: none.
pub(super) fn reference() -> Vec<Setting> {
    vec![Setting::table("relu", "The rectifier, max(x, 0); it has no keys.").or("").example("{}")]
}

impl Layer for Relu {
    fn name(&self) -> &str {
        "relu"
    }

    fn settings(&self) -> Value {
        Value::Null
    }

    fn work(&self, _channels: usize) -> Work {
        Work::Relu
    }
}
