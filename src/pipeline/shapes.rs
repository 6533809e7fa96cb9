//! The shapes that flow through a pipeline.

use std::collections::BTreeMap;

use super::origin::Fault;
use super::pooling::Pooling;
use super::settings::{Body, Map, Module, Pipeline, SampleSize, View};
use super::view::Entry;
use crate::error::{Error, Result};
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
        let origin = |module: usize, layer: usize| {
            let known = self.text.0.as_ref().and_then(|text| text.origins.get(module)?.get(layer));
            known.cloned().unwrap_or_else(|| match self.modules[module].body {
                Body::Layers(_) => format!("modules.{module}.layers.{layer}"),
                Body::Python(_) => format!("modules.{module}.python"),
            })
        };
        let walked =
            walk(&self.view, self.loss.as_ref(), self.modules.iter(), sample, described, origin);
        walked.map_err(|fault| match sample.cell {
            Some(_) => self.told(fault),
            None => fault.in_file(&self.file),
        })
    }

    /// The error of a fault that is found once the samples are known. It is shown in the pipeline's text, where there
    /// is one.
    pub(crate) fn told(&self, fault: Fault) -> Error {
        match &self.text.0 {
            Some(text) => text.error(&self.file, fault),
            None => fault.in_file(&self.file),
        }
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
    let Entry { mut map, grid, smaller, shown_at } = view.settings().entry(sample)?;
    let check = |sizes: Sizes| {
        loss.check(sizes).map_err(|misfit| {
            let paths: Vec<_> =
                misfit.keys.iter().map(|key| format!("loss.{}.{key}", loss.name())).collect();
            let hint = paths.first().map(|path| format!("lower `{path}`, or take {smaller}"));
            let hint = match (sample.cell, hint) {
                (None, hint) => hint,
                // Activations have any shape, and a loss only some.
                (Some(_), Some(hint)) => {
                    Some(format!("{hint}; `{}` takes {}", loss.name(), loss.takes()))
                }
                (Some(_), None) => Some(format!(
                    "`{}` takes {}; `view.kind` says what a row is",
                    loss.name(),
                    loss.takes()
                )),
            };
            let fault = paths.into_iter().fold(Fault::of_file(misfit.message), Fault::or_of);
            let fault = shown_at.iter().fold(fault, |fault, path| fault.or_of(*path));
            match hint {
                Some(hint) => fault.hint(hint),
                None => fault,
            }
        })
    };
    if let Some(grid) = grid {
        let mut channels = Some(map.channels);
        for module in modules.clone() {
            channels = module.out_channels(channels);
            if let (Body::Layers(_), Some(channels)) = (&module.body, channels) {
                check(Sizes::grid(channels, grid))?;
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
            check_signal(&**layer, view, sample, &module.name).map_err(wrong)?;
            map = layer.output(map).map_err(|misfit| {
                wrong(format!("{} in module `{}` {}", misfit.what, module.name, misfit.why))
            })?;
            check_values(patches, map).map_err(wrong)?;
        }
        if grid.is_none() {
            let channels = module.seen(input, map).channels;
            let sizes = Sizes { context: map.channels, ..Sizes::grid(channels, [map.width, 1]) };
            check(sizes)?;
        }
        ends.push((input, map));
    }
    Ok(Walked { ends, next: map, grid: grid.unwrap_or([1, 1]) })
}

/// Fails when a layer is only for another signal than the view's.
fn check_signal(
    layer: &dyn Layer,
    view: &View,
    sample: SampleSize,
    module: &str,
) -> Result<(), String> {
    let view = view.settings();
    let given = view.signal_of(sample);
    match layer.only_for().filter(|signal| *signal != given) {
        None => Ok(()),
        Some(signal) => Err(format!(
            "module `{module}`: `{}` is a layer for {}, {}",
            layer.name(),
            if view.medium().is_some() { signal.to_string() } else { signal.of_activations() },
            view.given(sample)
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
