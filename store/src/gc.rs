//! Finds and removes what nothing needs: generations, attempts that ended without a commit, and files of dead writers.
//!
//! Trainings are stored like datasets: numbered records with one key each, and for each key a folder named by its
//! first 16 digits. Both are a [`Shelf`].
//!
//! The record is removed first, then its folder. A process killed in between leaves an attempt without a record,
//! which the next run removes. What is in use stays: readers share the lock of the record, writers share the lock of
//! the folder, and a removal holds both alone.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use crate::backend::{Entry, Lease, WRITER_LOCK};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::key::{folder_name, is_folder_name, is_key};
use crate::location::Location;
use crate::records::Records;

/// What must stay.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The keys that something needs.
    pub needed: HashSet<String>,
    /// How many of the newest records stay, needed or not. The newest always does: its number must not be used again.
    pub keep: usize,
    /// Attempts that were written to within this time stay.
    pub grace: Duration,
}

/// A folder of numbered records with keys.
pub struct Shelf {
    records: Records,
    key_of: Box<dyn Fn(u64) -> Result<String>>,
}

/// Something that is not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The record or, if there is none, the folder or file.
    pub at: Location,
    /// The kind of leftover.
    pub kind: Kind,
    /// Bytes that its removal frees.
    pub bytes: u64,
    /// Why nothing needs it.
    pub why: String,
    /// Why it stays nevertheless, if it does.
    pub stays: Option<String>,
    /// The folder that goes with it.
    folder: Option<Location>,
}

/// The kinds of [`Leftover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A record, and the folder of its key.
    Record(u64),
    /// The folder of a key without a record.
    Attempt,
    /// A temporary file.
    Temporary,
}

impl Kind {
    /// The name of the kind in messages; `record` is the name for a record.
    pub fn name(self, record: &'static str) -> &'static str {
        match self {
            Self::Record(_) => record,
            Self::Attempt => "attempt",
            Self::Temporary => "temporary",
        }
    }
}

/// The records and folders of a shelf.
#[derive(Default)]
struct Listing {
    /// The numbers and keys, newest first; for a record that cannot be read, the error.
    records: Vec<(u64, Result<String>)>,
    /// The folders of the keys, each with the newest record of that key.
    folders: HashMap<String, u64>,
}

impl Shelf {
    /// The shelf of a dataset: its records are the generations.
    pub fn of(dataset: &Dataset) -> Self {
        let records = dataset.records.clone();
        let dataset = dataset.clone();
        let key_of = move |number| Ok(dataset.generation(number)?.manifest().key.clone());
        Self { records, key_of: Box::new(key_of) }
    }

    /// A shelf of other records; `key_of` reads the key of a record.
    pub fn new(records: Records, key_of: impl Fn(u64) -> Result<String> + 'static) -> Self {
        Self { records, key_of: Box::new(key_of) }
    }

    /// Lists everything that `policy` does not need, and says which of it stays and why. Changes nothing.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn survey(&self, policy: &Policy) -> Result<Vec<Leftover>> {
        let listing = self.list()?;
        let root = self.records.folder();
        let names = root.names_in()?;
        let folders: Vec<&String> = names.iter().filter(|name| is_folder_name(name)).collect();
        let orphan = folders.iter().find(|name| !listing.folders.contains_key(**name));
        let mut found = self.survey_records(&listing, orphan.map(|name| name.as_str()), policy);
        let goes =
            |number| found.iter().any(|it| it.kind == Kind::Record(number) && it.stays.is_none());
        let stays = |it: &&(u64, Result<String>)| it.1.is_err() && !goes(it.0);
        let unreadable = listing.records.iter().find(stays).map(|it| it.0);
        found.extend(dead_temps(root)?);
        for name in folders {
            let folder = root.join(name);
            let is_needed = policy.needed.iter().any(|key| key.starts_with(name));
            if !is_needed && !listing.folders.contains_key(name) {
                found.push(self.survey_attempt(&folder, unreadable, policy));
                continue;
            }
            // On object storage one call has found the temporary files of all folders.
            let goes = |it: &Leftover| it.folder.as_ref() == Some(&folder) && it.stays.is_none();
            if !folder.properties().is_remote && !found.iter().any(goes) {
                found.extend(dead_temps(&folder)?);
            }
        }
        Ok(found)
    }

