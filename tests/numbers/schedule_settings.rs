//! What is said about mistakes in the `[schedule]` table: the message, the place and the hint.

use std::path::Path;

use gimlet::Kind;
use gimlet::pipeline::{Environment, Pipeline, Split};
use gimlet::schedule::{At, Given, Misfit, Place, Schedule, Schedules, Step, rounds};
use gimlet::setting::{Form, Setting};
use gimlet::stage::{RunDir, Standing};

const PIPELINE: &str = r#"
[data.textures]
classes = 3
size = 64
train = 48
test = 24

[view]
patch = 8
stride = 4

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }]
#own

[training]
epochs = 6
batch = 8
#training

[store]
#store

[schedule]
"#;

fn parse(text: &str) -> gimlet::Result<Pipeline> {
    Pipeline::parse(text, Path::new("p.toml"), &[], &Environment::default())
}

/// A pipeline with this schedule, and other lines in place of comments.
fn with(schedule: &str, others: &[(&str, &str)]) -> String {
    let mut text = PIPELINE.to_string() + schedule;
    for (from, to) in others {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// The first line of the error; what its carets mark, `None` where it is about the whole file; the hint.
fn refused(schedule: &str, others: &[(&str, &str)]) -> (String, Option<String>, String) {
    let error = parse(&with(schedule, others)).expect_err("a mistake was let through");
    assert_eq!(error.kind(), Kind::Usage);
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let marked = lines.iter().position(|line| line.contains('^')).map(|carets| {
        let range = lines[carets].find('^').unwrap()..=lines[carets].rfind('^').unwrap();
        lines[carets - 1][range].to_string()
    });
    (lines[0].to_string(), marked, error.hint_text().unwrap_or_default().to_string())
}

fn check(found: (String, Option<String>, String), message: &str, marked: Option<&str>, hint: &str) {
    assert_eq!((found.0.as_str(), found.1.as_deref(), found.2.as_str()), (message, marked, hint));
}

#[test]
fn a_key_that_means_nothing_to_the_kind_is_refused() {
    for (kind, line, of) in [
        ("sequential", "rounds = 3", "`rounds`"),
        ("async", "epochs_per_round = 3", "`rounds`"),
        ("rounds", "sync_every = 3", "`async`"),
        ("simultaneous", "max_staleness = 3", "`async`"),
        ("sequential", "replay = 0.5", "`rounds` and `async`"),
        ("simultaneous", "replay = 0.5", "`rounds` and `async`"),
    ] {
        let key = line.split(' ').next().unwrap();
        let value = line.split(' ').next_back().unwrap();
        let message = format!("`{key}` means nothing to a schedule of kind `{kind}`");
        let hint = format!("it is for `schedule.kind` {of}");
        let found = refused(&format!("kind = \"{kind}\"\n{line}"), &[]);
        check(found, &message, Some(value), &hint);
    }
    check(
        refused("kind = \"simultaneous\"\npatience = 3", &[]),
        "`patience` means nothing to a schedule of kind `simultaneous`: what a module reads changes with every \
         step of the one below, so that its losses after two epochs do not compare, and all modules end at once",
        Some("3"),
        "it is for `schedule.kind` `sequential`, `rounds` and `async`",
    );
    // The default kind is sequential.
    let (message, ..) = refused("rounds = 3", &[]);
    assert_eq!(message, "`rounds` means nothing to a schedule of kind `sequential`");
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    for (kind, key) in [
        ("sequential", "patience"),
        ("rounds", "patience"),
        ("async", "patience"),
        ("rounds", "rounds"),
        ("rounds", "epochs_per_round"),
        ("async", "sync_every"),
        ("async", "max_staleness"),
    ] {
        let message = format!("`{key}` must be at least 1, not 0");
        check(refused(&format!("kind = \"{kind}\"\n{key} = 0"), &[]), &message, Some("0"), "");
    }
    for (value, shown) in [("1.0", "1"), ("-0.1", "-0.1"), ("nan", "NaN")] {
        let message = format!(
            "`replay` must be a number from 0 to less than 1 (share of a batch), not {shown}"
        );
        let schedule = format!("kind = \"rounds\"\nreplay = {value}");
        check(refused(&schedule, &[]), &message, Some(value), "");
    }
}

#[test]
fn replay_without_generations_to_replay_is_refused() {
    for kind in ["rounds", "async"] {
        let schedule = format!("kind = \"{kind}\"\nreplay = 0.5");
        check(
            refused(&schedule, &[("#store", "keep_generations = 1")]),
            "`replay` takes rows of older generations, and none is kept",
            Some("0.5"),
            "set `store.keep_generations` to 2 or more",
        );
        let none = format!("kind = \"{kind}\"\nreplay = 0.0");
        assert!(parse(&with(&none, &[("#store", "keep_generations = 1")])).is_ok());
    }
}

#[test]
fn noise_on_activations_that_are_not_stored_is_refused() {
    let noise = [("#training", "input_noise = 0.25")];
    check(
        refused("kind = \"simultaneous\"", &noise),
        "p.toml: `training.input_noise` is noise on stored activations, and a `simultaneous` schedule \
         stores none",
        None,
        "leave one of the two out",
    );
    for kind in ["sequential", "rounds", "async"] {
        assert!(parse(&with(&format!("kind = \"{kind}\""), &noise)).is_ok());
    }
}

#[test]
fn rounds_have_to_divide_the_epochs() {
    let hint = "give both `rounds` and `epochs_per_round`";
    for key in ["rounds", "epochs_per_round"] {
        let message = format!("`training.epochs` is 6, which `{key}` (4) does not divide");
        let found = refused(&format!("kind = \"rounds\"\n{key} = 4"), &[]);
        check(found, &message, Some("4"), hint);
    }
    let most = i32::MAX;
    check(
        refused(&format!("kind = \"rounds\"\nrounds = {most}\nepochs_per_round = 2"), &[]),
        "p.toml: `rounds` times `epochs_per_round` are too many epochs",
        None,
        "",
    );
    for (schedule, expected) in [
        ("", (6, 1)),
        ("rounds = 3", (3, 2)),
        ("epochs_per_round = 3", (2, 3)),
        ("rounds = 4\nepochs_per_round = 5", (4, 5)),
    ] {
        let pipeline = parse(&with(&format!("kind = \"rounds\"\n{schedule}"), &[])).unwrap();
        let found = (pipeline.schedule.rounds(), pipeline.epochs_per_round(0));
        assert_eq!((pipeline.schedule.name(), found), ("rounds", expected));
        assert_eq!(pipeline.modules[0].epochs, expected.0 * expected.1);
    }
}

#[test]
fn epochs_of_a_modules_own_are_refused_in_rounds() {
    check(
        refused("kind = \"rounds\"", &[("#own", "epochs = 2")]),
        "module `a` has `epochs` of its own: in rounds all modules train alike",
        Some("2"),
        "set `schedule.rounds` and `schedule.epochs_per_round`",
    );
}

#[test]
fn what_is_no_schedule_is_refused_where_it_says_so() {
    let (message, marked, hint) = refused("kind = \"round\"", &[]);
    assert_eq!(message, "unknown value `round` for `kind` in [schedule]");
    assert_eq!((marked.as_deref(), hint.as_str()), (Some("\"round\""), "did you mean `rounds`?"));
    let (message, marked, hint) = refused("patienc = 3", &[]);
    assert_eq!(message, "unknown key `patienc` in [schedule]");
    assert_eq!((marked.as_deref(), hint.as_str()), (Some("patienc"), "did you mean `patience`?"));
    let (message, marked, _) = refused("patience = \"3\"", &[]);
    assert_eq!(
        message,
        "`patience` in [schedule] must be a whole number of 1 or more, not the string \"3\""
    );
    assert_eq!(marked.as_deref(), Some("\"3\""));
    let text = PIPELINE.replace("[schedule]\n", "").replacen(
        "[data.textures]",
        "schedule = \"roundss\"\n[data.textures]",
        1,
    );
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.starts_with("unknown value `roundss` for `schedule`"), "{error}");
    let error = parse(&text.replace("\"roundss\"", "3")).unwrap_err().to_string();
    assert!(
        error.starts_with("`schedule` must be the name of a schedule, or a table, not 3"),
        "{error}"
    );
    let named = parse(&text.replace("roundss", "rounds")).unwrap();
    assert_eq!(named.schedule.rounds(), 6);
}

/// Modules in turn, the last one first.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TopDown {
    passes: usize,
}

