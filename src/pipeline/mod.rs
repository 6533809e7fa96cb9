//! Pipeline files.
//!
//! A pipeline file is TOML. These are its tables and keys, and what each means when it is left out:
//!
//! ```toml
//! name = "quickstart"     # names the run directory; the file's stem when left out
//! seed = 1                # every random draw starts here; 0 when left out
//!
//! [data]                  # files …
//! train = "train-*.parquet"    # a path or glob, or a list of them
//! test = ["test.parquet"]
//! hold_out = 10           # instead of `test`: one of every ten samples of `train` is of the test split
//! root = "."              # relative paths start here; see below
//! image = "image"         # the column of the images (Parquet)
//! label = "label"         # the column of the labels (Parquet), or a list, whose first column probes and
//!                         # losses use; false: there are none
//! labels = "metadata.csv" # files in folders: a CSV file with their labels; see below
//! names = "{label}_{n}"   # files in folders: their names tell their labels; see below
//! subset = 5000           # the largest number of training rows; all when left out
//! test_subset = 2000      # the largest number of test rows; all when left out
//! on_bad_sample = "fail"  # or "skip"
//!
//! audio = "audio"         # instead of `image`, where [view] is of sound: the column of the sounds
//! frames = "phones"       # sound: a column of lists with a label for every hop (Parquet)
//! alignments = "phones.txt"    # sound: text files with a label for every hop; a path or glob, or a list
//!
//! [data.textures]         # … or a generator; with it, `subset`, `test_subset` and
//! classes = 10            # `on_bad_sample` are the only other keys of [data]
//! size = 32               # pixels, height and width
//! train = 4000            # images
//! test = 1000
//! noise = 0.1             # standard deviation, in units of the full range
//!
//! [view]
//! resize = 32             # pixels; images keep their size when left out
//! grayscale = true
//! crop = 28               # pixels; the whole image when left out
//! flip = true
//! patch = 8               # pixels; must be given
//! stride = 4              # pixels; must be given
//! normalise = { mean = [0.4120], std = [0.2570] }  # a number per channel; the paper's values
//! views = 1               # frozen crops stored per training sample; a test sample has the centre
//!
//! # … or of sound, where it says `rate`:
//! rate = 16000            # samples per second, to which recordings are resampled; must be given
//! window = 20480          # samples that are seen of a recording; must be given
//! hop = 160               # samples; windows start at multiples of it, pooled vectors are means over it
//! clip = 160000           # samples kept of a recording, from its start; all when left out
//! short = "pad"           # a recording shorter than a window has silence behind it; or "skip"
//! normalise = { mean = [0.0], std = [0.1] }  # those of the training split when left out
//! views = 1               # frozen windows stored per training recording
//!
//! [[modules]]             # one or more, in order
//! name = "a"              # letters, digits, - and _; not "ingest", "probe" or "untrained"
//! in_channels = 1         # channels it expects from the module before; checked if given
//! layers = [
//!     { conv = { channels = 32, kernel = 5, stride = 1, padding = 2 } },
//!     { relu = {} },                         # of sound: conv1d, relu, and at the end gru
//!     # { conv1d = { channels = 512, kernel = 10, stride = 5, padding = 2 } },
//!     # { gru = { channels = 256, bptt = true } },
//!     { basic = { channels = 32, stride = 1, blocks = 3 } },
//!     { bottleneck = { planes = 32, stride = 1, blocks = 3 } },
//! ]
//! epochs = 10             # instead of `epochs` in [training]
//! learning_rate = 1e-3    # instead of `learning_rate` in [training]
//! activations = "store"   # instead of `activations` in [store]
//!
//! [[modules]]
//! name = "b"
//! preset = "resnet50-1"   # instead of `layers`
//! width = 32              # 64 when left out
//!
//! [loss.infonce]          # or one of the others; for sound, infonce1d when left out; see below
//! prediction_steps = 5    # rows of patches below that each patch predicts
//! negatives = 16          # for each prediction, from the whole batch
//! skip = 1                # rows left out in between, since they overlap the patch
//! context = "pixelcnn"    # what predicts; each patch by itself when left out
//!
//! [training]
//! epochs = 10
//! batch = 32
//! learning_rate = 2e-4
//! micro_batch = 8         # samples whose activations are held at a time; all when left out
//! recompute = false       # hold none: compute them again on the way back
//! input_noise = 0.0       # Gaussian, on stored activations, as a share of their root mean square
//! checkpoint_seconds = 30
//! held_out = 256          # test rows whose loss is logged after every epoch, in whole batches; none when 0
//!
//! [schedule]
//! kind = "sequential"     # or "rounds", "simultaneous", "async"; see below
//! patience = 3            # training ends after this many epochs without a smaller held-out loss; never
//!                         # when left out; not for simultaneous
//! rounds = 5              # rounds: training.epochs / epochs_per_round when left out
//! epochs_per_round = 2    # rounds: training.epochs / rounds when left out, 1 if both are
//! sync_every = 1          # async: epochs after which a module writes a generation
//! max_staleness = 1       # async: epochs on one generation after which a module waits for a newer one;
//!                         # sync_every when left out
//! replay = 0.0            # rounds, async: the share of a batch from older generations
//!
//! [store]
//! dtype = "f16"           # or "f32", "int8"
//! compression = "auto"    # or "none", "lz4", "zstd"
//! relu = true             # store relu(z) where the next module reads nothing else of z
//! activations = "store"   # or "recompute", "auto"
//! rows_per_part = 2048
//! max_bytes = "20GB"      # of the whole run; no limit when left out
//! read_memory = "256MB"   # of batches read ahead of the trainer
//! keep_generations = 2    # newest generations of each dataset that `gimlet gc` and rounds keep
//! url = "s3://bucket/runs" # or gs://, az://, file://: runs lie there, each under its name
//! cache_bytes = "20GB"    # of the copy of object storage that this machine keeps
//!
//! [probe]
//! epochs = 100
//! batch = 256
//! learning_rate = 1e-3
//!
//! [slurm]                 # what `gimlet slurm` asks a cluster for, in the words of `sbatch`
//! partition = "gpu"       # this and the other keys: left to the cluster when left out
//! account = "lab"
//! qos = "normal"
//! time = "4:00:00"        # minutes, H:MM:SS, D-HH and so on
//! gres = "gpu:1"
//! cpus_per_task = 8       # --threads when left out; a job's threads, unless --threads is given
//! mem = "16G"
//! constraint = "a100"
//! extra = ["--mail-type=END"]   # any other options of `sbatch`; none when left out
//! setup = ["module load cuda"]  # lines of bash before the work; none when left out
//! grace_seconds = 90      # a job saves its state and queues again this long before its time limit
//!
//! [slurm.train]           # these keys for one kind of job; they replace those above, `extra` is added
//! time = "1-00:00:00"     # [slurm.ingest], [slurm.train], [slurm.encode], [slurm.probe]
//! ```
//!
//! Where no comment says otherwise, the value shown is the default.
//!
//! **Files** are known by their names: folders of images; `*-images-idx3-ubyte` (MNIST and similar sets,
//! decompressed, with the labels beside them); `*_X.bin` (STL-10, with the labels in `*_y.bin`); other `*.bin`
//! (CIFAR-10's binary version); all others are Parquet. Modules train on images without labels, and the probe
//! leaves them out: for STL-10, `train = ["unlabeled_X.bin", "train_X.bin"]`.
//!
//! **Sound** is WAV (whole numbers of 8 to 32 bits, or floats) and FLAC, of any rate. Its channels are averaged. It
//! lies in the `audio` column of Parquet, as Hugging Face writes it, or in folders of `.wav` and `.flac` files. A path
//! or glob may also name `.wav` and `.flac` files themselves.
//!
//! **Labels** of files in folders are the names of the folders directly inside, `train/<class>/`, unless one of these
//! keys is given:
//!
//! - `labels`, a CSV file in each of the split's folders or in `data.root`. Its column `file_name` has the paths of
//!   files, from its own folder; the columns that `label` names have their labels. A file without a line has no
//!   label, nor has one whose line has no value.
//! - `names`, a pattern for file names without extension. `"{digit}_{speaker}_{index}"` finds three fields; `label`
//!   names one or more of them. `"{speaker}-{chapter}-{utterance}"` reads the tree of LibriSpeech. A field ends at the
//!   first occurrence of the text behind it. The pattern has to fit every file.
//!
//! Text becomes classes in the order of its distinct values. Distinct whole numbers are sorted by value (in Parquet
//! files of images, and for folders of images by class, by their bytes). Both splits must have the same classes.
//!
//! **Hops.** `frames` is a column of lists of whole numbers from 0 to 254, or of text; null is no label.
//! A line of `alignments` has the name of a sound's file, without folder and extension, and one number per hop:
//! `84-121123-0000 0 0 14 14 3`. Transcripts are read from a column `text`, and beside files from
//! LibriSpeech's `*.trans.txt`.
//!
//! **Paths.** Relative paths in `data.train` and `data.test` start from `data.root`, else from
//! `GIMLET_DATA`, else from the pipeline file's folder. A relative `data.root` in the file starts from the
//! pipeline file's folder; in `--set` it starts from the current folder.
//!
//! **Layers.** When left out, `stride` is 1, `blocks` is 1, and the `padding` of a convolution is half its kernel. Of
//! several blocks only the first has the stride. A bottleneck has four times its planes as output channels. Sound is
//! one map per window, and its layers run along it. A `gru` is the last layer of its module. Its output at a step,
//! computed from this step and those before, is the context that predicts; the probe and the next module see it, too.
//! Its inputs are the targets. With `bptt = false` its state is detached at every step.
//!
//! **Views.** The first module draws a new crop and flip in every epoch; in its output they are frozen. With
//! `views = V` it writes `V` crops of every training sample, and later modules see another of them in each of `V`
//! epochs. The number of steps per epoch stays the same.
//!
//! **Activations.** `"int8"` has a scale for each sample and channel. `"recompute"` does not write the maps that only
//! the next module reads; the modules below compute them again from the last maps that are stored. `"auto"` takes
//! what a cost model says is faster, and recomputes more when the run would be larger than `max_bytes`; `gimlet plan`
//! says what it takes and why.
//!
//! **Bytes** are a number, or a string of a number and one of kB, MB, GB, TB (powers of 1000) and
//! KiB, MiB, GiB, TiB (powers of 1024).
//!
//! **Presets.** `resnet50-0`, `resnet50-1` and `resnet50-2` are the three modules of the paper with bottlenecks;
//! `resnet34-0`, `resnet34-1` and `resnet34-2` are those with basic blocks. `width` scales their channels. A preset
//! expects the channels of the preset before it, unless `in_channels` says otherwise.
//!
//! **Split.** The key `split`, at the top of the file, cuts the layers of all modules into other modules, which are
//! called `m0`, `m1` and so on. `"each"` makes every unit a module; `"end-to-end"` makes one module of all units. A
//! number is the number of modules; the first ones are a unit larger if need be. A list has the number of units of
//! each module. A unit is a block, a convolution or a GRU. Any other layer stays with the layer before it, and a block
//! stays with a convolution right before it. Modules that are cut have no `epochs`, `learning_rate` and `activations`
//! of their own.
//!
//! **Losses.** `loss = "clapp"` is short for a `[loss.clapp]` that says nothing else.
//!
//! - `infonce`: for images, with the keys above ([`crate::loss::infonce`]). With `context = "pixelcnn"` and
//!   `split = "end-to-end"` it is CPC.
//! - `infonce1d`: for sound, along time ([`crate::loss::infonce1d`]): `prediction_steps` (12), `negatives`
//!   (10); `subsample` (128), the steps of a longer sequence that the loss is computed on, 0 for all;
//!   `sampling`, where negatives come from: `"permutation"`, `"offsets"` (never the positive) or `"sequence"`
//!   (from the same sequence); and `context = { gru = { channels = 256, bptt = true } }`, a GRU of the loss's
//!   own that predicts, with gradients through time or without.
//! - `clapp`: `prediction_steps`, `negatives` (1) and `skip`, with a hinge ([`crate::loss::clapp`]).
//! - `vicreg`: `prediction_steps`, `skip`, and the weights `invariance` (25), `variance` (25) and
//!   `covariance` (1); no negatives ([`crate::loss::vicreg`]).
//! - `supervised`: the labels, by a linear classifier for each module ([`crate::loss::supervised`]); greedy, unless
//!   `split` makes one module.
//!
//! **Schedules.** `schedule = "rounds"` is short for a `[schedule]` that says nothing else.
//!
//! - `sequential`: each module trains to its last epoch and writes its activations, then the next one trains.
//! - `rounds`: in each round every module in turn trains `epochs_per_round` on the newest generation of
//!   its input, then writes a new generation, with newly drawn crops and flips, or windows. Modules have
//!   no `epochs` of their own. Weights and generations of earlier rounds are deleted as soon as nothing needs
//!   them, except the newest `store.keep_generations`. With more `rounds`, a run goes on from its last round.
//! - `simultaneous`: all modules train in one process. Each batch goes forward once, through all modules; no
//!   gradient goes from one module to another. Only what probes read is stored.
//! - `async`: one process per module, all at the same time (`gimlet worker`). Each trains on the newest
//!   generation of its predecessor, takes up a newer one between two batches, and writes one of its own every
//!   `sync_every` epochs; the first one is that of the untrained module. A module that has trained
//!   `max_staleness` epochs on one generation waits for the next, unless no worker is making it. So modules keep
//!   step, and the death of one worker does not stop the others.
//!
//! With `patience` a module stops after `patience` epochs in which its loss on the test split has not become smaller,
//! and keeps the weights of the smallest loss. It is the loss that probes report, computed after every epoch on at
//! most 1024 test samples: whole batches, evenly spaced over the split, which must fill at least one batch. Losses can
//! only be compared on the same input. So in `rounds` the count begins again with every round, and ends the training
//! of the module in that round. In `async` it begins again with every generation that a module takes up, and modules
//! publish their test split, too. In a `simultaneous` schedule the input changes with every step, so there is no
//! `patience`.
//!
//! `replay` draws each row with this probability from one of the older generations that
//! `store.keep_generations` keeps, which must be 2 or more. `input_noise` is added to the stored values: to
//! relu(z) where that is stored. Neither affects what a module encodes, nor the input of the first module.
//!
//! **Overrides.** `--set key=value` sets any key: `training.epochs=3`; `modules.a.epochs=2`, or
//! `modules.0.epochs=2` by index, before any split. The value is TOML; what is not TOML is a
//! string.