    /// Lists the records that `policy` does not need. `orphan` is a folder that belongs to no readable record.
    fn survey_records(
        &self,
        listing: &Listing,
        orphan: Option<&str>,
        policy: &Policy,
    ) -> Vec<Leftover> {
        let mut found = Vec::new();
        for (place, (number, key)) in listing.records.iter().enumerate() {
            let at = self.records.path(*number);
            let mut folder = None;
            let why = match key {
                Ok(key) => {
                    let newest = listing.folders.get(folder_name(key)).copied();
                    if newest != Some(*number) {
                        format!("superseded by record {}", newest.unwrap_or_default())
                    } else if policy.needed.contains(key) {
                        continue;
                    } else {
                        folder = Some(self.records.folder().join(folder_name(key)));
                        "made with other settings or inputs".to_owned()
                    }
                }
                Err(error) => error.to_string(),
            };
            let foreign = key.as_ref().is_err_and(|error| error.kind() != ErrorKind::Damaged);
            let stays = if place == 0 {
                Some("it is the newest, whose number must not be used again".to_owned())
            } else if foreign {
                Some("it may be of use to another version of this program".to_owned())
            } else if let (Err(_), Some(orphan)) = (key, orphan)
                && place < policy.keep
            {
                // All of it can be recovered, from a copy of the record or by making it again.
                Some(format!("it is one of the newest {}, and {orphan} may be its", policy.keep))
            } else if folder.is_some() && place < policy.keep {
                Some(format!("it is one of the newest {}", policy.keep))
            } else {
                in_use(&at, folder.as_ref())
            };
            let bytes = size_of(&at) + folder.as_ref().map_or(0, bytes_in);
            let kind = Kind::Record(*number);
            found.push(Leftover { at, kind, bytes, why, stays, folder });
        }
        found
    }

    /// Describes the folder of a key without a record. `unreadable` is a record that stays although its key is unknown.
    fn survey_attempt(
        &self,
        folder: &Location,
        unreadable: Option<u64>,
        policy: &Policy,
    ) -> Leftover {
        let stays = match (strange(folder), unreadable, age(folder)) {
            (Some(strange), ..) => Some(strange),
            (None, Some(number), _) => {
                let name = self.records.path(number).name();
                Some(format!("it may belong to {name}, which cannot be read"))
            }
            (None, None, age) if age < policy.grace => {
                Some(format!("it was written to {} seconds ago", age.as_secs()))
            }
            _ => in_use(&folder.join(WRITER_LOCK), None),
        };
        Leftover {
            at: folder.clone(),
            kind: Kind::Attempt,
            bytes: bytes_in(folder),
            why: "it ended without a commit, and nothing goes on with it".to_owned(),
            stays,
            folder: Some(folder.clone()),
        }
    }

    fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        for number in self.records.numbers()? {
            let key = (self.key_of)(number).and_then(|key| match is_key(&key) {
                true => Ok(key),
                false => Err(Error::damaged(self.records.path(number).path(), "it has no key")),
            });
            match &key {
                Ok(key) => {
                    listing.folders.entry(folder_name(key).to_owned()).or_insert(number);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    // Any folder may belong to a record that the server does not show.
                    let kind = error.kind();
                    let hidden =
                        [ErrorKind::Unreachable, ErrorKind::Unauthorized, ErrorKind::NoBucket];
                    if hidden.contains(&kind) {
                        return Err(Error::new(kind, error.to_string()));
                    }
                }
            }
            listing.records.push((number, key));
        }
        Ok(listing)
    }

    /// The keys of the records that can be read.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn keys(&self) -> Result<HashSet<String>> {
        Ok(self.list()?.records.into_iter().filter_map(|(_, key)| key.ok()).collect())
    }

    /// Whether this key has a folder. It need not have a record.
    pub fn has_folder(&self, key: &str) -> bool {
        is_folder(&self.records.folder().join(folder_name(key)))
    }

    /// Removes the records and folders of these keys, and the remains of an interrupted removal. Returns what stays,
    /// because it is in use or the newest, with the reason.
    ///
    /// # Errors
    /// When something cannot be looked at or removed.
    pub fn remove_keys(&self, keys: &HashSet<String>) -> Result<Vec<Leftover>> {
        let needed = self.keys()?.difference(keys).cloned().collect();
        let policy = Policy { needed, keep: 0, grace: Duration::ZERO };
        let root = self.records.folder();
        let theirs: Vec<Location> = keys.iter().map(|key| root.join(folder_name(key))).collect();
        let mut staying = Vec::new();
        for mut leftover in self.survey(&policy)? {
            if !leftover.folder.as_ref().is_some_and(|folder| theirs.contains(folder)) {
                continue;
            }
            if leftover.stays.is_none() {
                leftover.stays = self.remove(&leftover, &policy)?;
            }
            staying.extend(leftover.stays.is_some().then_some(leftover));
        }
        Ok(staying)
    }

    /// Removes a leftover. If it is in use by now, it stays, and the reason is returned.
    ///
    /// # Errors
    /// When something cannot be removed. The rest is then an attempt.
    pub fn remove(&self, leftover: &Leftover, policy: &Policy) -> Result<Option<String>> {
        match leftover.kind {
            Kind::Temporary => {
                remove_temp(&leftover.at)?;
                Ok(None)
            }
            Kind::Record(_) => {
                let _record = match Lease::alone(&leftover.at)? {
                    Some(Ok(alone)) => alone,
                    Some(Err(why)) => return Ok(Some(why.to_owned())),
                    None => return Ok(None),
                };
                let Some(folder) = leftover.folder.as_ref().filter(|it| is_folder(it)) else {
                    return self.remove_record(&leftover.at).map(|()| None);
                };
                let _writer = match Self::alone_in(folder)? {
                    Ok(alone) => alone,
                    Err(why) => return Ok(Some(why)),
                };
                self.remove_record(&leftover.at)?;
                // A writer may have committed the key again since it was listed.
                match self.list()?.folders.contains_key(&folder.name()) {
                    true => Ok(None),
                    false => remove_folder(folder).map(|()| None),
                }
            }
            Kind::Attempt => {
                let folder = &leftover.at;
                let age = age(folder);
                let _writer = match Self::alone_in(folder)? {
                    Ok(alone) => alone,
                    Err(why) => return Ok(Some(why)),
                };
                if self.list()?.folders.contains_key(&folder.name()) {
                    return Ok(Some("it was committed meanwhile".to_owned()));
                }
                if age < policy.grace {
                    return Ok(Some("it was written to meanwhile".to_owned()));
                }
                remove_folder(folder).map(|()| None)
            }
        }
    }

    fn remove_record(&self, at: &Location) -> Result<()> {
        at.remove()?;
        // Before any part is removed: a record that came back after a power cut would lack its parts.
        sync(self.records.folder())
    }

    /// Takes the writers' lock of a folder alone, or says why that is not possible.
    fn alone_in(folder: &Location) -> Result<Result<Lease, String>> {
        if let Some(strange) = strange(folder) {
            return Ok(Err(strange));
        }
        let alone = Lease::try_alone(&folder.join(WRITER_LOCK), Some(""))?;
        Ok(alone.unwrap_or(Err("it is in use")).map_err(str::to_owned))
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("records", &self.records).finish_non_exhaustive()
    }
}

