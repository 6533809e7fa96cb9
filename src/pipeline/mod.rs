//! Pipeline files.
//!
//! A pipeline file is TOML. Its tables, their keys, and what each means when it is left out:
//!
//! ```toml
//! name = "quickstart"     # names the run directory; the file's stem when left out
//! seed = 1                # every random draw starts here; 0 when left out
//!
//! [data]                  # files …
//! train = "train-*.parquet"    # a path or glob, or a list of them
//! test = ["test.parquet"]
//! root = "."              # relative paths start here; see below
//! image = "image"         # the column of the images (Parquet)
//! label = "label"         # the column of the labels (Parquet), or a list, of which the first is what
//!                         # probes and losses go by; false: there are none
//! labels = "metadata.csv" # files in folders: a CSV file with their labels; see below
//! names = "{label}_{n}"   # files in folders: their names tell their labels; see below
//! subset = 5000           # at most so many training rows; all when left out
//! test_subset = 2000      # at most so many test rows; all when left out
//! on_bad_sample = "fail"  # or "skip"
//!
//! audio = "audio"         # instead of `image`, where [view] is of sound: the column of the sounds
//! frames = "phones"       # sound: a column of lists with a label for every hop (Parquet)
//! alignments = "phones.txt"    # sound: the same from text files; a path or glob, or a list of them
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
//! views = 1               # frozen crops stored of every training sample; of a test sample, the centre
//!
//! # … or of sound, where it says `rate`:
//! rate = 16000            # samples a second, to which recordings are resampled; must be given
//! window = 20480          # samples that are seen of a recording; must be given
//! hop = 160               # windows start at multiples of it, and pooled vectors are means over it
//! clip = 160000           # samples kept of a recording, from its start; all when left out
//! short = "pad"           # a recording shorter than a window has silence behind it; or "skip"
//! normalise = { mean = [0.0], std = [0.1] }  # as the training split has them when left out
//! views = 1               # frozen windows stored of every training recording
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
//! epochs = 10             # instead of that of [training]
//! learning_rate = 1e-3    # instead of that of [training]
//! activations = "store"   # instead of that of [store]
//!
//! [[modules]]
//! name = "b"
//! preset = "resnet50-1"   # instead of `layers`
//! width = 32              # 64 when left out
//!
//! [loss.infonce]          # or one of the others; of sound it is infonce1d when left out; see below
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
//! patience = 3            # sequential: epochs without a smaller held-out loss that end a training;
//!                         # none do when left out
//! rounds = 5              # rounds: training.epochs / epochs_per_round when left out
//! epochs_per_round = 2    # rounds: training.epochs / rounds when left out, 1 if both are
//! sync_every = 1          # async: epochs after which a module writes a generation
//! max_staleness = 1       # async: epochs on one generation after which a module waits for a newer
//!                         # one; sync_every when left out
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
//! keep_generations = 2    # of each dataset, by `gimlet gc` and from round to round
//! url = "s3://bucket/runs" # or gs://, az://, file://: runs lie there, each under its name
//! cache_bytes = "20GB"    # of what lies there, kept on this machine
//!
//! [probe]
//! epochs = 100
//! batch = 256
//! learning_rate = 1e-3
//!
//! [slurm]                 # what `gimlet slurm` asks a cluster for, in the words of `sbatch`
//! partition = "gpu"       # all are left to the cluster when left out
//! account = "lab"
//! qos = "normal"
//! time = "4:00:00"        # minutes, H:MM:SS, D-HH and so on
//! gres = "gpu:1"
//! cpus_per_task = 8       # --threads when left out, and the threads of a job when that is
//! mem = "16G"
//! constraint = "a100"
//! extra = ["--mail-type=END"]   # any other options of `sbatch`; none when left out
//! setup = ["module load cuda"]  # lines of bash before the work; none when left out
//! grace_seconds = 90      # before its time limit, when a job saves its state and goes back to the queue
//!
//! [slurm.train]           # the same of one kind of job, over that of all, `extra` beside it
//! time = "1-00:00:00"     # [slurm.ingest], [slurm.train], [slurm.encode], [slurm.probe]
//! ```
//!
//! Where no comment says otherwise, the value shown is the one of a key that is left out.
//!
//! **Files** are known by their names: folders of images; `*-images-idx3-ubyte` (MNIST and its like,
//! decompressed, the labels beside them); `*_X.bin` (STL-10, the labels in `*_y.bin`); other `*.bin`
//! (CIFAR-10's binary version); all others are Parquet. Images without labels train, and the probe
//! leaves them out: of STL-10, `train = ["unlabeled_X.bin", "train_X.bin"]`.
//!
//! **Sound** is WAV (whole numbers of 8 to 32 bits, or floats) and FLAC, of any rate; the mean of its
//! channels is what counts. It lies in the `audio` column of Parquet, as Hugging Face writes it, or in
//! folders of `.wav` and `.flac` files. A path or glob may name such files themselves.
//!
//! **Labels** of files in folders are the names of the folders directly inside, `train/<class>/`, unless
//! one of these says otherwise:
//!
//! - `labels`, a CSV file in each of the split's folders or in `data.root`. Its column `file_name` has
//!   the paths of files, from its own folder, and the columns that `label` names have their labels.
//!   A file without a line, and a line without a value, have none.
//! - `names`, a pattern of file names without extension. `"{digit}_{speaker}_{index}"` finds three
//!   fields, of which `label` names one or more; `"{speaker}-{chapter}-{utterance}"` reads the tree of
//!   LibriSpeech. A field ends where the text behind it first comes. The pattern has to fit every file.
//!
//! Text becomes classes in the order of its distinct values, whole numbers by what they are (in Parquet
//! files of images, and for folders of images by class, by their bytes). Both splits must have the same.
//!
//! **Hops.** `frames` is a column of lists of whole numbers from 0 to 254, or of text; null is no label.
//! A line of `alignments` has the name of a sound's file, without folder and extension, and such numbers:
//! `84-121123-0000 0 0 14 14 3`. Transcripts are read from a column `text`, and beside files from
//! LibriSpeech's `*.trans.txt`.
//!
//! **Paths.** Relative paths in `data.train` and `data.test` start from `data.root`, else from
//! `GIMLET_DATA`, else from the pipeline file's folder. A relative `data.root` starts from the
//! pipeline file's folder in the file, and from the current folder in `--set`.
//!
//! **Layers.** `stride` is 1 and `blocks` is 1 when left out, and the `padding` of a convolution
//! is half its kernel. Of several blocks only the first has the stride. A bottleneck gives four
//! times its planes. Sound is one map a window, and its layers run along it. A `gru` ends its module: what
//! it makes of a step and those before is the context that predicts (and what the probe and the next
//! module see), what goes into it are the targets. With `bptt = false` its state is detached at every
//! step.
//!
//! **Views.** The first module draws a new crop and flip in every epoch; what it writes has them
//! frozen. With `views`, `V`, it writes that many crops of every training sample, and later modules
//! see a sample under another of them in each of `V` epochs. An epoch has as many steps as without.
//!
//! **Activations.** `"int8"` has a scale for each sample and channel. What `"recompute"` leaves out
//! are the maps that only the next module reads; it has the modules below compute them from the
//! last ones that are stored. `"auto"` takes what a cost model says is faster, and recomputes more
//! when the run would be larger than `max_bytes`; `gimlet plan` says what it takes and why.
//!
//! **Bytes** are a number, or a string of a number and one of kB, MB, GB, TB (powers of 1000) and
//! KiB, MiB, GiB, TiB (powers of 1024).
//!
//! **Presets.** `resnet50-0`, `resnet50-1`, `resnet50-2` and `resnet34-0`, `resnet34-1`,
//! `resnet34-2` are the three modules of the paper, of bottlenecks and of basic blocks. `width`
//! scales their channels. A preset expects the channels of the preset before it, unless
//! `in_channels` says otherwise.
//!
//! **Split.** The key `split`, at the top of the file, cuts the layers of all modules into other
//! modules, which are called `m0`, `m1` and so on. `"each"` makes every unit a module, `"end-to-end"` makes one of
//! all; a number
//! makes so many modules, the first ones a unit larger if need be; a list has the units of each
//! module. A unit is a block, a convolution or a GRU; a ReLU stays with what it follows, and a block
//! with a convolution right before it. Modules that are cut have no `epochs`, `learning_rate` and
//! `activations` of their own.
//!
//! **Losses.** `loss = "clapp"` is short for a `[loss.clapp]` that says nothing else.
//!
//! - `infonce`: as above ([`crate::loss::infonce`]). With `context = "pixelcnn"` and `split =
//!   "end-to-end"` it is CPC.
//! - `infonce1d`: of sound, along time ([`crate::loss::infonce1d`]): `prediction_steps` (12), `negatives`
//!   (10); `subsample` (128), the steps of a longer sequence that the loss is computed on, 0 for all;
//!   `sampling`, where negatives come from: `"permutation"`, `"offsets"`, without the positive, or
//!   `"sequence"`, of the same one; and `context = { gru = { channels = 256, bptt = true } }`, a
//!   GRU of the loss's own that predicts, with gradients through time or without.
//! - `clapp`: `prediction_steps`, `negatives` (1) and `skip`, with a hinge ([`crate::loss::clapp`]).
//! - `vicreg`: `prediction_steps`, `skip`, and the weights `invariance` (25), `variance` (25) and
//!   `covariance` (1); no negatives ([`crate::loss::vicreg`]).
//! - `supervised`: the labels, by a linear classifier of each module's own; without a split, greedy
//!   ([`crate::loss::supervised`]).
//!
//! **Schedules.** `schedule = "rounds"` is short for a `[schedule]` that says nothing else.
//!
//! - `sequential`: each module to its last epoch, then its activations, then the next. With `patience`
//!   a module stops once its loss on the test split has not become smaller for so many epochs, and keeps
//!   the weights that it was smallest with. It is the loss that probes report, after every epoch, on at
//!   most 1024 test samples: whole batches, evenly spaced over the split, which has to fill one.
//! - `rounds`: in each round every module in turn trains `epochs_per_round` on the newest generation of
//!   its input, then writes a new generation, with newly drawn crops and flips, or windows. Modules have
//!   no `epochs` of their own. Weights and generations of earlier rounds go as soon as nothing needs them,
//!   but for the newest `store.keep_generations`. More `rounds` go on from those that are there.
//! - `simultaneous`: all modules in one process; each batch goes forward once, through all of them, and no
//!   gradient from one to another. Nothing is stored but what probes read.
//! - `async`: a process a module, all at once (`gimlet worker`). Each trains on the newest generation of
//!   its predecessor, takes up a newer one between two batches, and writes one of its own every `sync_every`
//!   epochs; the first is of the module as it was drawn. A module that has trained `max_staleness` epochs
//!   on one generation waits for the next, unless nobody works on that: so modules keep step, and the death
//!   of one does not stop the others.
//!
//! `replay` draws each row with this probability from one of the older generations that
//! `store.keep_generations` keeps, so that has to be 2 or more. `input_noise` is on what is stored: on
//! relu(z) where that is. Neither has a part in what a module encodes, nor in what the first one reads.
//!
//! **Overrides.** `--set key=value` sets any key: `training.epochs=3`; `modules.a.epochs=2`, or
//! `modules.0.epochs=2` by index, before any split. The value is TOML; what is not TOML is a
//! string.

