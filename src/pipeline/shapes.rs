//! The shapes that flow through a pipeline.

use super::misfit::{Culprit, Misfit};
use super::pooling::Pooling;
use super::settings::{Layer, Loss, Map, Medium, Module, Pipeline, View};
use super::view::Entry;
use crate::error::{Error, Kind, Result};
use crate::loss::Sizes;

/// The most values of one image between two layers. A dataset's tensors are fixed-size lists, and
/// these count in 32 bits.
const MAX_VALUES: u128 = i32::MAX as u128;

/// The channels of a bottleneck's output, in planes.
pub const EXPANSION: usize = 4;

/// Input and output of a module, for one patch.
type Ends = (Map, Map);

impl Pipeline {
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

    /// Input and output of every module, for one patch of an image of `image` (height, width)
    /// pixels. `image` is the size after `resize` and before `crop`.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a crop, a patch, a kernel or the rows the loss predicts do not fit.
    /// Sound has windows of one size, whatever that of the recordings.
    pub fn shapes(&self, image: (usize, usize)) -> Result<Vec<Ends>> {
        walk(&self.view, &self.loss, self.modules.iter(), image).map_err(|misfit| {
            let message = format!("{}: {}", self.file.display(), misfit.message);
            let error = Error::new(Kind::Usage, message);
            match misfit.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }
}

/// See [`Pipeline::shapes`].
pub fn walk<'a>(
    view: &View,
    loss: &Loss,
    modules: impl Iterator<Item = &'a Module> + Clone,
    image: (usize, usize),
) -> Result<Vec<Ends>, Misfit> {
    let check = |sizes: Sizes, smaller: &str| {
        loss.recipe().check(sizes).map_err(|misfit| Misfit {
            culprit: Culprit::Loss(misfit.keys),
            message: misfit.message,
            hint: misfit
                .keys
                .first()
                .map(|key| format!("lower `loss.{}.{key}`, or take {smaller}", loss.name())),
        })
    };
    let Entry { mut map, grid, smaller } = view.settings().entry(image)?;
    if let Some(grid) = grid {
        let mut channels = map.channels;
        for module in modules.clone() {
            channels = module.layers.iter().fold(channels, |it, layer| layer.out_channels(it));
            check(Sizes::grid(channels, grid), smaller)?;
        }
    }
    let patches = grid.map_or(1, |[rows, columns]| rows * columns);
    let mut shapes = Vec::new();
    for (at, module) in modules.enumerate() {
        let input = map;
        for (index, layer) in module.layers.iter().enumerate() {
            let culprit = Culprit::Layer { module: at, layer: index };
            check_medium(*layer, view, &module.name)
                .map_err(|message| Misfit::of(culprit, message))?;
            map = layer
                .output(map)
                .ok_or_else(|| Misfit::of(culprit, too_large(*layer, map, &module.name)))?;
            check_values(patches, map).map_err(|message| Misfit::of(culprit, message))?;
        }
        if grid.is_none() {
            let channels = module.front().iter().fold(input.channels, |c, it| it.out_channels(c));
            let sizes = Sizes { context: map.channels, ..Sizes::grid(channels, [map.width, 1]) };
            check(sizes, smaller)?;
        }
        shapes.push((input, map));
    }
    Ok(shapes)
}

/// Fails unless a layer is one for what the view gives.
fn check_medium(layer: Layer, view: &View, module: &str) -> Result<(), String> {
    let (name, sound) = match layer {
        Layer::Relu => return Ok(()),
        Layer::Conv { .. } => ("conv", false),
        Layer::Basic { .. } => ("basic", false),
        Layer::Bottleneck { .. } => ("bottleneck", false),
        Layer::Conv1d { .. } => ("conv1d", true),
        Layer::Gru { .. } => ("gru", true),
    };
    match (sound, view.settings().medium()) {
        (true, Medium::Image) => {
            Err(format!("module `{module}`: `{name}` is a layer for sound, the view has images"))
        }
        (false, Medium::Sound) => {
            Err(format!("module `{module}`: `{name}` is a layer for images, the view has sound"))
        }
        _ => Ok(()),
    }
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

fn too_large(layer: Layer, map: Map, module: &str) -> String {
    let (kernel, padding) = match layer {
        Layer::Conv { kernel, padding, .. } | Layer::Conv1d { kernel, padding, .. } => {
            (kernel, padding)
        }
        _ => (3, 1),
    };
    if let Layer::Conv1d { .. } = layer {
        return format!(
            "a kernel of {kernel} in module `{module}` is longer than its {} steps with {padding} of \
             padding",
            map.width
        );
    }
    format!(
        "a kernel of {kernel}x{kernel} in module `{module}` is larger than its map of {}x{} with \
         {padding} of padding",
        map.height, map.width
    )
}

impl Layer {
    /// The channels this layer gives for `input` channels.
    pub fn out_channels(&self, input: usize) -> usize {
        match *self {
            Layer::Conv { channels, .. }
            | Layer::Conv1d { channels, .. }
            | Layer::Gru { channels, .. }
            | Layer::Basic { channels, .. } => channels,
            Layer::Bottleneck { planes, .. } => EXPANSION * planes,
            Layer::Relu => input,
        }
    }

    /// The map this layer makes of `input`; `None` when its kernel is larger than the padded map.
    pub fn output(&self, input: Map) -> Option<Map> {
        let (kernel, stride, padding) = match *self {
            Layer::Conv { kernel, stride, padding, .. }
            | Layer::Conv1d { kernel, stride, padding, .. } => (kernel, stride, padding),
            Layer::Basic { stride, .. } | Layer::Bottleneck { stride, .. } => (3, stride, 1),
            Layer::Relu | Layer::Gru { .. } => (1, 1, 0),
        };
        let side = |side: usize| Some((side + 2 * padding).checked_sub(kernel)? / stride + 1);
        let flat = matches!(self, Layer::Conv1d { .. });
        Some(Map {
            height: if flat { input.height } else { side(input.height)? },
            width: side(input.width)?,
            channels: self.out_channels(input.channels),
        })
    }
}
