//! The shape of JSON documents: which fields they have, and of which types, found from examples.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What several JSON values have in common.
#[derive(Debug, Default)]
pub struct Shape {
    /// The types that were seen.
    types: BTreeSet<&'static str>,
    /// The fields of objects.
    fields: BTreeMap<String, Shape>,
    /// The objects that were seen, and in how many of them this shape stood.
    objects: usize,
    seen: usize,
    /// The items of lists.
    items: Option<Box<Shape>>,
}

impl Shape {
    /// Adds an example.
    pub fn add(&mut self, value: &Value) {
        self.seen += 1;
        self.types.insert(match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "whole number",
            Value::String(_) => "string",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        });
        match value {
            Value::Object(object) => {
                self.objects += 1;
                for (key, value) in object {
                    self.fields.entry(key.clone()).or_default().add(value);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.items.get_or_insert_default().add(item);
                }
            }
            _ => {}
        }
    }

    /// The rows of a table of Markdown: a path and its types, for this shape at `path` and all below it.
    pub fn rows(&self, path: &str, is_optional: bool, rows: &mut Vec<String>) {
        let mut types: Vec<&str> = self.types.iter().copied().collect();
        if types.contains(&"number") {
            types.retain(|it| *it != "whole number");
        }
        types.sort_by_key(|it| *it == "null");
        if !path.is_empty() {
            let may = if is_optional { "; may be missing" } else { "" };
            rows.push(format!("| `{path}` | {}{may} |", types.join(", or ")));
        }
        // The settings of a step are as many as the step has.
        let fields = self.fields.iter().filter(|_| !path.ends_with(".settings"));
        for (key, field) in fields {
            let dot = if path.is_empty() { "" } else { "." };
            field.rows(&format!("{path}{dot}{key}"), field.seen < self.objects, rows);
        }
        if let Some(items) = &self.items {
            items.rows(&format!("{path}[]"), false, rows);
        }
    }
}