mod bounds;
mod builder;
mod bytes;
mod data;
mod environment;
pub(crate) mod error_wording;
mod json;
mod loss;
mod modules;
mod name_pattern;
pub(crate) mod origin;
mod overrides;
mod per_split;
mod pooling;
mod preset;
mod raw;
mod schedule;
pub mod settings;
mod shapes;
mod slurm;
mod split;
mod store;
mod training;
mod view;

use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;

use self::builder::is_folder_name;
use self::origin::{Fault, Origin};
use crate::error::Result;

pub use bounds::MOST_THREADS;
pub use builder::Builder;
pub use environment::{DATA_ROOT_VARIABLE, Environment};
pub use json::json_of;
pub use modules::NewModule;
pub use name_pattern::NamePattern;
pub use per_split::PerSplit;
pub use pooling::Pooling;
pub use settings::*;
pub use split::Cut;
pub use view::SampleView;

impl Pipeline {
    /// Reads the pipeline file at `path`. Values of `overrides` (`key=value`) replace those of the file.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the file cannot be read, and the errors of [`Pipeline::parse`].
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::load_in(path, overrides, &Environment::of_process())
    }

    /// Reads a pipeline file, which may name the losses, layers and schedules of `environment`.
    ///
    /// # Errors
    /// The errors of [`Pipeline::load`].
    pub fn load_in(path: &Path, overrides: &[String], environment: &Environment) -> Result<Self> {
        let text = origin::read_file(path, "pipeline")?;
        Self::parse(&text, path, overrides, environment)
    }

    /// Reads a pipeline from `text`, the content of `file`. Uses neither disk nor network.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] for anything wrong with the text or an override: the message shows the line
    /// with a caret below the key or value, or names the override.
    pub fn parse(
        text: &str,
        file: &Path,
        overrides: &[String],
        environment: &Environment,
    ) -> Result<Self> {
        let origin = Origin::new(file, text, overrides);
        read(text, file, &origin, environment).map_err(|fault| origin.error(fault))
    }
}

