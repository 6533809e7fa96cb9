//! The reference: `gimlet help pipeline`, `gimlet schema`, and the generated pages of `docs/reference`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::tiny::{gimlet, text};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn said(args: &[&str]) -> String {
    let output = gimlet(root()).args(args).output().unwrap();
    assert!(output.status.success(), "gimlet {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&said(args)).unwrap()
}

#[test]
fn help_shows_a_file_a_table_or_a_key() {
    let whole = said(&["help", "pipeline"]);
    for name in ["training.epochs", "modules.layers.conv.kernel", "loss.infonce1d.context.gru.bptt"]
    {
        assert!(whole.lines().any(|line| line == name), "{name}");
    }
    let long = whole.lines().find(|line| line.chars().count() > 80);
    assert_eq!(long, None, "does not fit 80 columns");
    let key = said(&["help", "pipeline", "training.checkpoint_seconds"]);
    let expected = "\
training.checkpoint_seconds
    Time between two checkpoints of a training.

    A process that is killed loses at most this much work; one that is asked to
    stop writes a checkpoint first.

    - Value: a number from 0 to 31536000 (seconds)
    - When left out: `30.0`
    - Makes stale: nothing
    - Example: `checkpoint_seconds = 300`
";
    assert_eq!(key, expected);
    let table = said(&["help", "pipeline", "probe"]);
    let names: Vec<&str> = table.lines().filter(|it| it.starts_with("probe")).collect();
    assert_eq!(names, ["probe", "probe.epochs", "probe.batch", "probe.learning_rate"]);
    // As an override names it, and by its last part.
    assert_eq!(
        said(&["help", "pipeline", "modules.a.width"]),
        said(&["help", "pipeline", "width"])
    );
    assert!(said(&["help", "sweep"]).contains("Usage: gimlet sweep"));
    assert!(said(&["help", "sweep", "seeds"]).starts_with("seeds\n"));
    let settings = &json(&["help", "pipeline", "training.batch", "--json"])["settings"][0];
    assert_eq!(settings["default"], "32");
    assert_eq!(settings["least"], 1.0);
    assert_eq!(settings["stale"], serde_json::json!(["train", "encode", "probe"]));
}

#[test]
fn help_shows_commands_and_suggests_others() {
    for command in ["run", "status", "gc"] {
        let flag = gimlet(root()).args([command, "--help"]).output().unwrap();
        assert_eq!(said(&["help", command]).trim_end(), text(&flag.stdout).trim_end());
    }
    assert!(said(&["help"]).contains("Commands:"));
    for (args, message, hint) in [
        (&["help", "rum"][..], "there is no help for `rum`", "did you mean `run`?"),
        (
            &["help", "pipeline", "training.epoch"],
            "a pipeline file has no key `training.epoch`",
            "did you mean `training.epochs`?",
        ),
        (
            &["help", "pipeline", "zzz"],
            "a pipeline file has no key `zzz`",
            "`gimlet help pipeline` shows all keys",
        ),
    ] {
        let output = gimlet(root()).args(args).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(message) && told.contains(hint), "{args:?}: {told}");
    }
}

#[test]
fn pages_are_as_generated() {
    const COMMAND: &str = "cargo run -- reference docs/reference";
    let folder = tempfile::tempdir().unwrap();
    said(&["reference", folder.path().to_str().unwrap()]);
    let names: BTreeSet<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 8, "{names:?}");
    let stale = names.iter().filter(|name| {
        let made = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let committed = std::fs::read_to_string(root().join("docs/reference").join(name));
        committed.ok() != Some(made)
    });
    let stale: Vec<&String> = stale.collect();
    assert!(stale.is_empty(), "{stale:?} of docs/reference differ; make them again: {COMMAND}");
}

