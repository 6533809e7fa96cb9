//! The key of a step: a hash of the settings that matter to it and of the keys of its inputs,
//! computed before its work.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A key, and what it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// 64 hexadecimal digits.
    pub hash: String,
    /// What it is a hash of, kept beside the step's output so that a change can be named.
    pub settings: Value,
}

impl Key {
    /// The key of these settings.
    pub fn of(settings: Value) -> Self {
        let hash = blake3::hash(canonical(&settings).as_bytes()).to_hex().to_string();
        Self { hash, settings }
    }
}

/// The settings as text that depends on their values and not on the order they were written in.
fn canonical(settings: &Value) -> String {
    let flat: BTreeMap<String, Value> = flatten(settings);
    json!(flat.into_iter().collect::<Vec<_>>()).to_string()
}

/// Every leaf of `settings` by its path, such as `training.batch`.
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

/// What differs between two settings, one phrase a key: `training.batch: 16 -> 32`.
///
/// Keys of inputs, under `input`, are left out: that they differ is the doing of an earlier step.
pub fn differences(old: &Value, new: &Value) -> Vec<String> {
    let (old, new) = (flatten(old), flatten(new));
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
    use super::*;

    #[test]
    fn a_difference_names_the_key_and_both_values() {
        let old = json!({"training": {"batch": 16}, "layers": [{"conv": 1}], "input": "x"});
        let new = json!({"training": {"batch": 32}, "layers": [{"conv": 1}], "input": "y"});
        assert_eq!(differences(&old, &new), ["training.batch: 16 -> 32"]);
        assert_ne!(Key::of(old).hash, Key::of(new).hash);
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let a: Value = serde_json::from_str(r#"{"a": 1, "b": {"c": 2, "d": [1, 2]}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"b": {"d": [1, 2], "c": 2}, "a": 1}"#).unwrap();
        assert_eq!(Key::of(a).hash, Key::of(b).hash);
    }
}