fn read(
    text: &str,
    file: &Path,
    origin: &Origin<'_>,
    environment: &Environment,
) -> Result<Pipeline, Fault> {
    let mut document = DeTable::parse(text).map_err(|error| error_wording::syntax(&error))?;
    overrides::apply(origin, &mut document)?;
    let raw = raw::Pipeline::deserialize(toml::de::Deserializer::from(document.clone()))
        .map_err(|error| error_wording::mistyped(&error, document.get_ref()))?;
    let document = document.get_ref();
    let view = view::resolve(&raw.view)?;
    let (medium, default_loss) = (view.settings().medium(), view.settings().default_loss());
    let located = |fault: Fault| fault.located(document);
    let builder = Builder {
        name: name(raw.name, file)?,
        file: file.to_owned(),
        seed: raw.seed.unwrap_or(0),
        data: data::resolve(&raw.data, file, origin, environment, medium)?,
        view,
        modules: modules::resolve(raw.modules.get_ref(), &environment.layers, document)
            .map_err(located)?,
        split: raw.split,
        loss: loss::resolve(&environment.losses, default_loss, document)?,
        schedule: schedule::resolve(&environment.schedules, document).map_err(located)?,
        training: raw.training,
        store: store::resolve(raw.store)?,
        probe: raw.probe,
        slurm: slurm::resolve(&raw.slurm)?,
    };
    builder.checked().map_err(located)
}

/// The `name` that a pipeline gives, else the stem of its file.
fn name(name: Option<String>, file: &Path) -> Result<String, Fault> {
    let stem = || file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    name.or_else(|| stem().filter(|stem| is_folder_name(stem))).ok_or_else(|| {
        Fault::of_file("the file's own name cannot name the run directory")
            .hint("give the pipeline a `name`")
    })
}