impl Schedule for TopDown {
    fn name(&self) -> &'static str {
        "top-down"
    }

    fn reference(&self) -> Vec<Setting> {
        vec![Setting::new("passes", Form::whole(0..=1000)).doc("Passes over the modules.")]
    }

    fn key(&self, _replays: bool) -> serde_json::Value {
        serde_json::json!({ "kind": self.name(), "passes": self.passes })
    }

    fn check(&self, given: &Given<'_>) -> Result<(), Misfit> {
        match self.passes > given.epochs {
            true => Err(Misfit::at(Place::Setting("passes"), "too many `passes`").hint("less")),
            false => Ok(()),
        }
    }

    fn epochs(&self) -> Option<usize> {
        Some(self.passes)
    }

    fn steps(&self, modules: usize) -> Vec<Step> {
        let mut steps = vec![Step::Ingest, Step::Untrained];
        for module in (0..modules).rev() {
            let at = At { module, round: 0 };
            steps.extend([Step::Train(at), Step::Encode(at), Step::Probe(module)]);
        }
        steps
    }
}

#[test]
fn a_program_may_have_a_schedule_of_its_own() {
    let schedules = Schedules::default().with::<TopDown>().unwrap();
    let environment = Environment { schedules, ..Environment::default() };
    let parse = |passes: usize| {
        let text = with(&format!("kind = \"top-down\"\npasses = {passes}"), &[]);
        Pipeline::parse(&text, Path::new("p.toml"), &[], &environment)
    };
    let own = |passes| parse(passes).unwrap();
    assert_eq!((own(4).modules[0].epochs, own(4).schedule.name()), (4, "top-down"));
    let folder = tempfile::tempdir().unwrap();
    let key = |pipeline: &Pipeline| {
        let standing = Standing::new(pipeline, RunDir::at(folder.path().join("run"))).unwrap();
        assert_eq!(standing.plan.steps().len(), 5);
        standing.plan.key(Step::Train(At { module: 0, round: 0 }), Split::Train).clone()
    };
    assert_ne!(key(&own(4)).hash, key(&own(5)).hash);
    assert_eq!(key(&own(4)).settings["schedule"]["kind"], "top-down");
    let error = parse(7).unwrap_err();
    assert!(error.to_string().starts_with("too many `passes`"), "{error}");
    assert_eq!(error.hint_text(), Some("less"));
    assert!(Schedules::default().with::<rounds::Settings>().is_err(), "there is one already");
}
