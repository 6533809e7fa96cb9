//! The keys of `[data]`.

use super::super::bounds::{COUNT, HOLD_OUT, SIZE};
use super::super::settings::{Medium, Textures};
use crate::setting::{Form, Interval, Setting, Stale};

/// The keys of `[data]`.
pub fn data() -> Vec<Setting> {
    let key = |name, form| Setting::new(name, form).stale(Stale::EVERYTHING);
    let subset = |name| key(name, Form::whole(COUNT)).or("all rows").unit("rows");
    let quoted = |text: &str| format!("\"{text}\"");
    vec![
        Setting::table(
            "data",
            "Where samples come from: files in `train` and `test`, activations made elsewhere in `[data.activations]`, or the \
             generator `[data.textures]`.",
        )
        .required(),
        Setting::new("data.train", Form::TextOrTexts)
            .or("needed unless `[data.textures]` or `[data.activations]` is given")
            .example("\"train-*.parquet\"")
            .doc(
                "The files of the training split: a path or glob, or a list of them.\n\nFiles are known by their names: \
                 folders of images or sounds; `*-images-idx3-ubyte` (MNIST and similar sets, decompressed, with the labels \
                 beside them); `*_X.bin` (STL-10, with the labels in `*_y.bin`); other `*.bin` (CIFAR-10's binary \
                 version); `.wav` and `.flac`; all others are Parquet. Modules train on images without labels, and the \
                 probe leaves them out: for STL-10, `train = [\"unlabeled_X.bin\", \"train_X.bin\"]`.\n\nSound is WAV \
                 (whole numbers of 8 to 32 bits, or floats) and FLAC, of any rate; its channels are averaged. It lies in a \
                 column of Parquet, as Hugging Face writes it, or in files.\n\nFiles are told apart by their content: \
                 another path to the same bytes makes nothing stale, other bytes make everything stale.",
            ),
        Setting::new("data.test", Form::TextOrTexts)
            .or("needed unless `data.hold_out`, `[data.textures]` or `[data.activations]` is given")
            .example("[\"test.parquet\"]")
            .doc(
                "The files of the test split, as in `data.train`.\n\nProbes, the loss after every epoch and patience read \
                 it; no module trains on it.",
            ),
        key("data.hold_out", Form::whole(HOLD_OUT))
            .or("the test split is `data.test`")
            .unit("samples")
            .example(10)
            .doc(
                "In place of `data.test`: one of every this many samples of `data.train` is of the test split.\n\nWhich \
                 one is drawn, and depends on this number alone: all seeds are judged on the same samples.",
            ),
        Setting::new("data.root", Form::Text)
            .or("`GIMLET_DATA`, else the folder of the pipeline file")
            .example("\"../data\"")
            .doc(
                "The folder that relative paths in `data.train` and `data.test` start from.\n\nA relative `data.root` in \
                 the file starts from the pipeline file's folder; in `--set` it starts from the current folder.",
            ),
        key("data.image", Form::Text)
            .default(quoted(Medium::Image.key()))
            .example("\"img\"")
            .doc("The column of the images (Parquet)."),
        key("data.audio", Form::Text)
            .default(quoted(Medium::Sound.key()))
            .example("\"speech\"")
            .doc("The column of the sounds (Parquet), where `[view]` is of sound."),
        key("data.label", Form::Other(LABEL, label))
            .default("\"label\"")
            .example("[\"digit\", \"speaker\"]")
            .doc(
                "The column of the labels (Parquet), or a list, whose first column probes and losses use; `false`: there \
                 are none.\n\nFor files in folders, it names the columns of `data.labels`, or the fields of `data.names`. \
                 Without these keys, labels are the names of the folders directly inside: `train/<class>/`. Text becomes \
                 classes in the order of its distinct values. Distinct whole numbers are sorted by value (in Parquet files \
                 of images, and for folders of images by class, by their bytes). Both splits must have the same classes.",
            ),
        key("data.labels", Form::Text)
            .or("labels are the names of folders")
            .example("\"metadata.csv\"")
            .doc(
                "A CSV file with the labels of files in folders, in each of the split's folders or in \
                 `data.root`.\n\nIts column `file_name` has the paths of files, from its own folder; the columns that \
                 `data.label` names have their labels. A file without a line has no label, nor has one whose line has no \
                 value.",
            ),
        key("data.names", Form::Text)
            .or("labels are the names of folders")
            .example("\"{digit}_{speaker}_{index}\"")
            .doc(
                "A pattern by which the names of files, without extension, tell their labels.\n\n\
                 `\"{digit}_{speaker}_{index}\"` finds three fields; `data.label` names one or more of them. \
                 `\"{speaker}-{chapter}-{utterance}\"` reads the tree of LibriSpeech. A field ends at the first occurrence \
                 of the text behind it. The pattern has to fit every file.",
            ),
        key("data.frames", Form::Text).or("none").example("\"phones\"").doc(
            "The column of lists with a label for every hop (Parquet), for sound.\n\nThe lists hold whole numbers from 0 to \
             254, or text; null is no label. Not beside `data.alignments`. Transcripts are read from a column `text`, and \
             beside files from LibriSpeech's `*.trans.txt`.",
        ),
        key("data.alignments", Form::TextOrTexts).or("none").example("\"phones.txt\"").doc(
            "Text files with a label for every hop, for sound: a path or glob, or a list of them.\n\nA line has the name of \
             a sound's file, without folder and extension, and one number per hop: `84-121123-0000 0 0 14 14 3`.",
        ),
        subset("data.subset").example(5000).doc("The largest number of training rows, drawn by the seed."),
        subset("data.test_subset").example(2000).doc(
            "The largest number of test rows, drawn by the seed.\n\nA loss that reads labels and `schedule.patience` read \
             the test split while a module trains, so that training then is stale, too.",
        ),
        key("data.on_bad_sample", Form::Words(vec!["fail", "skip"]))
            .default("\"fail\"")
            .example("\"skip\"")
            .doc(
                "What to do about a sample that cannot be read: end the run and name it, or leave it out and say so.",
            ),
    ]
}