/// Describes the use of a record or its folder; `None` when neither is in use.
fn in_use(record: &Location, folder: Option<&Location>) -> Option<String> {
    let lock = folder.map(|folder| folder.join(WRITER_LOCK));
    for at in [Some(record), lock.as_ref()].into_iter().flatten() {
        match Lease::alone(at) {
            Ok(None | Some(Ok(_))) => {}
            Ok(Some(Err(why))) => return Some(why.to_owned()),
            Err(error) => return Some(error.to_string()),
        }
    }
    folder.and_then(strange)
}

/// Why a folder must not be touched: it is not as a writer would have left it. `None` when it is.
fn strange(folder: &Location) -> Option<String> {
    // On object storage, leases lie in a folder of their own.
    let is_remote = folder.properties().is_remote;
    let strange = |it: &Entry| it.is_folder && !(is_remote && it.name.starts_with('.'));
    let holds_folders = || entries(folder).iter().any(strange);
    match folder.backend().is_link(folder.within()) {
        true => Some("it is a link".to_owned()),
        false if holds_folders() => Some("it holds a folder, which is not of the store".to_owned()),
        false => None,
    }
}

/// Temporary files in a folder whose writers are dead. On object storage, also those below it, and expired leases.
///
/// # Errors
/// When the folder cannot be listed.
pub fn dead_temps(folder: &Location) -> Result<Vec<Leftover>> {
    let dead = folder.backend().dead_temps(folder.within());
    let dead = dead.map_err(|error| folder.error("list", &error))?;
    let leftover = |name| {
        let at = folder.join(name);
        let (kind, why) = (Kind::Temporary, "its writer is dead".to_owned());
        Leftover { bytes: size_of(&at), at, kind, why, stays: None, folder: None }
    };
    Ok(dead.into_iter().map(leftover).collect())
}

/// Removes one of [`dead_temps`].
///
/// # Errors
/// When it cannot be removed.
pub fn remove_temp(at: &Location) -> Result<()> {
    match at.properties().is_remote {
        // A process that removed it meanwhile has not made another file of this name.
        true => at.remove(),
        false => at.folder().remove_dead_temps(),
    }
}

/// Removes the files of a folder, and the folder if nothing else is in it. The notes go before any part, as a note
/// without its part would mean a lost part. The lock goes last.
fn remove_folder(folder: &Location) -> Result<()> {
    let files = entries(folder).into_iter().filter(|it| !it.is_folder && it.name != WRITER_LOCK);
    let files = files.map(|it| folder.join(it.name));
    let (notes, others): (Vec<_>, Vec<_>) = files.partition(|at| at.name().ends_with(".json"));
    notes.iter().try_for_each(Location::remove)?;
    if !notes.is_empty() {
        sync(folder)?;
    }
    others.iter().try_for_each(Location::remove)?;
    folder.join(WRITER_LOCK).remove()?;
    // If it is not empty, a writer has started meanwhile and made its lock.
    folder.backend().remove_folder(folder.within())
}

fn sync(folder: &Location) -> Result<()> {
    folder.backend().sync_folder(folder.within())
}

/// The time since something was last written in a folder.
fn age(folder: &Location) -> Duration {
    let files = entries(folder).into_iter().filter(|it| it.name != WRITER_LOCK);
    let newest = files.filter_map(|it| it.modified).max();
    let own = || folder.on_disk()?.symlink_metadata().and_then(|it| it.modified()).ok();
    newest.or_else(own).and_then(|time| folder.age(time).ok()).unwrap_or_default()
}

fn bytes_in(folder: &Location) -> u64 {
    entries(folder).iter().map(|it| it.size).sum()
}

fn size_of(at: &Location) -> u64 {
    at.plain_size().unwrap_or(0)
}

/// Everything in a folder; empty if it cannot be listed.
fn entries(folder: &Location) -> Vec<Entry> {
    folder.list().unwrap_or_default()
}

fn is_folder(at: &Location) -> bool {
    at.is_folder().unwrap_or(false)
}
