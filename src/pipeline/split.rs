//! `split`: the layers of all modules, cut into other modules.

use toml::Spanned;

use super::origin::Fault;
use super::raw::Split;
use super::settings::Layer;
use crate::quantity::counted;

/// Cuts `layers` as `split` says; the layers of each module.
///
/// The unit of a cut is a block, a convolution or a GRU. A ReLU stays with what it follows, and a block
/// with a convolution right before it: the stem of a network is no module.
///
/// # Errors
/// More modules than units, a module without any, or counts that do not add up to the units.
pub fn cut(
    layers: Vec<Spanned<Layer>>,
    split: &Spanned<Split>,
) -> Result<Vec<Vec<Spanned<Layer>>>, Fault> {
    let units = units(layers);
    let have = units.len();
    let wrong = |message: String| Err(Fault::at(split.span(), message));
    let counts = match split.get_ref() {
        Split::Each => vec![1; have],
        Split::Modules(0) => return wrong("`split` must be at least 1".to_owned()),
        Split::Modules(modules) if *modules > have => {
            return wrong(format!(
                "`split` asks for {modules} modules of {}",
                counted(have, "unit")
            ));
        }
        Split::Modules(modules) => (0..*modules)
            .map(|module| have / modules + usize::from(module < have % modules))
            .collect(),
        Split::Units(counts) => {
            if counts.contains(&0) {
                return wrong("`split` leaves a module without a unit".to_owned());
            }
            let asked = counts.iter().fold(0_usize, |sum, count| sum.saturating_add(*count));
            if asked != have {
                return wrong(format!(
                    "`split` adds up to {}, the modules have {have}",
                    counted(asked, "unit")
                ));
            }
            counts.clone()
        }
    };
    let mut units = units.into_iter();
    Ok(counts.into_iter().map(|count| units.by_ref().take(count).flatten().collect()).collect())
}

fn units(layers: Vec<Spanned<Layer>>) -> Vec<Vec<Spanned<Layer>>> {
    let mut units: Vec<Vec<Spanned<Layer>>> = Vec::new();
    for layer in layers {
        let joins = |unit: &Vec<Spanned<Layer>>| match layer.get_ref() {
            Layer::Relu => true,
            Layer::Gru { .. } => false,
            Layer::Conv { .. } | Layer::Conv1d { .. } => {
                unit.iter().all(|layer| matches!(layer.get_ref(), Layer::Relu))
            }
            Layer::Basic { .. } | Layer::Bottleneck { .. } => {
                !unit.iter().any(|layer| is_block(*layer.get_ref()))
            }
        };
        match units.last_mut() {
            Some(unit) if joins(unit) => unit.push(layer),
            _ => units.push(vec![layer]),
        }
    }
    units
}

fn is_block(layer: Layer) -> bool {
    matches!(layer, Layer::Basic { .. } | Layer::Bottleneck { .. })
}
