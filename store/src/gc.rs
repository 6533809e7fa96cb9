//! What may go: generations that nothing needs, attempts that ended without a commit, and temporary
//! files of dead writers.
//!
//! Trainings are kept as datasets are: numbered records that have a key each, and for each key a
//! folder called by its first 16 digits. So all of this is about a [`Shelf`] of such records.
//!
//! A record goes first, then its folder: whatever is left by a process that is killed between is an
//! attempt without a record, which goes the next time. What is in use stays: readers share the lock of
//! the record, writers that of the folder, and both are held alone while something goes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dataset::Dataset;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, Entry, is_url};
use crate::lease::{self, Lease, WRITER_LOCK};
use crate::manifest::{folder_name, is_folder_name, is_key};
use crate::plain_file;
use crate::records::Records;

/// What must stay.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The keys that something needs.
    pub needed: HashSet<String>,
    /// So many of the newest records stay, whether they are needed or not. The newest always does:
    /// its number must not be used again.
    pub keep: usize,
    /// Attempts that were written to more recently stay.
    pub grace: Duration,
}

impl Policy {
    fn needs(&self, key: &str) -> bool {
        self.needed.contains(key)
    }

    fn needs_folder(&self, name: &str) -> bool {
        self.needed.iter().any(|key| key.starts_with(name))
    }
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
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// What would be free without it.
    pub bytes: u64,
    /// Why nobody needs it.
    pub why: String,
    /// Why it stays all the same, if it does.
    pub stays: Option<String>,
    /// The folder that goes with it.
    folder: Option<PathBuf>,
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
    /// What it is called where records are called `record`.
    pub fn name(self, record: &'static str) -> &'static str {
        match self {
            Self::Record(_) => record,
            Self::Attempt => "attempt",
            Self::Temporary => "temporary",
        }
    }
}

/// The records there are.
#[derive(Default)]
struct Listing {
    /// Newest first; what is wrong with those that cannot be read.
    records: Vec<(u64, Result<String>)>,
    /// The folders of the keys, each with the newest record of that key.
    folders: HashMap<String, u64>,
}

impl Shelf {
    /// A dataset and its generations.
    pub fn of(dataset: &Dataset) -> Self {
        let records = dataset.records().clone();
        let dataset = dataset.clone();
        let key_of = move |number| Ok(dataset.generation(number)?.manifest().key.clone());
        Self { records, key_of: Box::new(key_of) }
    }

    /// Other records; `key_of` reads the key of one.
    pub fn new(records: Records, key_of: impl Fn(u64) -> Result<String> + 'static) -> Self {
        Self { records, key_of: Box::new(key_of) }
    }

    /// Everything that `policy` does not need, and what of that stays and why. Changes nothing.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn survey(&self, policy: &Policy) -> Result<Vec<Leftover>> {
        let listing = self.list()?;
        let root = self.records.folder();
        let names = durable::names_in(root)?;
        let folders: Vec<&String> = names.iter().filter(|name| is_folder_name(name)).collect();
        let orphan = folders.iter().find(|name| !listing.folders.contains_key(**name));
        let mut found = self.survey_records(&listing, orphan.map(|name| name.as_str()), policy);
        let stays = |it: &&(u64, Result<String>)| {
            it.1.is_err() && found.iter().all(|other| other.goes_as(it.0).is_none())
        };
        let unreadable = listing.records.iter().find(stays).map(|it| it.0);
        found.extend(dead_temps(root)?);
        for name in folders {
            let folder = root.join(name);
            match listing.folders.get(name) {
                Some(_) => {}
                None if policy.needs_folder(name) => {}
                None => {
                    found.push(self.survey_attempt(&folder, unreadable, policy)?);
                    continue;
                }
            }
            // On object storage those of all folders were found at once.
            let goes = |it: &Leftover| it.folder.as_ref() == Some(&folder) && it.stays.is_none();
            if !is_url(&folder) && !found.iter().any(goes) {
                found.extend(dead_temps(&folder)?);
            }
        }
        Ok(found)
    }

