//! The reference of pipeline files against what parsing does: defaults, bounds and examples.

use std::path::Path;
use std::sync::Arc;

use gimlet::pipeline::{Environment, Pipeline, reference};
use gimlet::schedule::sequential;
use gimlet::setting::{Absent, Form, Setting};

const IMAGES: &str = r#"
[data.textures]

[view]
patch = 8
stride = 4

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }]

[loss.infonce]
prediction_steps = 1
"#;

const FILES: &str = r#"
[data]
train = "train"

[view]
patch = 8
stride = 4
crop = 64

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }]
"#;

const SOUND: &str = r#"
[data]
train = "train"
test = "test"

[view]
rate = 8000
window = 20480

[[modules]]
name = "a"
layers = [{ conv1d = { channels = 4, kernel = 4, stride = 2 } }]
"#;

const ACTIVATIONS: &str = r#"
[data.activations]
train = "train.npy"
test = "test.npy"

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 1, padding = 0 } }]
"#;

/// A pipeline that has the setting of this name, or may have it: its text, and overrides.
fn base(name: &str) -> (&'static str, Vec<String>) {
    let parts: Vec<&str> = name.split('.').collect();
    let sound = ["audio", "frames", "alignments", "rate", "window", "hop", "clip", "short"];
    let with =
        |text, overrides: &[&str]| (text, overrides.iter().map(|it| it.to_string()).collect());
    match parts.as_slice() {
        ["data", "activations", ..] | ["view", "kind" | "grid"] => with(ACTIVATIONS, &[]),
        ["data" | "view", key] if sound.contains(key) => with(SOUND, &[]),
        ["data", "hold_out"] => with(FILES, &[]),
        ["data", "names"] => with(FILES, &["data.test=test", "data.label=digit"]),
        ["data", key] if !key.contains("subset") && *key != "on_bad_sample" => {
            with(FILES, &["data.test=test"])
        }
        ["view", "normalise", _] => {
            with(IMAGES, &["view.grayscale=false", "view.normalise={mean=[0,0,0],std=[1,1,1]}"])
        }
        ["modules", "width" | "preset"] => {
            with(IMAGES, &["modules=[{name=\"a\",preset=\"resnet34-0\"}]"])
        }
        ["modules", "python" | "arguments" | "key"] => {
            with(IMAGES, &["modules=[{name=\"a\",python=\"stages.py:Block\"}]"])
        }
        ["modules", "layers", "conv1d", "stride"] => {
            with(SOUND, &["modules.a.layers=[{conv1d={channels=4,kernel=4}}]"])
        }
        ["modules", "layers", "conv1d", ..] => with(SOUND, &[]),
        ["modules", "layers", "gru", ..] => with(SOUND, &["modules.a.layers=[{gru={channels=4}}]"]),
        ["modules", "layers", "basic", ..] => {
            with(IMAGES, &["modules.a.layers=[{basic={channels=4}}]"])
        }
        ["modules", "layers", "bottleneck", ..] => {
            with(IMAGES, &["modules.a.layers=[{bottleneck={planes=4}}]"])
        }
        ["modules", "layers", "relu"] => with(IMAGES, &["modules.a.layers=[{relu={}}]"]),
        ["loss", "infonce1d", "context", ..] => {
            with(SOUND, &["loss={infonce1d={context={gru={}}}}"])
        }
        ["loss", "infonce1d", ..] => with(SOUND, &["loss={infonce1d={}}"]),
        ["loss", loss, ..] => (IMAGES, vec![format!("loss={{{loss}={{}}}}")]),
        ["schedule", "rounds" | "epochs_per_round" | "replay"] => {
            with(IMAGES, &["schedule={kind=\"rounds\",rounds=2,epochs_per_round=2}"])
        }
        ["schedule", "sync_every" | "max_staleness"] => with(IMAGES, &["schedule.kind=async"]),
        _ => with(IMAGES, &[]),
    }
}

/// The name of a setting as an override of the pipelines above has it.
fn path(name: &str) -> String {
    let of_module = |rest: &str| match rest.strip_prefix("layers.") {
        Some(layer) => format!("modules.a.layers.0.{layer}"),
        None => format!("modules.a.{rest}"),
    };
    name.strip_prefix("modules.").map_or(name.to_owned(), of_module)
}

fn parse(setting: &Setting, value: Option<&str>) -> gimlet::Result<Pipeline> {
    let (text, mut overrides) = base(&setting.name);
    overrides.extend(value.map(|value| format!("{}={value}", path(&setting.name))));
    Pipeline::parse(text, Path::new("p.toml"), &overrides, &Environment::default())
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let mut tried = 0;
    for setting in reference(&Environment::default()) {
        let Absent::Value(default) = &setting.absent else { continue };
        let name = &setting.name;
        let [without, with] = [None, Some(default.as_str())].map(|value| {
            let parsed = parse(&setting, value);
            let mut parsed = parsed.unwrap_or_else(|error| panic!("{name} = {value:?}: {error}"));
            // A schedule may work out later what is left out.
            let schedule = parsed.schedule.key(true);
            parsed.schedule = Arc::new(sequential::Settings::default());
            format!("{schedule} {parsed:?}")
        });
        assert_eq!(without, with, "{name} = {default}");
        tried += 1;
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn every_example_is_read() {
    for setting in reference(&Environment::default()) {
        if setting.example.is_empty() {
            let is_table = matches!(setting.form, Form::Table);
            assert!(is_table, "`{}` has no example", setting.name);
            continue;
        }
        if let Err(error) = parse(&setting, Some(&setting.example)) {
            panic!("{} = {}: {error}", setting.name, setting.example);
        }
    }
}

#[test]
fn what_is_out_of_bounds_is_refused_with_the_bound() {
    let mut tried = 0;
    for setting in reference(&Environment::default()) {
        let outside: Vec<(String, String)> = match &setting.form {
            Form::Whole(bounds) => {
                let (least, most) = (*bounds.start() as i128, *bounds.end() as i128);
                let above = (most < i64::MAX.into()).then(|| (most + 1, most));
                let outside = [Some((least - 1, least)), above].into_iter().flatten();
                outside.map(|(value, bound)| (value.to_string(), bound.to_string())).collect()
            }
            Form::Number(interval) => {
                let below = (interval.least - 1.0, format!("at least {}", interval.least));
                let above = (interval.most + 1.0, format!("at most {}", interval.most));
                let outside = [Some(below), interval.most.is_finite().then_some(above)];
                let outside =
                    outside.into_iter().flatten().map(|(it, bound)| (format!("{it:?}"), bound));
                outside.chain([("nan".to_owned(), "not NaN".to_owned())]).collect()
            }
            Form::Bytes(1) => vec![("0".to_owned(), "1 byte".to_owned())],
            _ => continue,
        };
        for (value, bound) in outside {
            let Err(error) = parse(&setting, Some(&value)) else {
                panic!("{} = {value} is let through", setting.name);
            };
            let told = error.to_string();
            assert!(told.contains(&format!("{}`", setting.key())), "{}: {told}", setting.name);
            let says = told.contains(&bound) || told.contains(&setting.form.words());
            assert!(says, "{} = {value}: {told}; no {bound}", setting.name);
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
}

#[test]
fn every_setting_says_what_it_is_for() {
    let all = reference(&Environment::default());
    for setting in &all {
        let summary = setting.summary();
        assert!(summary.ends_with(['.', ':']), "`{}`: {summary}", setting.name);
        let same = all.iter().filter(|it| it.name == setting.name).count();
        assert_eq!(same, 1, "`{}` is there twice", setting.name);
    }
}
