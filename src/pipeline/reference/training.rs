//! The keys of `[training]` and `[probe]`.

use super::super::bounds::COUNT;
use super::super::settings::{Probe, Training};
use crate::setting::{Form, Interval, Setting, Stale};

/// The longest time between checkpoints: a year.
const YEAR: f64 = 365.0 * 24.0 * 3600.0;

/// The keys of `[training]`.
pub fn training() -> Vec<Setting> {
    let Training {
        epochs,
        batch,
        micro_batch: _,
        recompute,
        learning_rate,
        input_noise,
        checkpoint_seconds,
        held_out,
    } = Training::default();
    let count = |name| Setting::new(name, Form::whole(COUNT)).stale(Stale::TRAINING);
    vec![
        Setting::table("training", "How modules are trained, unless a module says otherwise."),
        count("training.epochs").default(epochs).unit("epochs").example(50).doc(
            "Passes over the training split, for each module.\n\nA module may have `epochs` of its own. In a \
             schedule of rounds this is the number of epochs over all rounds.",
        ),
        count("training.batch").default(batch).unit("samples").example(128).doc(
            "Samples per step.\n\nNegatives of a contrastive loss come from the whole batch, so that it changes what \
             is learned, not only how fast.",
        ),
        count("training.micro_batch").or("the whole batch").unit("samples").example(8).doc(
            "Samples of a batch whose activations are held in memory at a time.\n\nThe loss is still that of the whole \
             batch, with its negatives; only the order in which gradients are summed changes. Set it when a batch \
             does not fit in memory.",
        ),
        Setting::new("training.recompute", Form::Flag).default(recompute).example(true).doc(
            "Hold no activations for the way back: compute them again, a few patches at a time.\n\nTakes less \
             memory and more time; the weights are the same, bit for bit.",
        ),
        Setting::new("training.learning_rate", Form::Number(Interval::POSITIVE))
            .default(learning_rate)
            .stale(Stale::TRAINING)
            .example("1e-3")
            .doc("Adam's step size (betas 0.9 and 0.999, epsilon 1e-8)."),
        Setting::new("training.input_noise", Form::Number(Interval::NOT_NEGATIVE))
            .default(format!("{input_noise:?}"))
            .unit("share of the root mean square")
            .stale(Stale::TRAINING)
            .example(0.1)
            .doc(
                "Gaussian noise on the stored activations that a module trains on, as a share of their root mean \
                 square.\n\nIt is added to the stored values: to relu(z) where that is stored. It affects neither what a \
                 module encodes, nor the input of the first module.",
            ),
        Setting::new("training.checkpoint_seconds", Form::Number(Interval::between(0.0, YEAR)))
            .default(format!("{checkpoint_seconds:?}"))
            .unit("seconds")
            .example(300)
            .doc(
                "Time between two checkpoints of a training.\n\nA process that is killed loses at most this much work; one \
                 that is asked to stop writes a checkpoint first.",
            ),
        Setting::new("training.held_out", Form::whole(0..=*COUNT.end()))
            .default(held_out)
            .unit("rows")
            .example(0)
            .doc(
                "Test rows whose loss and accuracy are logged after every epoch; none when 0.\n\nThey are whole batches, \
                 as many as fit and one in any case. No weight depends on them.",
            ),
    ]
}

/// The keys of `[probe]`.
pub fn probe() -> Vec<Setting> {
    let Probe { epochs, batch, learning_rate } = Probe::default();
    let count = |name| Setting::new(name, Form::whole(COUNT)).stale(Stale::PROBES);
    vec![
        Setting::table(
            "probe",
            "How modules are judged: by a linear classifier on the mean of the pooled vectors of a sample.",
        ),
        count("probe.epochs")
            .default(epochs)
            .unit("epochs")
            .example(20)
            .doc("Passes of the classifier over the training split."),
        count("probe.batch").default(batch).unit("samples").example(64).doc("Samples per step."),
        Setting::new("probe.learning_rate", Form::Number(Interval::POSITIVE))
            .default(learning_rate)
            .stale(Stale::PROBES)
            .example("1e-2")
            .doc("Adam's step size."),
    ]
}