#[test]
fn every_recipe_names_its_schema_and_keeps_it() {
    let mut all = Vec::new();
    for folder in ["pipelines", "pipelines/sweeps"] {
        let files = std::fs::read_dir(root().join(folder)).unwrap().map(|it| it.unwrap().path());
        all.extend(files.filter(|path| path.extension().is_some_and(|it| it == "toml")));
    }
    assert!(all.len() > 7, "{all:?}");
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let named = first.strip_prefix("#:schema ").unwrap_or_else(|| {
            panic!("{}: the first line names no schema: {first}", path.display())
        });
        let schema = path.parent().unwrap().join(named);
        let kind = if text.contains("\npipeline = ") { "sweep" } else { "pipeline" };
        let expected = root().join(format!("docs/reference/{kind}.schema.json"));
        assert_eq!(schema.canonicalize().unwrap(), expected.canonicalize().unwrap());
        let schema: Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
        let recipe: toml::Table = toml::from_str(&text).unwrap();
        let recipe = serde_json::to_value(recipe).unwrap();
        let wrong = wrong(&schema, &recipe);
        assert_eq!(wrong, None, "{}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_parsing_refuses() {
    let schema = json(&["schema"]);
    assert_eq!(schema["properties"]["training"]["properties"]["epochs"]["default"], 10);
    let good = std::fs::read_to_string(root().join("pipelines/quickstart.toml")).unwrap();
    let good: toml::Table = toml::from_str(&good).unwrap();
    let wrong_with = |key: &str, value: &str| {
        let mut recipe = serde_json::to_value(&good).unwrap();
        let pointer = format!("/{}", key.replace('.', "/"));
        let (_, key) = pointer.rsplit_once('/').unwrap();
        let mut table = &mut recipe;
        for part in pointer.rsplit_once('/').unwrap().0.split('/').skip(1) {
            let object = table.as_object_mut().unwrap();
            table = object.entry(part).or_insert_with(|| serde_json::json!({}));
        }
        let value: toml::Table = toml::from_str(&format!("it = {value}")).unwrap();
        table[key] = serde_json::to_value(&value["it"]).unwrap();
        wrong(&schema, &recipe)
    };
    for (key, value) in
        [("training.epochs", "3"), ("store.max_bytes", "\"20GB\""), ("split", "[1, 1]")]
    {
        assert_eq!(wrong_with(key, value), None, "{key} = {value}");
    }
    for (key, value) in [
        ("training.epoch", "3"),
        ("training.epochs", "0"),
        ("training.epochs", "\"three\""),
        ("training.learning_rate", "0.0"),
        ("store.dtype", "\"f61\""),
        ("store.max_bytes", "\"20gb\""),
        ("schedule", "\"roundss\""),
        ("loss", "\"clap\""),
        ("loss", "{ clapp = {}, vicreg = {} }"),
        ("modules", "[{ name = \"a\", layers = [{ conv = { channels = 3 } }] }]"),
        ("modules", "[{ name = \"a\", layers = [\"relu\"] }]"),
    ] {
        assert!(wrong_with(key, value).is_some(), "{key} = {value}");
    }
}

/// What is wrong with a value by a schema, for the words of JSON Schema that ours has; `None` when nothing is.
fn wrong(schema: &Value, value: &Value) -> Option<String> {
    let told = |what: &str| Some(format!("{value} {what} {}", schema["description"]));
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Option<Vec<String>> = any.iter().map(|it| wrong(it, value)).collect();
        return all.map(|all| all.join("; or "));
    }
    if schema.get("const").is_some_and(|it| it != value) {
        return told("is not");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return told("is none of");
    }
    let is_of_type = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some(other) => panic!("the type {other}"),
    };
    if !is_of_type {
        return told("has not the type of");
    }
    if let Some(number) = value.as_f64() {
        let bound = |key: &str| schema[key].as_f64();
        if bound("minimum").is_some_and(|it| number < it)
            || bound("maximum").is_some_and(|it| number > it)
            || bound("exclusiveMinimum").is_some_and(|it| number <= it)
            || bound("exclusiveMaximum").is_some_and(|it| number >= it)
        {
            return told("is out of the bounds of");
        }
    }
    // The one pattern is of bytes.
    if let (Some(_), Some(text)) = (schema.get("pattern"), value.as_str()) {
        let unit = text.trim().trim_start_matches(|it: char| it.is_ascii_digit() || it == '.');
        let units = ["", "B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"];
        if !units.contains(&unit.trim()) {
            return told("does not fit");
        }
    }
    if let Some(items) = value.as_array() {
        if schema["minItems"].as_u64().is_some_and(|least| (items.len() as u64) < least) {
            return told("has too few items for");
        }
        return items.iter().find_map(|item| wrong(&schema["items"], item));
    }
    let object = value.as_object()?;
    let count = object.len() as u64;
    if schema["minProperties"].as_u64().is_some_and(|least| count < least)
        || schema["maxProperties"].as_u64().is_some_and(|most| count > most)
    {
        return told("has not the number of keys of");
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.clone().find(|key| !object.contains_key(*key)) {
        return told(&format!("lacks `{missing}` of"));
    }
    object.iter().find_map(|(key, value)| match schema["properties"].get(key) {
        Some(schema) => wrong(schema, value),
        None if schema["additionalProperties"] == false => told(&format!("has no key `{key}` in")),
        None => None,
    })
}

#[test]
fn every_environment_variable_that_is_read_is_on_its_page() {
    let page = std::fs::read_to_string(root().join("docs/reference/environment.md")).unwrap();
    let mut missing = BTreeSet::new();
    let mut folders = vec![root().join("src"), root().join("store/src")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if !is_for_tests(&path) {
                let source = std::fs::read_to_string(&path).unwrap();
                for name in names(&source) {
                    found += 1;
                    if !page.contains(&format!("`{name}`")) {
                        missing.insert(format!("{name} ({})", path.display()));
                    }
                }
            }
        }
    }
    assert!(found > 10, "{found}");
    assert!(missing.is_empty(), "add them to src/cli/reference/environment.rs: {missing:?}");
}

fn is_for_tests(path: &Path) -> bool {
    ["faults.rs", "tests.rs", "environment.rs"].iter().any(|name| path.ends_with(name))
}

/// The names of environment variables in a source: what is quoted, in capitals, with a known beginning, and what is
/// read from the environment by a name in place.
fn names(source: &str) -> Vec<&str> {
    let is_name = |it: &str| {
        it.len() > 3 && it.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let starts = ["GIMLET_", "SLURM_", "HQ_", "JOB_", "AWS_", "AZURE_", "GOOGLE_", "XDG_"];
    let quoted = source
        .split('"')
        .filter(move |it| is_name(it) && starts.iter().any(|start| it.starts_with(start)));
    let read = ["env::var(\"", "env::var_os(\"", "variable(\"", "named(\""];
    let read = read
        .into_iter()
        .flat_map(move |call| source.split(call).skip(1).filter_map(|rest| rest.split('"').next()));
    quoted.chain(read.filter(move |it| is_name(it))).collect()
}
