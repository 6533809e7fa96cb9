//! `split`: the layers of all modules, cut into other modules.

use std::sync::Arc;

use toml::Spanned;

use super::origin::Fault;
use super::raw::Split;
use crate::error::counted;
use crate::layer::{Layer, Work};

type Layers = Vec<Spanned<Arc<dyn Layer>>>;

/// Cuts `layers` as `split` says; the layers of each module.
///
/// The unit of a cut is a block, a convolution or a GRU. All else stays with what it follows, and a block
/// with a convolution right before it: the stem of a network is no module.
///
/// # Errors
/// More modules than units, a module without any, or counts that do not add up to the units.
pub fn cut(layers: Layers, split: &Spanned<Split>) -> Result<Vec<Layers>, Fault> {
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

fn units(layers: Layers) -> Vec<Layers> {
    let work = |layer: &Spanned<Arc<dyn Layer>>| layer.get_ref().work(1);
    let mut units: Vec<Layers> = Vec::new();
    for layer in layers {
        let joins = |unit: &Layers| match work(&layer) {
            Work::Relu | Work::Own(_) => true,
            Work::Context(_) => false,
            Work::Conv(_) => unit.iter().all(|it| matches!(work(it), Work::Relu | Work::Own(_))),
            Work::Residual { .. } => {
                !unit.iter().any(|it| matches!(work(it), Work::Residual { .. }))
            }
        };
        match units.last_mut() {
            Some(unit) if joins(unit) => unit.push(layer),
            _ => units.push(vec![layer]),
        }
    }
    units
}
