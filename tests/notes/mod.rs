//! A pipeline of sound that runs in a second, and the recordings it reads.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::f32::consts::TAU;

use crate::sound_files::save;
use crate::tiny::Tiny;

/// Three modules of strided convolutions and a GRU, on windows of 0.1 s: 16 hops of 50 samples.
pub const PIPELINE: &str = r#"
name = "tiny"
seed = 3

[data]
train = "train"
test = "test"
label = ["tone", "voice"]
names = "{tone}_{voice}_{take}"

[view]
rate = 8000
window = 800
hop = 50

[[modules]]
name = "a"
layers = [{ conv1d = { channels = 8, kernel = 10, stride = 5, padding = 2 } }, { relu = {} }]

[[modules]]
name = "b"
layers = [{ conv1d = { channels = 8, kernel = 10, stride = 10, padding = 2 } }, { relu = {} }]

[[modules]]
name = "context"
layers = [{ gru = { channels = 6 } }]

[loss.infonce1d]
prediction_steps = 3
negatives = 4
subsample = 20

[training]
epochs = 2
batch = 4
learning_rate = 1e-3

[store]
rows_per_part = 8

[probe]
epochs = 20
batch = 16
"#;

/// A note of so many samples, at 8 kHz: `tone` is its pitch, `voice` its overtones.
pub fn note(tone: usize, voice: usize, take: usize, samples: usize) -> Vec<f32> {
    let pitch = 300.0 * (1 + tone) as f32 + 3.0 * take as f32;
    let value = |at: usize| {
        let phase = TAU * pitch * at as f32 / 8000.0 + take as f32;
        0.4 * phase.sin() + 0.3 * ((2 + voice) as f32 * phase).sin()
    };
    (0..samples).map(value).collect()
}

/// Three tones of two voices: 24 recordings to train on, 12 to test on, some shorter than a window.
pub fn notes() -> Tiny {
    let tiny = Tiny::with(PIPELINE);
    for (split, takes) in [("train", 0..4), ("test", 4..6)] {
        for take in takes {
            for (tone, voice) in (0..6).map(|it| (it % 3, it / 3)) {
                let samples = if take == 0 { 700 } else { 900 + 40 * take };
                let path = tiny.path(&format!("{split}/{tone}_v{voice}_{take}.wav"));
                save(&path, 8000, &note(tone, voice, take, samples));
            }
        }
    }
    tiny
}
