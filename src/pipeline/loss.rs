//! The `[loss]` table: the name of a loss, or a table with that name as its one key.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::bounds::within;
use super::error_wording::{mistyped, suggest};
use super::origin::Fault;
use crate::loss::{Bounded, Losses, Recipe};
use crate::setting::Setting;

/// The loss that a document names, else the default.
pub fn resolve(
    losses: &Losses,
    default: Arc<dyn Recipe>,
    document: &DeTable<'_>,
    described: &[Setting],
) -> Result<Arc<dyn Recipe>, Fault> {
    let unknown = |span, name: &str, message| {
        let known: Vec<_> = losses.names().collect();
        let fault = Fault::at(span, message);
        match suggest(name, &known) {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    };
    let Some(given) = document.get("loss") else { return Ok(default) };
    if let DeValue::String(name) = given.get_ref() {
        let message = || format!("unknown value `{name}` for `loss`");
        return losses.named(name).ok_or_else(|| unknown(given.span(), name, message()));
    }
    // `raw` has checked that the table has one key.
    let table = given.get_ref().as_table().and_then(|table| table.iter().next());
    let Some((name, settings)) = table else { return Ok(default) };
    match losses.read(name.get_ref(), settings.clone()) {
        Some(read) => read.map_err(|error| mistyped(&error, document, described)),
        None => {
            let message = format!("unknown loss `{}`", name.get_ref());
            Err(unknown(name.span(), name.get_ref(), message))
        }
    }
}

/// Fails unless every setting is within its bounds.
pub fn check(loss: &dyn Recipe) -> Result<(), Fault> {
    loss.bounds().into_iter().try_for_each(|Bounded { key, value, bounds }| {
        within(value, key, &bounds)
            .map_err(|wrong| Fault::of(format!("loss.{}.{key}", loss.name()), wrong))
    })
}