    /// `orphan` is a folder that belongs to none of the records that can be read.
    fn survey_records(
        &self,
        listing: &Listing,
        orphan: Option<&str>,
        policy: &Policy,
    ) -> Vec<Leftover> {
        let mut found = Vec::new();
        for (place, (number, key)) in listing.records.iter().enumerate() {
            let path = self.records.path(*number);
            let mut folder = None;
            let why = match key {
                Ok(key) => {
                    let newest = listing.folders.get(folder_name(key)).copied();
                    if newest != Some(*number) {
                        format!("superseded by record {}", newest.unwrap_or_default())
                    } else if policy.needs(key) {
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
                // From a copy of the record, or by making it again, all of it can be had back.
                Some(format!("it is one of the newest {}, and {orphan} may be its", policy.keep))
            } else if folder.is_some() && place < policy.keep {
                Some(format!("it is one of the newest {}", policy.keep))
            } else {
                in_use(&path, folder.as_deref())
            };
            let bytes = size_of(&path) + folder.as_deref().map_or(0, bytes_in);
            let kind = Kind::Record(*number);
            found.push(Leftover { path, kind, bytes, why, stays, folder });
        }
        found
    }

    /// `unreadable` is the number of a record that stays although nobody knows its key.
    fn survey_attempt(
        &self,
        folder: &Path,
        unreadable: Option<u64>,
        policy: &Policy,
    ) -> Result<Leftover> {
        let stays = match (strange(folder), unreadable, age(folder)) {
            (Some(strange), ..) => Some(strange),
            (None, Some(number), _) => {
                let name = self.records.path(number);
                let name = name.file_name().unwrap_or_default().display();
                Some(format!("it may belong to {name}, which cannot be read"))
            }
            (None, None, age) if age < policy.grace => {
                Some(format!("it was written to {} seconds ago", age.as_secs()))
            }
            _ => in_use(&folder.join(WRITER_LOCK), None),
        };
        Ok(Leftover {
            path: folder.to_path_buf(),
            kind: Kind::Attempt,
            bytes: bytes_in(folder),
            why: "it ended without a commit, and nothing goes on with it".to_owned(),
            stays,
            folder: Some(folder.to_path_buf()),
        })
    }

    fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        for number in self.records.numbers()? {
            let key = (self.key_of)(number).and_then(|key| match is_key(&key) {
                true => Ok(key),
                false => Err(Error::damaged(&self.records.path(number), "it has no key")),
            });
            match &key {
                Ok(key) => {
                    listing.folders.entry(folder_name(key).to_owned()).or_insert(number);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                // It may be anybody's.
                Err(error) if cannot_be_asked(error.kind()) => {
                    return Err(Error::new(error.kind(), error.to_string()));
                }
                Err(_) => {}
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

    /// Whether there is a folder of this key, which need not have a record.
    pub fn has_folder(&self, key: &str) -> bool {
        is_folder(&self.records.folder().join(folder_name(key)))
    }

    /// Removes what there is of these keys: records with their folders, and what is left of a removal
    /// that was cut short. Gives what stays and why, as it is in use or the newest.
    ///
    /// # Errors
    /// When something cannot be looked at or removed.
    pub fn remove_keys(&self, keys: &HashSet<String>) -> Result<Vec<Leftover>> {
        let needed = self.keys()?.difference(keys).cloned().collect();
        let policy = Policy { needed, keep: 0, grace: Duration::ZERO };
        let root = self.records.folder();
        let theirs: HashSet<PathBuf> = keys.iter().map(|key| root.join(folder_name(key))).collect();
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

    /// Removes something, unless it has come into use; then it says so.
    ///
    /// # Errors
    /// When something cannot be removed. Whatever is left is an attempt.
    pub fn remove(&self, leftover: &Leftover, policy: &Policy) -> Result<Option<String>> {
        match leftover.kind {
            Kind::Temporary => {
                remove_temp(&leftover.path)?;
                Ok(None)
            }
            Kind::Record(_) => {
                let _record = match Lease::alone(&leftover.path)? {
                    Some(Ok(alone)) => alone,
                    Some(Err(why)) => return Ok(Some(why.to_owned())),
                    None => return Ok(None),
                };
                let Some(folder) = leftover.folder.as_deref().filter(|it| is_folder(it)) else {
                    return self.remove_record(&leftover.path).map(|()| None);
                };
                let _writer = match Self::alone_in(folder)? {
                    Ok(alone) => alone,
                    Err(why) => return Ok(Some(why)),
                };
                self.remove_record(&leftover.path)?;
                // A writer may have committed the key anew since it was listed.
                match self.list()?.folders.contains_key(&name_of(folder)) {
                    true => Ok(None),
                    false => remove_folder(folder).map(|()| None),
                }
            }
            Kind::Attempt => {
                let folder = &leftover.path;
                let age = age(folder);
                let _writer = match Self::alone_in(folder)? {
                    Ok(alone) => alone,
                    Err(why) => return Ok(Some(why)),
                };
                if self.list()?.folders.contains_key(&name_of(folder)) {
                    return Ok(Some("it was committed meanwhile".to_owned()));
                }
                if age < policy.grace {
                    return Ok(Some("it was written to meanwhile".to_owned()));
                }
                remove_folder(folder).map(|()| None)
            }
        }
    }

    fn remove_record(&self, path: &Path) -> Result<()> {
        durable::remove_if_there(path)?;
        // Before any of its parts goes: a record that came back after a power cut would lack them.
        durable::sync_folder(self.records.folder())
    }

    /// The lock of those who write to a folder, held alone; or why it cannot be.
    fn alone_in(folder: &Path) -> Result<Result<Lease, String>> {
        if let Some(strange) = strange(folder) {
            return Ok(Err(strange));
        }
        let path = folder.join(WRITER_LOCK);
        lease::make(&path)?;
        Ok(match Lease::alone(&path)? {
            Some(alone) => alone.map_err(str::to_owned),
            None => Err("it is in use".to_owned()),
        })
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Leftover {
    /// Whether this is record `number`, and goes.
    fn goes_as(&self, number: u64) -> Option<()> {
        (self.kind == Kind::Record(number) && self.stays.is_none()).then_some(())
    }
}

/// Whether a server did not say what it has.
fn cannot_be_asked(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Unauthorized | ErrorKind::NoBucket)
}

/// Who uses a record or its folder, in words; nobody when `None`.
fn in_use(record: &Path, folder: Option<&Path>) -> Option<String> {
    let lock = folder.map(|folder| folder.join(WRITER_LOCK));
    for path in [Some(record), lock.as_deref()].into_iter().flatten() {
        match Lease::alone(path) {
            Ok(None | Some(Ok(_))) => {}
            Ok(Some(Err(why))) => return Some(why.to_owned()),
            Err(error) => return Some(error.to_string()),
        }
    }
    folder.and_then(strange)
}

/// Why a folder is not to be touched, if it is not as a writer would have left it.
fn strange(folder: &Path) -> Option<String> {
    let is_link = folder.symlink_metadata().is_ok_and(|it| it.is_symlink());
    // Leases on objects lie in a folder of their own.
    let strange = |it: &Entry| it.is_folder && !(is_url(folder) && it.name.starts_with('.'));
    let holds_folders = || entries(folder).iter().any(strange);
    match is_link {
        true => Some("it is a link".to_owned()),
        false if holds_folders() => Some("it holds a folder, which is not of the store".to_owned()),
        false => None,
    }
}

/// Temporary files in a folder that nobody writes any more; of object storage, those in all folders below it,
/// and leases that nobody holds.
///
/// # Errors
/// When the folder cannot be listed.
pub fn dead_temps(folder: &Path) -> Result<Vec<Leftover>> {
    let dead = durable::dead_temps(folder)?.into_iter();
    Ok(dead.map(|(path, _lock)| leftover_temp(path)).collect())
}

/// Removes one of [`dead_temps`].
///
/// # Errors
/// When it is still there.
pub fn remove_temp(path: &Path) -> Result<()> {
    match is_url(path) {
        // Whoever else has removed it meanwhile has made no other of this name.
        true => durable::remove_if_there(path),
        false => durable::remove_dead_temps(path.parent().unwrap_or(Path::new("."))),
    }
}

fn leftover_temp(path: PathBuf) -> Leftover {
    Leftover {
        bytes: size_of(&path),
        kind: Kind::Temporary,
        why: "its writer is dead".to_owned(),
        stays: None,
        folder: None,
        path,
    }
}

/// Removes the files of a folder, and the folder if nothing else is in it. What says that a part is
/// whole goes before any part, or a part that has gone would be taken for lost; the lock goes last.
fn remove_folder(folder: &Path) -> Result<()> {
    let files = entries(folder).into_iter().filter(|it| !it.is_folder && it.name != WRITER_LOCK);
    let files = files.map(|it| folder.join(it.name));
    let (notes, others): (Vec<_>, Vec<_>) =
        files.partition(|path| path.extension().is_some_and(|it| it == "json"));
    for path in &notes {
        durable::remove_if_there(path)?;
    }
    if !notes.is_empty() {
        durable::sync_folder(folder)?;
    }
    for path in &others {
        durable::remove_if_there(path)?;
    }
    durable::remove_if_there(&folder.join(WRITER_LOCK))?;
    // Not empty, a writer has come meanwhile, and has made its lock.
    durable::remove_empty_folder(folder)
}

/// How long nothing has been written in a folder.
fn age(folder: &Path) -> Duration {
    let files = entries(folder).into_iter().filter(|it| it.name != WRITER_LOCK);
    let newest = files.filter_map(|it| it.modified).max();
    let own = || folder.symlink_metadata().and_then(|it| it.modified()).ok();
    let age = newest.or_else(own).map(|time| files::age(folder, time).unwrap_or_default());
    age.unwrap_or_default()
}

fn bytes_in(folder: &Path) -> u64 {
    entries(folder).iter().map(|it| it.size).sum()
}

fn size_of(path: &Path) -> u64 {
    plain_file::size(path).unwrap_or(0)
}

/// Everything in a folder; nothing if it cannot be listed.
fn entries(folder: &Path) -> Vec<Entry> {
    files::list(folder).unwrap_or_default()
}

fn is_folder(path: &Path) -> bool {
    files::is_folder(path).unwrap_or(false)
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
