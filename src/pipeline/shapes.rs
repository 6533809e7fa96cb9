//! The shapes that flow through a pipeline.

use super::origin::Fault;
use super::settings::{ImageView, Map, Module, Pipeline, Source, View};
use crate::error::Result;
use crate::layer::{Layer, Signal};
use crate::loss::{Recipe, Sizes};

/// The most values of one image between two layers. A dataset's tensors are fixed-size lists, and
/// these count in 32 bits.
const MAX_VALUES: u128 = i32::MAX as u128;

/// How large a sample is: an image as it is stored, after `resize` and before `crop`; of sound 1 and the samples
/// of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSize {
    /// In pixels.
    pub height: usize,
    /// In pixels, or samples.
    pub width: usize,
}

impl SampleSize {
    /// A square image.
    pub fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// A recording.
    pub fn of_sound(samples: usize) -> Self {
        Self { height: 1, width: samples }
    }
}

/// Input and output of a module, for one patch.
type Ends = (Map, Map);

impl Pipeline {
    /// Height and width of the images, as far as the pipeline alone says: `resize`, else the size
    /// of generated images, else `crop`, since no image may be smaller. `None` when the first
    /// image must be read to know.
    pub fn image_size(&self) -> Option<usize> {
        image_size(&self.data.source, &self.view)
    }

    /// What the loss of module `index` is computed on, which reads and writes such `maps`; labels tell
    /// `classes` apart.
    pub fn sizes(
        &self,
        index: usize,
        pooling: Pooling,
        (input, output): Ends,
        classes: usize,
    ) -> Sizes {
        let front = self.modules[index].front();
        // Every layer fits, or there would be no output.
        let seen = front.iter().try_fold(input, |map, layer| layer.output(map)).unwrap_or(output);
        let (rows, columns) = pooling.seen(seen);
        Sizes { channels: seen.channels, context: output.channels, rows, columns, classes }
    }

    /// Input and output of every module, for one patch of a sample.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a crop, a patch, a kernel or the rows the loss predicts do not fit.
    /// Sound has windows of one size, whatever that of the recordings.
    pub fn shapes(&self, sample: SampleSize) -> Result<Vec<Ends>> {
        let origin = |module: usize, layer: usize| format!("modules.{module}.layers.{layer}");
        walk(&self.view, self.loss.as_ref(), self.modules.iter(), sample, origin)
            .map_err(|fault| fault.in_file(&self.file))
    }
}

/// How the maps of a sample become the vectors that losses and probes see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Of an image: the mean of each patch's map, on a square grid of patches.
    Patches {
        /// Patches across, and down.
        grid: usize,
    },
    /// Of sound: each step of the one map. What is stored for probes are means over `frames` equal
    /// parts of the window, or the steps, where there are fewer.
    Steps {
        /// How many vectors of a window are stored, at most.
        frames: usize,
    },
}

impl Pooling {
    /// How samples of this size are pooled; they must fit the view.
    pub fn of(view: &View, sample: SampleSize) -> Self {
        match view {
            View::Images(view) => {
                Self::Patches { grid: view.grid(view.crop.unwrap_or(sample.height)) }
            }
            View::Sound(view) => Self::Steps { frames: view.frames() },
        }
    }

    /// Maps of a sample.
    pub fn maps(self) -> usize {
        match self {
            Self::Patches { grid } => grid * grid,
            Self::Steps { .. } => 1,
        }
    }

    /// Rows and columns of the vectors that the loss sees, of such maps.
    pub fn seen(self, map: Map) -> (usize, usize) {
        match self {
            Self::Patches { grid } => (grid, grid),
            Self::Steps { .. } => (map.width, 1),
        }
    }

    /// Rows and columns of the pooled vectors that are stored, of such maps.
    pub fn stored(self, map: Map) -> (usize, usize) {
        match self {
            Self::Patches { grid } => (grid, grid),
            Self::Steps { frames } => (map.width.min(frames), 1),
        }
    }
}

/// See [`Pipeline::image_size`].
pub fn image_size(source: &Source, view: &View) -> Option<usize> {
    let View::Images(view) = view else { return None };
    let made = match source {
        Source::Textures(textures) => Some(textures.size),
        Source::Files(_) => None,
    };
    view.resize.or(made).or(view.crop)
}

