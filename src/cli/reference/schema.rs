//! A JSON schema of a kind of file, in the words that JSON Schema draft 7 and later drafts share, as editors read it.

use serde_json::{Map, Value, json};

use crate::setting::{Absent, Form, Interval, Setting, inside};

/// The schema of a file with these settings.
pub fn schema(title: &str, about: &str, settings: &[Setting]) -> Value {
    let mut schema = table(settings, "");
    schema.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".into(), title.into());
    schema.insert("description".into(), about.into());
    Value::Object(schema)
}

/// An object with the settings of a table.
fn table(settings: &[Setting], name: &str) -> Map<String, Value> {
    let all: Vec<&Setting> = inside(settings, name).collect();
    let properties: Map<String, Value> =
        all.iter().map(|it| (it.key().to_owned(), described(settings, it))).collect();
    let required = all.iter().filter(|it| it.absent == Absent::Required).map(|it| it.key());
    let required: Vec<&str> = required.collect();
    let mut object = Map::from_iter([
        ("type".to_owned(), "object".into()),
        ("properties".to_owned(), Value::Object(properties)),
        ("additionalProperties".to_owned(), false.into()),
    ]);
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

/// An object with one of the settings of a table.
fn one_of(settings: &[Setting], name: &str) -> Value {
    let mut object = table(settings, name);
    object.insert("minProperties".to_owned(), 1.into());
    object.insert("maxProperties".to_owned(), 1.into());
    Value::Object(object)
}

/// The schema of a setting, with its words and its default.
fn described(settings: &[Setting], setting: &Setting) -> Value {
    let mut schema = match form(settings, setting) {
        Value::Object(schema) => schema,
        other => return other,
    };
    if !setting.doc.is_empty() {
        schema.insert("description".to_owned(), setting.doc.clone().into());
    }
    let json = |text: &str| {
        let value: toml::Table = toml::from_str(&format!("it = {text}")).ok()?;
        serde_json::to_value(value.get("it")?).ok()
    };
    if let Absent::Value(text) = &setting.absent
        && let Some(default) = json(text)
    {
        schema.insert("default".to_owned(), default);
    }
    if let Some(example) = json(&setting.example) {
        schema.insert("examples".to_owned(), json!([example]));
    }
    Value::Object(schema)
}

fn form(settings: &[Setting], setting: &Setting) -> Value {
    let name = &setting.name;
    let list = |of: Value| json!({ "type": "array", "items": of });
    let text = || json!({ "type": "string" });
    match &setting.form {
        Form::Whole(bounds) => {
            json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() })
        }
        Form::Number(interval) => number(*interval),
        Form::Numbers(interval) => list(number(*interval)),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Text => text(),
        Form::Words(words) => json!({ "type": "string", "enum": words }),
        Form::Texts => list(text()),
        Form::TextOrTexts => json!({ "anyOf": [text(), list(text())] }),
        Form::Bytes(least) => json!({ "anyOf": [
            { "type": "integer", "minimum": least },
            { "type": "string", "pattern": "^ *[0-9.]+ *(B|[kMGT]B|[KMGT]iB)? *$" },
        ] }),
        Form::Table => Value::Object(table(settings, name)),
        Form::Tables => list(Value::Object(table(settings, name))),
        Form::AnyKeys => json!({ "type": "object" }),
        Form::OneKey => one_of(settings, name),
        Form::ListOfOneKey => list(one_of(settings, name)),
        Form::NameOrOneKey => {
            let names: Vec<&str> = inside(settings, name).map(Setting::key).collect();
            json!({ "anyOf": [{ "enum": names }, one_of(settings, name)] })
        }
        Form::KindOrTable => {
            let kind = inside(settings, name).find(|it| it.key() == "kind");
            let kind = kind.map_or_else(text, |it| form(settings, it));
            json!({ "anyOf": [kind, Value::Object(table(settings, name))] })
        }
        Form::Other(_, schema) => schema(),
    }
}

fn number(interval: Interval) -> Value {
    let Interval { least, above, most, below } = interval;
    let mut schema = Map::from_iter([("type".to_owned(), "number".into())]);
    if least.is_finite() {
        schema.insert(if above { "exclusiveMinimum" } else { "minimum" }.to_owned(), json!(least));
    }
    if most.is_finite() {
        schema.insert(if below { "exclusiveMaximum" } else { "maximum" }.to_owned(), json!(most));
    }
    Value::Object(schema)
}
