//! Finds what dead processes have left: uploads that did not get their name, objects of probes, and leases.
//!
//! Objects have no locks that show their owner. But temporary objects and leases are written every moment: age decides.

use std::io;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path as Key;

use super::clock::server_time;
use super::object::{OWN, Object};
use super::object_lease::{LEASES, dead_after, is_lease};
use crate::temp_file;

/// The age at which no temporary object is in use.
const OLD: Duration = Duration::from_secs(3600);

/// The leftovers of dead processes in `folder` and all folders below it, as names relative to `folder`.
pub(super) fn dead(folder: &Object) -> io::Result<Vec<String>> {
    let all = || folder.connection.store.list(Some(&folder.key));
    let is_temp = |meta: &ObjectMeta| is_temp(&meta.location);
    let temps = folder.ask(async || {
        let found = all().try_filter(|meta| std::future::ready(is_temp(meta)));
        found.try_collect::<Vec<_>>().await
    })?;
    // The clock is read only when needed, as this writes an object.
    if temps.is_empty() {
        return Ok(Vec::new());
    }
    // If the server does not tell its time, nothing counts as old.
    let Ok(now) = server_time(folder) else { return Ok(Vec::new()) };
    let is_dead = |meta: &&ObjectMeta| {
        let age = now.duration_since(SystemTime::from(meta.last_modified)).unwrap_or_default();
        age > OLD.max(dead_after())
    };
    let names = temps.iter().filter(is_dead).filter_map(|meta| {
        let name: Key = meta.location.prefix_match(&folder.key)?.collect();
        Some(name.to_string())
    });
    Ok(names.collect())
}

fn is_temp(key: &Key) -> bool {
    let parts: Vec<_> = key.parts().collect();
    let Some(name) = parts.last().map(AsRef::as_ref) else { return false };
    let is_in_leases = parts.len() > 2 && parts[parts.len() - 3].as_ref() == LEASES;
    name.starts_with(OWN) || temp_file::is_temp(name) || (is_in_leases && is_lease(name))
}