mod bounds;
mod bytes;
mod data;
mod json;
mod misfit;
mod modules;
mod name_pattern;
pub(crate) mod origin;
mod overrides;
mod pooling;
mod preset;
mod raw;
mod schedule;
pub mod settings;
mod shapes;
mod slurm;
mod split;
mod view;
pub(crate) mod wording;

use std::ops::Range;
use std::path::{Path, PathBuf};

use gimlet_store::files;
use serde::Deserialize;
use toml::de::DeTable;

use self::bounds::{COUNT, optional_number, optional_positive, optional_whole, within};
use self::bytes::{optional_bytes, optional_bytes_or_none};
use self::misfit::Culprit;
use self::modules::{Defaults, Planned};
use self::origin::{Fault, Origin};
use self::shapes::walk;
use crate::error::Result;
use crate::loss::Bounded;

pub use bounds::MOST_THREADS;
pub use bytes::in_words as bytes_in_words;
pub use json::json_of;
pub use name_pattern::NamePattern;
pub use pooling::Pooling;
pub use settings::*;
pub use view::SampleView;

/// The environment variable with the folder that relative paths of data start from.
pub const DATA_ROOT_VARIABLE: &str = "GIMLET_DATA";

/// The longest time between checkpoints: a year.
const MAX_CHECKPOINT_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

