//! The keys of `[view]`: of images, of sound, and of activations.

use std::ops::RangeInclusive;

use super::super::bounds::SIZE;
use super::super::settings::{ImageView, SoundView};
use crate::setting::{Form, Interval, Setting, Stale};

/// The bounds of `views`. They allow more than a disk holds, and still leave room for the epochs in one number
/// (`crate::view`).
const VIEWS: RangeInclusive<usize> = 1..=1 << 16;

/// The bounds of samples per second.
const RATE: RangeInclusive<usize> = 100..=768_000;

/// The bounds of samples in a window, and of samples in a recording.
const WINDOW: RangeInclusive<usize> = 1..=1 << 26;

/// The keys of `[view]`.
pub fn view() -> Vec<Setting> {
    let mut all = vec![
        Setting::table(
            "view",
            "How a sample is seen: an image as a grid of patches, or a recording as a window of sound.\n\nA view with \
             `rate` is of sound, others are of images. Where `[data.activations]` is given, the view is of activations.",
        )
        .or("needed unless `[data.activations]` is given"),
    ];
    all.extend(images());
    all.extend(sound());
    all.extend(activations());
    all.extend(both());
    all
}

/// The keys of a view of activations alone.
pub fn activations() -> Vec<Setting> {
    vec![
        Setting::new("view.kind", Form::Words(vec!["grid", "steps", "map", "vector"]))
            .or("found from the shape of a row")
            .stale(Stale::AFTER_INGEST)
            .example("\"steps\"")
            .doc(
                "What a row of activations is.\n\n`\"grid\"`: `[patches, channels]`, `[rows, columns, channels]`, or a map for each \
                 patch, `[patches, height, width, channels]`. `\"steps\"`: a sequence, `[steps, channels]`. `\"map\"`: \
                 `[height, width, channels]`, as of an image. `\"vector\"`: `[channels]`. Where it is left out, one \
                 dimension is a vector, and two or three are a grid.",
            ),
        Setting::new("view.grid", Form::Other(GRID, grid))
            .or("as many rows as columns")
            .unit("patches")
            .stale(Stale::AFTER_INGEST)
            .example("[12, 16]")
            .doc("Rows and columns of the grid, where a row of activations is `[patches, …]`."),
    ]
}

const GRID: &str = "two whole numbers: rows and columns";

fn grid() -> serde_json::Value {
    let side =
        serde_json::json!({ "type": "integer", "minimum": SIZE.start(), "maximum": SIZE.end() });
    serde_json::json!({ "type": "array", "items": side, "minItems": 2, "maxItems": 2 })
}

/// The keys of a view of images alone.
pub fn images() -> Vec<Setting> {
    let ImageView {
        resize: _,
        grayscale,
        crop: _,
        flip,
        patch: _,
        stride: _,
        mean: _,
        std: _,
        views: _,
    } = ImageView::new(1, 1);
    let pixels =
        |name| Setting::new(name, Form::whole(SIZE)).unit("pixels").stale(Stale::AFTER_INGEST);
    vec![
        pixels("view.resize").or("images keep their size").stale(Stale::EVERYTHING).example(32).doc(
            "Height and width to which images are resized when they are ingested.",
        ),
        Setting::new("view.grayscale", Form::Flag)
            .default(grayscale)
            .stale(Stale::EVERYTHING)
            .example(false)
            .doc("One channel (ITU-R 601 luma) instead of red, green and blue."),
        pixels("view.crop").or("the whole image").example(28).doc(
            "Height and width of the crop: at random in training, the centre in evaluation.\n\nThe first module draws a new \
             crop and flip in every epoch; in its output they are frozen (`view.views`).",
        ),
        Setting::new("view.flip", Form::Flag)
            .default(flip)
            .stale(Stale::AFTER_INGEST)
            .example(false)
            .doc("Mirror images left-right with a probability of one half in training."),
        pixels("view.patch").or("needed in a view of images").example(8).doc("Height and width of a patch."),
        pixels("view.stride").or("needed in a view of images").example(4).doc(
            "Distance between the corners of neighbouring patches; half a patch lets them overlap by half.",
        ),
    ]
}

/// The keys of a view of sound alone.
pub fn sound() -> Vec<Setting> {
    let SoundView { rate: _, clip: _, window: _, hop, short: _, normalise: _, views: _ } =
        SoundView::new(1, *WINDOW.end());
    let samples = |name| Setting::new(name, Form::whole(WINDOW)).unit("samples of sound");
    vec![
        Setting::new("view.rate", Form::whole(RATE))
            .or("needed in a view of sound")
            .unit("samples per second")
            .stale(Stale::EVERYTHING)
            .example(16000)
            .doc(
                "The rate to which recordings are resampled when they are ingested.\n\nIt makes the view one of sound.",
            ),
        samples("view.window")
            .or("needed in a view of sound")
            .stale(Stale::EVERYTHING)
            .example(20480)
            .doc(
                "The samples that are seen of a recording: from a random place in training, the centre in \
                 evaluation.\n\nIngest is stale only with `short = \"skip\"`, where the window decides which recordings \
                 stay.",
            ),
        samples("view.hop").default(hop).stale(Stale::EVERYTHING).example(80).doc(
            "Windows start at multiples of it, and stored pooled vectors are means over it.\n\nAt most the window; a window \
             shorter than the default is its own hop. Ingest is stale only where the data have a label for every hop.",
        ),
        samples("view.clip").or("whole recordings").stale(Stale::EVERYTHING).example(160_000).doc(
            "The samples that are kept of a recording, from its start.",
        ),
        Setting::new("view.short", Form::Words(vec!["pad", "skip"]))
            .default("\"pad\"")
            .stale(Stale::EVERYTHING)
            .example("\"skip\"")
            .doc("What becomes of a recording shorter than a window: silence follows it, or it is left out."),
    ]
}

/// The keys of both kinds of views.
pub fn both() -> Vec<Setting> {
    vec![
        Setting::table(
            "view.normalise",
            "Makes `(value - mean) / std` of each value; pixels are scaled to 0 to 1 first, sound to -1 to 1.",
        )
        .or("for images the values of the paper's data (STL-10); for sound those of the training split")
        .stale(Stale::AFTER_INGEST)
        .example("{ mean = [0.4120], std = [0.2570] }"),
        Setting::new("view.normalise.mean", Form::Numbers(Interval::FINITE))
            .stale(Stale::AFTER_INGEST)
            .example("[0.4313, 0.4156, 0.3663]")
            .doc("What is subtracted, per channel: one number for gray images and for sound, three for colour."),
        Setting::new("view.normalise.std", Form::Numbers(Interval::POSITIVE))
            .stale(Stale::AFTER_INGEST)
            .example("[0.2683, 0.2610, 0.2687]")
            .doc("What the difference is divided by, per channel."),
        Setting::new("view.views", Form::whole(VIEWS))
            .default(ImageView::new(1, 1).views)
            .unit("views per sample")
            .stale(Stale::TRAINING)
            .example(4)
            .doc(
                "Frozen crops or windows that are stored per training sample; a test sample has one, the \
                 centre.\n\nThe first module draws a new one in every epoch. With `views = V` it writes `V` of every \
                 training sample, and later modules see another of them in each of `V` epochs. The number of steps per \
                 epoch stays the same.",
            ),
    ]
}
