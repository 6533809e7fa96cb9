//! Pipelines that are built in code, and losses of a program's own.

use std::path::Path;

use gimlet::layer::{Basic, Conv, Gru, Layer, Relu};
use gimlet::loss::{Bounded, Loss, Losses, Recipe, Sizes, clapp, infonce};
use gimlet::parameters::{ParameterShape, Parameters};
use gimlet::pipeline::{
    Builder, Environment, ImageView, NewModule, Pipeline, SoundView, Textures, Training,
};
use gimlet::schedule::rounds;
use gimlet::{Kind, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = r#"
[data.textures]
size = 16

[view]
patch = 8
stride = 4

[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }, { relu = {} }]

[[modules]]
name = "b"
layers = [{ basic = { channels = 8, stride = 2 } }]
epochs = 3

[loss.clapp]
prediction_steps = 1
"#;

fn builder() -> Builder {
    let conv = Conv { channels: 4, kernel: 3, stride: 1, padding: 1 }.shared();
    let block = Basic { channels: 8, stride: 2 }.shared();
    let textures = Textures { size: 16, ..Textures::default() };
    Pipeline::builder("mine", textures, ImageView::new(8, 4))
        .module(NewModule::new("a", [conv, Relu.shared()]))
        .module(NewModule::new("b", [block]).epochs(3))
        .loss(clapp::Settings { prediction_steps: 1, ..clapp::Settings::default() })
}

fn parsed(text: &str, environment: &Environment) -> Result<Pipeline> {
    Pipeline::parse(text, Path::new("mine.toml"), &[], environment)
}

#[test]
fn a_pipeline_in_code_is_that_of_its_file() {
    let mut built = builder().build().unwrap();
    built.file = "mine.toml".into();
    let read = parsed(FILE, &Environment::default()).unwrap();
    assert_eq!(format!("{built:?}"), format!("{read:?}"));
}

#[test]
fn what_is_wrong_in_code_is_named_as_in_a_file() {
    let training = |epochs| Training { epochs, ..Training::default() };
    let rounds = rounds::Settings {
        rounds: Some(2),
        epochs_per_round: Some(1),
        ..rounds::Settings::default()
    };
    let no_channels = Gru { channels: 0, bptt: true }.shared();
    let of_sound = Pipeline::builder("mine", Textures::default(), SoundView::new(16_000, 20_480));
    let cases = [
        (
            builder().training(training(0)),
            ", `training.epochs`: `epochs` must be at least 1, not 0",
        ),
        (
            builder().module(NewModule::new("c", [no_channels])),
            ", `modules.2.layers.0.gru.channels`: `channels` must be at least 1, not 0",
        ),
        (
            builder().module(NewModule::new("a", [Relu.shared()])),
            ", `modules.2.name`: two modules are called `a`",
        ),
        (
            builder().module(NewModule::new("c", [Relu.shared()]).in_channels(3)),
            ", `modules.2.in_channels`: module `c` expects 3 channels, `b` gives 8",
        ),
        (
            builder().schedule(rounds),
            ", `modules.1.epochs`: module `b` has `epochs` of its own: in rounds all modules train \
             alike",
        ),
        (
            builder().loss(infonce::Settings::default()),
            ", `loss.infonce.prediction_steps`: 5 prediction steps and 1 skipped row need a grid of \
             at least 7 rows of patches, this view gives 3x3",
        ),
        (of_sound, ", `data.textures`: [data.textures] makes images, but [view] is of sound"),
    ];
    for (builder, told) in cases {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.to_string(), format!("pipeline `mine`{told}"));
    }
}

/// A loss of this program's own, which no test computes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Mine {
    weight: f64,
}

impl Recipe for Mine {
    fn name(&self) -> &'static str {
        "mine"
    }

    fn bounds(&self) -> Vec<Bounded> {
        vec![Bounded { key: "weight", value: self.weight, bounds: 0.0..=1.0 }]
    }

    fn shapes(&self, _sizes: Sizes) -> Vec<ParameterShape> {
        Vec::new()
    }

    fn of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        None
    }

    fn operations(&self, _sizes: Sizes) -> f64 {
        0.0
    }

    fn build(&self, _sizes: Sizes, _parameters: &Parameters) -> Result<Box<dyn Loss>> {
        unimplemented!()
    }
}

#[test]
fn a_file_names_the_losses_that_a_program_adds() {
    let losses = Losses::default().with::<Mine>().unwrap();
    let own = Environment { losses, ..Environment::default() };
    let with = |text: &str| FILE.replace("[loss.clapp]\nprediction_steps = 1", text);
    let read = |text: &str| parsed(&with(text), &own);
    assert_eq!(
        &*read("[loss.mine]\nweight = 0.5").unwrap().loss,
        &Mine { weight: 0.5 } as &dyn Recipe
    );
    let named =
        parsed(&FILE.replace("[loss.clapp]\nprediction_steps = 1", "[loss]\nmine = {}"), &own);
    assert_eq!(&*named.unwrap().loss, &Mine::default() as &dyn Recipe);
    for (text, told) in [
        ("[loss.mine]\nweight = 2", "`weight` must be at most 1, not 2"),
        ("[loss.mine]\nheight = 2", "unknown key `height` in [loss.mine]"),
        ("[loss.mine]\nweight = \"a\"", "`weight` in [loss.mine] must be a number, not the string"),
        ("[loss.mien]", "unknown loss `mien`"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.to_string().starts_with(told), "{error}");
        assert!(error.to_string().contains(" ^"), "{error}");
    }
    assert_eq!(read("[loss.mien]").unwrap_err().hint_text(), Some("did you mean `mine`?"));
    assert!(parsed(&with("[loss.mine]"), &Environment::default()).is_err());
}

#[test]
fn a_name_is_of_one_loss() {
    let error = Losses::default().with::<infonce::Settings>().unwrap_err();
    assert_eq!(error.to_string(), "there is a loss `infonce` already");
    for name in Losses::default().names() {
        let recipe = Losses::default().named(name).unwrap();
        let written = serde_json::to_value(&*recipe).unwrap();
        assert_eq!(written.as_object().unwrap().keys().collect::<Vec<_>>(), [name]);
    }
}
