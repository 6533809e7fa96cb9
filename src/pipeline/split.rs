//! The key `split`: cuts the layers of all modules into other modules.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};

use super::modules::PlacedLayer;
use super::origin::Fault;
use crate::layer::Work;
use crate::quantity::counted;

/// How the layers of all modules are cut into other modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// One module for each unit.
    Each,
    /// This number of modules, whose numbers of units differ by at most 1.
    Modules(usize),
    /// One module for each number, with that number of units.
    Units(Vec<usize>),
}

impl<'de> Deserialize<'de> for Cut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected;
        impl<'de> Visitor<'de> for Expected {
            type Value = Cut;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"each\", \"end-to-end\", a number of modules or a list of units for each module")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Cut, E> {
                match word {
                    "each" => Ok(Cut::Each),
                    "end-to-end" => Ok(Cut::Modules(1)),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }

            fn visit_i64<E: Error>(self, modules: i64) -> Result<Cut, E> {
                usize::try_from(modules)
                    .map(Cut::Modules)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(modules), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cut, A::Error> {
                let mut units = Vec::new();
                while let Some(count) = list.next_element()? {
                    units.push(count);
                }
                Ok(Cut::Units(units))
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

/// Cuts `layers` as `split` says, and gives the layers of each module.
///
/// The unit of a cut is a block, a convolution or a GRU. Any other layer stays with the layer before it. A block stays
/// with a convolution right before it, so that the stem of a network is not a module.
///
/// # Errors
/// When there are more modules than units, a module without units, or counts that do not add up to the units.
pub fn cut(layers: Vec<PlacedLayer>, split: &Cut) -> Result<Vec<Vec<PlacedLayer>>, Fault> {
    let units = units(layers);
    let have = units.len();
    let wrong = |message: String| Err(Fault::of("split", message));
    let counts = match split {
        Cut::Each => vec![1; have],
        Cut::Modules(0) => return wrong("`split` must be at least 1".to_owned()),
        Cut::Modules(modules) if *modules > have => {
            return wrong(format!(
                "`split` asks for {modules} modules of {}",
                counted(have, "unit")
            ));
        }
        Cut::Modules(modules) => (0..*modules)
            .map(|module| have / modules + usize::from(module < have % modules))
            .collect(),
        Cut::Units(counts) => {
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

fn units(layers: Vec<PlacedLayer>) -> Vec<Vec<PlacedLayer>> {
    let work = |(_, layer): &PlacedLayer| layer.work(1);
    let mut units: Vec<Vec<PlacedLayer>> = Vec::new();
    for layer in layers {
        let joins = |unit: &Vec<PlacedLayer>| match work(&layer) {
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