/// The keys of `[data.activations]`.
pub fn activations() -> Vec<Setting> {
    vec![
        Setting::table(
            "data.activations",
            "Activations that were made elsewhere, in place of images or sounds.\n\nBeside it, only `hold_out`, `root`, \
             `subset`, `test_subset` and `on_bad_sample` may stand in `[data]`. `[view]` has `kind` and `grid` then, and \
             may be left out.",
        )
        .or(""),
        Setting::new("data.activations.train", Form::TextOrTexts)
            .or("needed in `[data.activations]`")
            .example("\"hidden/vit-l8/train\"")
            .doc(
                "The activations of the training split: a dataset of gimlet's, or files, as a path or glob, or a list of \
                 them.\n\nFiles are `.parquet` with a column of lists of floats (fixed-size lists, tensors of Arrow), \
                 `.npy`, `.npz` or `.safetensors`; the first dimension of an array counts its rows. Rows of files are \
                 copied when they are ingested. A dataset is the folder of one split, such as \
                 `runs/x/datasets/a/train`: its newest generation is read where it lies, and not copied.\n\nRows have an \
                 `id` of their own where there is a column or array of that name, else they are counted from 0. Floats are \
                 f16, bf16, f32 or f64; f16 stays, all others become f32.",
            ),
        Setting::new("data.activations.test", Form::TextOrTexts)
            .or("needed unless `data.hold_out` is given")
            .example("\"test-*.npy\"")
            .doc("The activations of the test split, as in `data.activations.train`."),
        Setting::new("data.activations.column", Form::Text)
            .or("the only one that holds floats; of a dataset, `activation`")
            .stale(Stale::EVERYTHING)
            .example("\"hidden\"")
            .doc("The column, array or tensor that holds the activations."),
        Setting::new("data.activations.labels", Form::Other(ROW_LABELS, row_labels))
            .or("those called `label`, if there are any")
            .stale(Stale::EVERYTHING)
            .example("\"labels.csv\"")
            .doc(
                "Where the labels lie: a column or array of that name, or a CSV file, whose name ends in `.csv`; `false`: \
                 there are none.\n\nThe CSV file has the columns `id` and `label`; a row without a line has no label. \
                 A relative path starts from `data.root`.",
            ),
    ]
}

const ROW_LABELS: &str = "the name of a column or of a CSV file, or false when there are no labels";

fn row_labels() -> serde_json::Value {
    serde_json::json!({ "anyOf": [{ "type": "string", "minLength": 1 }, { "const": false }] })
}

/// The keys of `[data.textures]`.
pub fn textures() -> Vec<Setting> {
    let Textures { classes, size, train, test, noise } = Textures::default();
    let key = |name, form| Setting::new(name, form).stale(Stale::EVERYTHING);
    let count = |name| key(name, Form::whole(COUNT));
    vec![
        Setting::table(
            "data.textures",
            "A generator of images with textures, in place of files.\n\nBeside it, only `subset`, `test_subset` and \
             `on_bad_sample` may stand in `[data]`.",
        )
        .or(""),
        count("data.textures.classes").default(classes).unit("classes").example(4).doc(
            "The number of kinds of textures.",
        ),
        key("data.textures.size", Form::whole(SIZE))
            .default(size)
            .unit("pixels")
            .example(64)
            .doc("Height and width of an image."),
        count("data.textures.train").default(train).unit("images").example(600).doc("Training images."),
        count("data.textures.test")
            .stale(Stale::TEST_SPLIT)
            .default(test)
            .unit("images")
            .example(300)
            .doc("Test images."),
        key("data.textures.noise", Form::Number(Interval::between(0.0, 1.0)))
            .default(noise)
            .unit("share of the full range")
            .example(0.05)
            .doc("Standard deviation of the noise on pixels."),
    ]
}

const LABEL: &str = "the name of a column, a list of them, or false when the data has no labels";

fn label() -> serde_json::Value {
    serde_json::json!({ "anyOf": [
        { "type": "string", "minLength": 1 },
        { "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 },
        { "const": false },
    ] })
}
