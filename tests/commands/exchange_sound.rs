//! Weights of speech in and out, under the published code's names.

use crate::exchange::weights;
use crate::sound_files;
use crate::tiny;
use crate::torch_file;
use std::path::Path;

use candle_core::{DType, Tensor};
use gimlet::layer::{Conv1d, Gru, Layer, Relu};
use gimlet::module::Module;
use sound_files::save;
use tiny::Tiny;
use torch_file::*;

/// The published convolutions and GRU, narrow as the golden file's, on windows of its length.
const PIPELINE: &str = r#"
name = "tiny"
[data]
train = "train"
test = "train"
label = false
[view]
rate = 16000
window = 2560
normalise = { mean = [0.0], std = [1.0] }
[[modules]]
name = "c0"
layers = [{ conv1d = { channels = 24, kernel = 10, stride = 5, padding = 2 } }, { relu = {} }]
[[modules]]
name = "c1"
layers = [{ conv1d = { channels = 24, kernel = 8, stride = 4, padding = 2 } }, { relu = {} }]
[[modules]]
name = "c2"
layers = [{ conv1d = { channels = 24, kernel = 4, stride = 2, padding = 2 } }, { relu = {} }]
[[modules]]
name = "c3"
layers = [{ conv1d = { channels = 24, kernel = 4, stride = 2, padding = 2 } }, { relu = {} }]
[[modules]]
name = "c4"
layers = [{ conv1d = { channels = 24, kernel = 4, stride = 2, padding = 1 } }, { relu = {} }]
[[modules]]
name = "context"
layers = [{ gru = { channels = 16 } }]
[loss.infonce1d]
prediction_steps = 12
[training]
epochs = 1
batch = 2
"#;

/// A pipeline with two recordings, those of the golden file as well as 16 bits hold them.
fn golden_pipeline() -> (Tiny, Tensors) {
    let case = golden("audio_modules");
    let tiny = Tiny::with(PIPELINE);
    for (row, name) in ["a", "b"].iter().enumerate() {
        let samples = flat(&case["input"].narrow(0, row, 1).unwrap());
        // The values of the file are drawn from a normal distribution.
        let quiet: Vec<f32> = samples.iter().map(|it| it / 8.0).collect();
        save(&tiny.path(&format!("train/{name}.wav")), 16000, &quiet);
    }
    tiny.ok("ingest", &[]);
    (tiny, case)
}

/// The state dict that the published code saves of the whole model, as trained with DataParallel.
fn state(case: &Tensors) -> Tensors {
    let named = case.iter().filter_map(|(name, tensor)| {
        let (module, name) = name.strip_prefix('m')?.split_once(".param.")?;
        Some((format!("module.fullmodel.{module}.{name}"), tensor.clone()))
    });
    named.collect()
}

#[test]
fn a_checkpoint_of_the_published_speech_model_computes_what_it_computed() {
    let (tiny, case) = golden_pipeline();
    std::fs::write(tiny.path("model_0.ckpt"), checkpoint(&state(&case))).unwrap();
    tiny.ok("import", &["model_0.ckpt"]);
    let mut x = case["input"].unsqueeze(3).unwrap();
    let conv = |kernel, stride, padding| {
        vec![Conv1d { channels: 24, kernel, stride, padding }.shared(), Relu.shared()]
    };
    let gru = vec![Gru { channels: 16, bptt: true }.shared()];
    let stack = [conv(10, 5, 2), conv(8, 4, 2), conv(4, 2, 2), conv(4, 2, 2), conv(4, 2, 1), gru];
    for ((index, layers), name) in
        stack.iter().enumerate().zip(["c0", "c1", "c2", "c3", "c4", "context"])
    {
        let encoder = weights(&tiny, "runs/tiny", name).under("encoder");
        let module = Module::new(layers, x.dims()[3], &encoder).unwrap();
        x = module.forward(&x).unwrap();
        let (found, expected) = (flat(&x), flat(&case[&format!("m{index}.context")]));
        let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
        let off = found.iter().zip(&expected).fold(0f32, |off, (a, b)| off.max((a - b).abs()));
        assert_eq!(found.len(), expected.len());
        assert!(off <= 1e-4 * largest, "{name}: off by {off} of {largest}");
    }

    // And out again, under the same names.
    tiny.ok("export", &["--output", "out.safetensors"]);
    let out = load(&tiny.path("out.safetensors"));
    let expected = state(&case);
    assert_eq!(out.len(), expected.len());
    for (name, tensor) in &out {
        assert_eq!(flat(tensor), flat(&expected[&format!("module.{name}")]), "{name}");
        assert_eq!(tensor.dims(), expected[&format!("module.{name}")].dims(), "{name}");
    }
    tiny.ok("embed", &["--input", "train", "--output", "new.parquet"]);
}

#[test]
fn a_gru_without_gradients_back_in_time_is_a_cell_there() {
    let (tiny, case) = golden_pipeline();
    let cell = |(name, tensor): (String, Tensor)| (name.replace("_l0", ""), tensor);
    let state: Tensors = state(&case).into_iter().map(cell).collect();
    std::fs::write(tiny.path("model_0.ckpt"), checkpoint(&state)).unwrap();
    let no_bptt = ["--set", "modules.context.layers=[{gru={channels=16,bptt=false}}]"];
    tiny.ok("import", &[&["model_0.ckpt"], &no_bptt[..]].concat());
    let err = tiny.fails(1, "import", &["model_0.ckpt", "--run-dir", "runs/tiny"]);
    assert!(err.contains("weight_ih_l0"), "{err}");
}

#[test]
fn speech_of_another_shape_is_refused_by_tensor() {
    let (tiny, case) = golden_pipeline();
    let mut state = state(&case);
    let name = "module.fullmodel.1.encoder.model.layer 0.0.weight";
    let narrow = state[name].narrow(2, 0, 4).unwrap().contiguous().unwrap();
    state.insert(name.to_string(), narrow.to_dtype(DType::F32).unwrap());
    std::fs::write(tiny.path("wrong.ckpt"), checkpoint(&state)).unwrap();
    let err = tiny.fails(1, "import", &["wrong.ckpt"]);
    assert!(err.contains("fullmodel.1.encoder.model.layer 0.0.weight"), "{err}");
    assert!(err.contains("[24, 24, 8]") && err.contains("[24, 24, 4]"), "{err}");
    assert!(!Path::new(&tiny.path("runs/tiny/modules")).exists(), "all or none: {err}");
}
