//! The key of a step: a hash of the settings that matter to it and of the keys of its inputs,
//! computed before its work.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Result;
use crate::pipeline::json_of;

/// A key: a hash, and the settings that it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// 64 hexadecimal digits.
    pub hash: String,
    /// The hashed settings, stored with the step's output so that a change can be named.
    pub settings: Value,
}

impl Key {
    /// The key of `settings`.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    pub fn of<T: Serialize>(settings: &T) -> Result<Self> {
        let settings = canonical(json_of(settings)?);
        let hash = blake3::hash(settings.to_string().as_bytes()).to_hex().to_string();
        Ok(Self { hash, settings })
    }
}

/// Sorts the names in `settings`, so that there is one way to write them.
fn canonical(settings: Value) -> Value {
    match settings {
        Value::Object(map) => {
            let ordered: BTreeMap<String, Value> = map.into_iter().collect();
            let ordered = ordered.into_iter().map(|(name, value)| (name, canonical(value)));
            Value::Object(ordered.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        leaf => leaf,
    }
}

/// Maps the path of every leaf of `settings`, such as `training.batch`, to its value.
pub fn flatten(settings: &Value) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(&path, value, leaves);
                }
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (index, value) in items.iter().enumerate() {
                    walk(&format!("{path}.{index}"), value, leaves);
                }
            }
            leaf => {
                leaves.insert(path.to_string(), leaf.clone());
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", settings, &mut leaves);
    leaves
}

/// Describes the differences between two settings, one phrase per key: `training.batch: 16 -> 32`.
///
/// Keys of inputs, under `input`, are left out, since an earlier step caused their difference. A null setting counts
/// as not set.
pub fn differences(old: &Value, new: &Value) -> Vec<String> {
    let [old, new] = [old, new].map(|settings| {
        let mut leaves = flatten(settings);
        leaves.retain(|_, value| !value.is_null());
        leaves
    });
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let show =
        |value: Option<&Value>| value.map_or_else(|| "not set".to_string(), Value::to_string);
    keys.into_iter()
        .filter(|key| *key != "input" && !key.starts_with("input."))
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| format!("{key}: {} -> {}", show(old.get(key)), show(new.get(key))))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_names_the_key_and_both_values() {
        let old = json!({"training": {"batch": 16}, "layers": [{"conv": 1}], "input": "x"});
        let new = json!({"training": {"batch": 32}, "layers": [{"conv": 1}], "input": "y"});
        assert_eq!(differences(&old, &new), ["training.batch: 16 -> 32"]);
        let [unset, null, set] =
            [json!({"a": 1}), json!({"a": 1, "clip": null}), json!({"a": 1, "clip": 2})];
        assert!(differences(&unset, &null).is_empty());
        assert_eq!(differences(&null, &set), ["clip: not set -> 2"]);
        assert_ne!(Key::of(&old).unwrap().hash, Key::of(&new).unwrap().hash);
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let a = r#"{"a": 1, "b": {"c": 2, "d": [1, 2]}}"#;
        let b = r#"{"b": {"d": [1, 2], "c": 2}, "a": 1}"#;
        let [a, b] = [a, b].map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(Key::of(&a).unwrap(), Key::of(&b).unwrap());
    }

    #[test]
    fn settings_that_read_alike_have_other_keys() {
        let of = |value: Value| Key::of(&value).unwrap().hash;
        assert_ne!(of(json!({"a": {"b": 1}})), of(json!({"a.b": 1})));
        assert_ne!(of(json!({"a": [[1]]})), of(json!({"a": {"0": [1]}})));
        assert_ne!(of(json!({"a": "1"})), of(json!({"a": 1})));
    }
}