/// `store.read_memory` when it is left out.
const READ_MEMORY: u64 = 256_000_000;

/// `store.cache_bytes` when it is left out.
const CACHE_BYTES: u64 = 20_000_000_000;

/// What a pipeline takes from the process it is read in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// What relative paths of data start from if the pipeline does not say: `GIMLET_DATA`.
    pub data_root: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process. An empty variable counts as unset.
    pub fn of_process() -> Self {
        let data_root = std::env::var_os(DATA_ROOT_VARIABLE).filter(|root| !root.is_empty());
        Self { data_root: data_root.map(PathBuf::from) }
    }
}

impl Pipeline {
    /// Reads the pipeline file at `path`, with `overrides` (`key=value`) in place of what it says.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the file cannot be read, and as [`Pipeline::parse`].
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        let text = origin::read_file(path, "pipeline")?;
        Self::parse(&text, path, overrides, &Environment::of_process())
    }

    /// Reads a pipeline from `text`, the content of `file`. Touches neither disk nor network.
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
    let mut document = DeTable::parse(text).map_err(|error| wording::syntax(&error))?;
    overrides::apply(origin, &mut document)?;
    let raw = raw::Pipeline::deserialize(toml::de::Deserializer::from(document.clone()))
        .map_err(|error| wording::mistyped(&error, document.get_ref()))?;

    let view = view::resolve(&raw.view)?;
    let data = data::resolve(&raw.data, file, origin, environment, view.settings().medium())?;
    let training = training(&raw.training)?;
    let loss = loss(raw.loss.as_ref(), &view, document.get_ref())?;
    let store = store(&raw.store)?;
    let defaults = Defaults { training: &training, activations: store.activations };
    let mut planned =
        modules::resolve(&raw.modules, &raw.split, &defaults, view.settings().channels())?;
    let schedule = schedule::resolve(&raw.schedule, &training, &store, &mut planned)?;
    check_shapes(&raw, document.get_ref(), &data, &view, &loss, &planned)?;
    Ok(Pipeline {
        name: name(&raw.name, file)?,
        file: file.to_owned(),
        seed: raw.seed.unwrap_or(0),
        data,
        view,
        modules: planned.into_iter().map(|planned| planned.module).collect(),
        loss,
        training,
        schedule,
        store,
        probe: probe(&raw.probe)?,
        slurm: slurm::resolve(&raw.slurm)?,
    })
}

