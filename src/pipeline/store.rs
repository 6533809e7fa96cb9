//! The `[store]` table.

use std::path::PathBuf;

use gimlet_store::path_of;

use super::bounds::{count, number_of};
use super::bytes::optional_bytes;
use super::origin::Fault;
use super::raw::{self, Optional};
use super::reference;
use super::settings::Store;

/// Reads a store table, and fills in its defaults.
pub fn resolve(raw: raw::Store) -> Result<Store, Fault> {
    let default = Store::default();
    Ok(Store {
        dtype: raw.dtype.unwrap_or(default.dtype),
        compression: raw.compression.unwrap_or(default.compression),
        relu: raw.relu.unwrap_or(default.relu),
        rows_per_part: raw.rows_per_part.unwrap_or(default.rows_per_part),
        activations: raw.activations.unwrap_or(default.activations),
        max_bytes: optional_bytes(&raw.max_bytes, "max_bytes")?,
        read_memory: optional_bytes(&raw.read_memory, "read_memory")?
            .unwrap_or(default.read_memory),
        keep_generations: raw.keep_generations.unwrap_or(default.keep_generations),
        url: url(&raw.url)?,
        cache_bytes: optional_bytes(&raw.cache_bytes, "cache_bytes")?
            .unwrap_or(default.cache_bytes),
    })
}

fn url(raw: &Optional<String>) -> Result<Option<PathBuf>, Fault> {
    let Some(url) = raw else { return Ok(None) };
    let found = path_of(url.get_ref());
    found.map(Some).map_err(|what| Fault::at(url.span(), format!("`store.url`: {what}")))
}

/// Fails unless every number is within its bounds.
pub fn check(store: &Store) -> Result<(), Fault> {
    let settings = reference::store();
    count(&settings, "store.rows_per_part", store.rows_per_part)?;
    for (path, bytes) in
        [("store.max_bytes", store.max_bytes), ("store.read_memory", Some(store.read_memory))]
    {
        bytes.map_or(Ok(()), |it| number_of(&settings, path, it as f64))?;
    }
    count(&settings, "store.keep_generations", store.keep_generations)
}