/// See [`Pipeline::shapes`]. `origin` is the path of a module's layer in the pipeline.
pub fn walk<'a>(
    view: &View,
    loss: &dyn Recipe,
    modules: impl Iterator<Item = &'a Module> + Clone,
    sample: SampleSize,
    origin: impl Fn(usize, usize) -> String,
) -> Result<Vec<Ends>, Fault> {
    let check = |sizes: Sizes, smaller: &str| {
        loss.check(sizes).map_err(|misfit| {
            let paths: Vec<_> =
                misfit.keys.iter().map(|key| format!("loss.{}.{key}", loss.name())).collect();
            let hint = paths.first().map(|path| format!("lower `{path}`, or take {smaller}"));
            let fault = paths.into_iter().fold(Fault::of_file(misfit.message), Fault::or_of);
            let fault = of_patch(fault);
            match hint {
                Some(hint) => fault.hint(hint),
                None => fault,
            }
        })
    };
    let (patches, mut map) = match view {
        View::Images(view) => {
            let (rows, columns) = grid(view, sample)?;
            let mut channels = view.channels();
            for module in modules.clone() {
                let layers = module.layers.iter();
                channels = layers.fold(channels, |it, layer| layer.out_channels(it));
                check(Sizes::grid(channels, [rows, columns]), "a smaller patch or stride")?;
            }
            let side = view.patch;
            (rows * columns, Map { height: side, width: side, channels: view.channels() })
        }
        View::Sound(view) => (1, Map { height: 1, width: view.window, channels: 1 }),
    };
    let mut shapes = Vec::new();
    for (at, module) in modules.enumerate() {
        let input = map;
        for (index, layer) in module.layers.iter().enumerate() {
            let wrong = |message| Fault::of(origin(at, index), message);
            check_signal(&**layer, view, &module.name).map_err(wrong)?;
            map = layer.output(map).map_err(|misfit| {
                wrong(format!("{} in module `{}` {}", misfit.what, module.name, misfit.why))
            })?;
            check_values(patches, map).map_err(wrong)?;
        }
        if let View::Sound(_) = view {
            let channels = module.front().iter().fold(input.channels, |c, it| it.out_channels(c));
            let sizes = Sizes { context: map.channels, ..Sizes::grid(channels, [map.width, 1]) };
            check(sizes, "a longer window or smaller strides")?;
        }
        shapes.push((input, map));
    }
    Ok(shapes)
}

/// Fails unless a layer is one for what the view gives.
fn check_signal(layer: &dyn Layer, view: &View, module: &str) -> Result<(), String> {
    let given = match view {
        View::Images(_) => Signal::Images,
        View::Sound(_) => Signal::Sound,
    };
    match layer.only_for().filter(|signal| *signal != given) {
        None => Ok(()),
        Some(signal) => Err(format!(
            "module `{module}`: `{}` is a layer for {signal}, the view has {given}",
            layer.name()
        )),
    }
}

/// Rows and columns of the grid of patches.
fn grid(view: &ImageView, sample: SampleSize) -> Result<(usize, usize), Fault> {
    let SampleSize { height, width } = sample;
    let (what, height, width) = match view.crop {
        Some(crop) if crop > height || crop > width => {
            let message =
                format!("a crop of {crop}x{crop} does not fit in an image of {height}x{width}");
            return Err(of_patch(Fault::of("view.crop", message)));
        }
        Some(crop) => ("a crop", crop, crop),
        None => ("an image", height, width),
    };
    let patch = view.patch;
    if patch > height || patch > width {
        let message =
            format!("a patch of {patch}x{patch} does not fit in {what} of {height}x{width}");
        return Err(of_patch(Fault::of_file(message)));
    }
    Ok((view.grid(height), view.grid(width)))
}

/// A fault that is shown at the patch, where nothing nearer is in the file.
fn of_patch(fault: Fault) -> Fault {
    fault.or_of("view.patch").or_of("view")
}

fn check_values(patches: usize, map: Map) -> Result<(), String> {
    let sides = [patches, map.height, map.width, map.channels];
    let values = sides.iter().fold(1, |values: u128, side| values.saturating_mul(*side as u128));
    if values <= MAX_VALUES {
        return Ok(());
    }
    let Map { height, width, channels } = map;
    Err(format!(
        "{patches} patches of {height}x{width}x{channels} are {values} values for one image, \
         at most {MAX_VALUES} can be stored"
    ))
}