fn name(name: &raw::Optional<String>, file: &Path) -> Result<String, Fault> {
    let is_folder_name = |name: &str| {
        !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
    };
    if let Some(name) = name {
        if is_folder_name(name.get_ref()) {
            return Ok(name.get_ref().clone());
        }
        let message = "`name` names a folder: it is not empty, does not begin with `.`, and has \
                       no `/`, `\\` or `:`";
        return Err(Fault::at(name.span(), message));
    }
    match file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_folder_name(stem)) {
        Some(stem) => Ok(stem.to_owned()),
        None => Err(Fault::of_file("the file's own name cannot name the run directory")
            .hint("give the pipeline a `name`")),
    }
}

fn training(raw: &raw::Training) -> Result<Training, Fault> {
    let seconds = optional_number(
        &raw.checkpoint_seconds,
        "checkpoint_seconds",
        "a number of seconds from 0 to a year",
        |seconds| (0.0..=MAX_CHECKPOINT_SECONDS).contains(&seconds),
    )?;
    Ok(Training {
        epochs: optional_whole(&raw.epochs, "epochs", COUNT)?.unwrap_or(10),
        batch: optional_whole(&raw.batch, "batch", COUNT)?.unwrap_or(32),
        micro_batch: optional_whole(&raw.micro_batch, "micro_batch", COUNT)?,
        recompute: raw.recompute.unwrap_or(false),
        learning_rate: optional_positive(&raw.learning_rate, "learning_rate")?.unwrap_or(2e-4),
        input_noise: optional_number(
            &raw.input_noise,
            "input_noise",
            "a finite number from 0",
            |noise| noise >= 0.0 && noise.is_finite(),
        )?
        .unwrap_or(0.0),
        checkpoint_seconds: seconds.unwrap_or(30.0),
        held_out: optional_whole(&raw.held_out, "held_out", 0..=*COUNT.end())?.unwrap_or(256),
    })
}

