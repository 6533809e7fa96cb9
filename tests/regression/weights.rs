//! 40 to 49: weights from elsewhere, and trainings that learn nothing.

use super::tiny::{ONE_CONV, Tiny};
use super::torch_file::{View, checkpoint_of_views};

/// The tensors of its module in a checkpoint, with something in front of their names; the kernel as a view of
/// these values, with these strides.
fn of_one(prefix: &str, kernel: &[f32], strides: &[i64]) -> Vec<u8> {
    let one = |name: &str, values: &[f32], dims: &[usize], strides: &[i64]| {
        (format!("{prefix}{name}"), View::of(values, 0, dims, strides))
    };
    checkpoint_of_views(&[
        one("model.Conv1.weight", kernel, &[4, 3, 3, 3], strides),
        one("model.Conv1.bias", &[0.5; 4], &[4], &[1]),
        one("loss.W_k.0.weight", &[0.25; 16], &[4, 4, 1, 1], &[4, 1, 1, 1]),
    ])
}

/// 40: a safetensors file whose offsets fit neither shapes nor types, or overlap, was imported with the bytes of
/// other tensors.
#[test]
fn r40_safetensors_that_overlap_are_not_imported() {
    let tiny = Tiny::with(ONE_CONV);
    let file = |kernel: [u64; 2], predictor: [u64; 2]| {
        let header = format!(
            r#"{{"model.Conv1.bias":{{"dtype":"F32","shape":[4],"data_offsets":[0,16]}},
            "model.Conv1.weight":{{"dtype":"F32","shape":[4,3,3,3],"data_offsets":{kernel:?}}},
            "loss.W_k.0.weight":{{"dtype":"F32","shape":[4,4,1,1],"data_offsets":{predictor:?}}}}}"#
        );
        let bytes =
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 512]].concat();
        std::fs::write(tiny.path("file.safetensors"), bytes).unwrap();
    };
    for (kernel, predictor, said) in [
        ([16, 448], [0, 64], "overlap"),
        ([16, 512], [448, 512], "takes 432 bytes, its place has 496"),
        ([16, 80], [80, 512], "takes 432 bytes, its place has 64"),
        ([80, 512], [16, 32], "takes 64 bytes, its place has 16"),
    ] {
        file(kernel, predictor);
        let err = tiny.fails(1, "import", &["file.safetensors"]);
        assert!(err.contains("`file.safetensors`") && err.contains(said), "{said}: {err}");
    }
    file([16, 448], [448, 512]);
    tiny.ok("import", &["file.safetensors"]);
}

/// 41: checkpoints of compiled models (`_orig_mod.`) were refused, with a hint at layers that were right. 42: so
/// were those whose values do not follow each other, as after `to(memory_format=torch.channels_last)`.
#[test]
fn r41_r42_checkpoints_of_compiled_and_channels_last_models_are_imported() {
    let tiny = Tiny::with(ONE_CONV);
    let kernel: Vec<f32> = (0..108u8).map(|it| f32::from(it) / 64.0).collect();
    let mut last = vec![0.0; 108];
    for (at, value) in kernel.iter().enumerate() {
        let [out, channel, place] = [at / 27, at / 9 % 3, at % 9];
        last[27 * out + 3 * place + channel] = *value;
    }
    let weights = |name: &str, bytes: Vec<u8>| {
        std::fs::write(tiny.path(name), bytes).unwrap();
        tiny.ok("import", &[name, "--run-dir", &format!("run-{name}")]);
        tiny.weights(&format!("run-{name}"), "a")
    };
    let plain = weights("plain", of_one("", &kernel, &[27, 9, 3, 1]));
    assert!(weights("compiled", of_one("module._orig_mod.", &kernel, &[27, 9, 3, 1])) == plain);
    assert!(weights("last", of_one("", &last, &[27, 1, 9, 3])) == plain);
}

/// 43: `import` wanted images to be ingested first, also where the view says all shapes.
#[test]
fn r43_weights_are_imported_before_images_are_ingested() {
    let tiny = Tiny::with(ONE_CONV);
    std::fs::write(tiny.path("a.ckpt"), of_one("", &[0.5; 108], &[27, 9, 3, 1])).unwrap();
    tiny.ok("import", &["a.ckpt"]);
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][2]["state"], "done", "{status}");
    tiny.ok("run", &[]);
}

/// 44: a module whose channels are all dead trained on to its end without a word, its loss just that of a guess.
#[test]
fn r44_a_training_without_a_living_channel_is_told_of() {
    let layers = "layers = [{ conv = { channels = 2, kernel = 3 } }, { relu = {} }]";
    let tiny = Tiny::with(
        &ONE_CONV
            .replace("layers = [{ conv = { channels = 4, kernel = 3 } }]", layers)
            .replace("grayscale = false\n", "")
            .replace("epochs = 1", "epochs = 50\nlearning_rate = 10.0")
            .replace("name = \"tiny\"", "name = \"tiny\"\nseed = 3"),
    );
    tiny.ok("ingest", &[]);
    let (_, err) = tiny.ok("train", &["a"]);
    assert_eq!(err.matches("`train a` learns nothing: ").count(), 1, "{err}");
    assert!(err.contains("all channels are dead: 0 for every sample"), "{err}");
    assert!(err.contains("`training.learning_rate` (10.0)"), "{err}");
}
