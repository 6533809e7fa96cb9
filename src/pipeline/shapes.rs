//! The shapes that flow through a pipeline.

use std::collections::BTreeMap;

use super::origin::Fault;
use super::pooling::Pooling;
use super::settings::{Body, Map, Module, Pipeline, SampleSize, View};
use super::view::{Entry, of_patch};
use crate::error::Result;
use crate::layer::Layer;
use crate::loss::{Recipe, Sizes};

/// The largest number of values of one sample between two layers. A dataset stores tensors as fixed-size lists, whose
/// length has 32 bits.
const MAX_VALUES: u128 = i32::MAX as u128;

/// The shapes of a module's input and output, for one patch.
type Ends = (Map, Map);

impl Pipeline {
    /// The sizes that the loss of module `index` is computed on. The module reads maps of shape `input` and writes maps
    /// of shape `output`; there are `classes` classes of labels.
    pub fn sizes(
        &self,
        index: usize,
        pooling: Pooling,
        (input, output): Ends,
        classes: usize,
    ) -> Sizes {
        let seen = self.modules[index].seen(input, output);
        let (rows, columns) = pooling.seen(seen);
        Sizes { channels: seen.channels, context: output.channels, rows, columns, classes }
    }

    /// The shapes of the input and output of every module, for one patch of a sample. For sound they do not depend on
    /// the size of the sample, since all windows have one size. They end before the first module in PyTorch, which
    /// only a dry run describes.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when a crop, a patch, a kernel or the rows that the loss predicts do not fit.
    pub fn shapes(&self, sample: SampleSize) -> Result<Vec<Ends>> {
        Ok(self.walk(sample, &BTreeMap::new())?.ends)
    }

    /// The shapes of [`Self::shapes`] up to the first module in PyTorch whose output is not in `described`.
    ///
    /// # Errors
    /// Those of [`Self::shapes`].
    pub fn walk(&self, sample: SampleSize, described: &BTreeMap<usize, Map>) -> Result<Walked> {
        let origin = |module: usize, layer: usize| match self.modules[module].body {
            Body::Layers(_) => format!("modules.{module}.layers.{layer}"),
            Body::Python(_) => format!("modules.{module}.python"),
        };
        walk(&self.view, self.loss.as_ref(), self.modules.iter(), sample, described, origin)
            .map_err(|fault| fault.in_file(&self.file))
    }
}

/// The shapes of modules, as far as they are known.
pub struct Walked {
    /// The input and the output of each module, for one patch.
    pub ends: Vec<(Map, Map)>,
    /// What the last of them writes; what the first module reads where there are none.
    pub next: Map,
    /// Rows and columns of patches.
    pub grid: [usize; 2],
}

/// Walks the shapes through all modules, for [`Pipeline::shapes`]. `origin` gives the path of a module's layer in the
/// pipeline.
pub fn walk<'a>(
    view: &View,
    loss: &dyn Recipe,
    modules: impl Iterator<Item = &'a Module> + Clone,
    sample: SampleSize,
    described: &BTreeMap<usize, Map>,
    origin: impl Fn(usize, usize) -> String,
) -> Result<Walked, Fault> {
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
    let Entry { mut map, grid, smaller } = view.settings().entry(sample)?;
    if let Some(grid) = grid {
        let mut channels = Some(map.channels);
        for module in modules.clone() {
            channels = module.out_channels(channels);
            if let (Body::Layers(_), Some(channels)) = (&module.body, channels) {
                check(Sizes::grid(channels, grid), smaller)?;
            }
        }
    }
    let patches = grid.map_or(1, |[rows, columns]| rows * columns);
    let mut ends = Vec::new();
    for (at, module) in modules.enumerate() {
        let input = map;
        if let Body::Python(_) = module.body {
            let Some(output) = described.get(&at) else { break };
            map = *output;
            check_values(patches, map).map_err(|message| Fault::of(origin(at, 0), message))?;
            ends.push((input, map));
            continue;
        }
        for (index, layer) in module.layers().iter().enumerate() {
            let wrong = |message| Fault::of(origin(at, index), message);
            check_signal(&**layer, view, &module.name).map_err(wrong)?;
            map = layer.output(map).map_err(|misfit| {
                wrong(format!("{} in module `{}` {}", misfit.what, module.name, misfit.why))
            })?;
            check_values(patches, map).map_err(wrong)?;
        }
        if grid.is_none() {
            let channels = module.seen(input, map).channels;
            let sizes = Sizes { context: map.channels, ..Sizes::grid(channels, [map.width, 1]) };
            check(sizes, smaller)?;
        }
        ends.push((input, map));
    }
    Ok(Walked { ends, next: map, grid: grid.unwrap_or([1, 1]) })
}

/// Fails when a layer is only for another signal than the view's.
fn check_signal(layer: &dyn Layer, view: &View, module: &str) -> Result<(), String> {
    let given = view.settings().signal();
    match layer.only_for().filter(|signal| *signal != given) {
        None => Ok(()),
        Some(signal) => Err(format!(
            "module `{module}`: `{}` is a layer for {signal}, the view has {given}",
            layer.name()
        )),
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