/// The loss, each of its settings within its bounds.
fn loss(given: Option<&Loss>, view: &View, document: &DeTable<'_>) -> Result<Loss, Fault> {
    let loss = given.cloned().unwrap_or_else(|| view.settings().default_loss());
    for Bounded { key, value, bounds } in loss.recipe().bounds() {
        within(value, key, &bounds).map_err(|wrong| match loss_span(document, &loss, key) {
            Some(span) => Fault::at(span, wrong),
            None => Fault::of_file(wrong),
        })?;
    }
    Ok(loss)
}

/// Where a setting of the loss is given.
fn loss_span(document: &DeTable<'_>, loss: &Loss, key: &str) -> Option<Range<usize>> {
    let table = document.get("loss")?.get_ref().get(loss.name())?;
    let found = key.split('.').try_fold(table, |table, key| table.get_ref().get(key));
    Some(found?.span())
}

fn store(raw: &raw::Store) -> Result<Store, Fault> {
    Ok(Store {
        dtype: raw.dtype.unwrap_or(ActivationType::F16),
        compression: raw.compression.unwrap_or(Compression::Auto),
        relu: raw.relu.unwrap_or(true),
        rows_per_part: optional_whole(&raw.rows_per_part, "rows_per_part", COUNT)?.unwrap_or(2048),
        activations: raw.activations.unwrap_or(Activations::Store),
        max_bytes: optional_bytes(&raw.max_bytes, "max_bytes")?,
        read_memory: optional_bytes(&raw.read_memory, "read_memory")?.unwrap_or(READ_MEMORY),
        keep_generations: optional_whole(&raw.keep_generations, "keep_generations", COUNT)?
            .unwrap_or(2),
        url: url(&raw.url)?,
        cache_bytes: optional_bytes_or_none(&raw.cache_bytes, "cache_bytes")?
            .unwrap_or(CACHE_BYTES),
    })
}

fn url(raw: &raw::Optional<String>) -> Result<Option<PathBuf>, Fault> {
    let Some(url) = raw else { return Ok(None) };
    let found = files::location(url.get_ref());
    found.map(Some).map_err(|what| Fault::at(url.span(), format!("`store.url`: {what}")))
}

fn probe(raw: &raw::Probe) -> Result<Probe, Fault> {
    Ok(Probe {
        epochs: optional_whole(&raw.epochs, "epochs", COUNT)?.unwrap_or(100),
        batch: optional_whole(&raw.batch, "batch", COUNT)?.unwrap_or(256),
        learning_rate: optional_positive(&raw.learning_rate, "learning_rate")?.unwrap_or(1e-3),
    })
}

/// Walks the shapes through the whole stack, if the size of the images is known before any is
/// read.
fn check_shapes(
    raw: &raw::Pipeline,
    document: &DeTable<'_>,
    data: &Data,
    view: &View,
    loss: &Loss,
    planned: &[Planned],
) -> Result<(), Fault> {
    let Some(size) = view.settings().size(&data.source) else { return Ok(()) };
    let modules = planned.iter().map(|planned| &planned.module);
    let Err(misfit) = walk(view, loss, modules, size) else { return Ok(()) };
    let view = &raw.view;
    let patch = view.get_ref().patch.as_ref().map_or(view.span(), toml::Spanned::span);
    let span = match misfit.culprit {
        Culprit::Crop => view.get_ref().crop.as_ref().map_or(patch, toml::Spanned::span),
        Culprit::Patch => patch,
        Culprit::Loss(keys) => {
            keys.iter().find_map(|key| loss_span(document, loss, key)).unwrap_or(patch)
        }
        Culprit::Layer { module, layer } => planned[module].origins[layer].clone(),
    };
    let fault = Fault::at(span, misfit.message);
    Err(match misfit.hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    })
}
