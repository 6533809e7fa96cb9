//! Files that are whole or not there, and that survive a power cut once a call returns.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{BufWriter, ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::faults::{self, Operation};
use crate::files::{self, is_url};
use crate::known_manifests;
use crate::lease::try_lock;
use crate::naming;
use crate::object::{self, Object};
use crate::plain_file;

/// Writes a file that must not exist yet. `false`: it existed, and is as it was.
///
/// # Errors
/// `NoSpace`, `Denied` or `Failed` when it cannot be written; there is no such file then.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<bool> {
    if let Some(object) = Object::of(path) {
        let created = object.and_then(|it| it.create(bytes.to_vec()));
        return created.map_err(|error| Error::io(path, "write", &error));
    }
    let mut temp = Temp::create(path)?;
    temp.write_and_sync(bytes)?;
    temp.publish()
}

/// Writes a file in one step, in place of whatever was there.
///
/// # Errors
/// `NoSpace`, `Denied` or `Failed` when it cannot be written; what was there is there still.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(object) = Object::of(path) {
        known_manifests::forget(path);
        let put = object.and_then(|it| it.put(bytes.to_vec()));
        return put.map_err(|error| Error::io(path, "write", &error));
    }
    let mut temp = Temp::create(path)?;
    temp.write_and_sync(bytes)?;
    temp.replace()
}

/// Gives a file another name, in place of whatever had that name. It is durable once something else
/// in that folder is.
///
/// # Errors
/// `NoSpace`, `Denied` or `Failed` when it cannot; nothing has changed then.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let renamed = match (Object::of(from), Object::of(to)) {
        // In two steps: killed between, it has both names.
        (Some(from), Some(to)) => {
            from.and_then(|from| to.and_then(|to| from.copy(&to)).and_then(|()| from.remove()))
        }
        _ => faults::point(Operation::Rename, to).and_then(|()| fs::rename(from, to)),
    };
    renamed.map_err(|error| Error::io(to, "replace", &error))
}

/// Creates a folder and those above it, and makes their names durable.
///
/// # Errors
/// `NoSpace`, `Denied` or `Failed` when a folder cannot be created.
pub fn create_folder(path: &Path) -> Result<()> {
    if is_url(path) {
        return Ok(());
    }
    let parent = parent_of(path);
    while !path.is_dir() {
        create_folder(parent)?;
        let created =
            faults::point(Operation::CreateFolder, path).and_then(|()| fs::create_dir(path));
        match created {
            Ok(()) => return sync_folder(parent),
            Err(error) if error.kind() != IoKind::AlreadyExists => {
                return Err(Error::io(path, "create the folder", &error));
            }
            Err(_) => {}
        }
        match path.symlink_metadata() {
            // Somebody has made it, and may not have come to sync it; or has removed it again.
            Ok(it) if it.is_dir() => return sync_folder(parent),
            Err(error) if error.kind() == IoKind::NotFound => {}
            _ if path.is_dir() => {}
            _ => return Err(Error::failed(format_args!("{}: is not a folder", path.display()))),
        }
    }
    Ok(())
}

/// Removes the temporary files that dead writers left in `folder`; those of living ones stay.
///
/// # Errors
/// `Denied` or `Failed` when the folder cannot be listed, or a file in it not removed.
pub fn remove_dead_temps(folder: &Path) -> Result<()> {
    if is_url(folder) {
        // A listing for each commit would cost more than what is left there. `gc` removes it.
        return Ok(());
    }
    dead_temps(folder)?.into_iter().try_for_each(|(path, _lock)| remove_if_there(&path))
}

/// The temporary files that dead writers left in `folder`, each with its lock; of object storage, those in all
/// folders below it, and leases that nobody holds.
pub(crate) fn dead_temps(folder: &Path) -> Result<Vec<(PathBuf, Option<File>)>> {
    if let Some(object) = Object::of(folder) {
        let dead = object.and_then(|it| object::dead_temps(&it));
        let dead = dead.map_err(|error| Error::io(folder, "list", &error))?;
        return Ok(dead.into_iter().map(|name| (folder.join(name), None)).collect());
    }
    let is_temp = |name: &str| name.starts_with('.') && name.ends_with(".tmp");
    let temps = names_in(folder)?.into_iter().filter(|name| is_temp(name));
    let locked = temps.filter_map(|name| {
        let path = folder.join(name);
        // Read access is enough for a lock, and a file that is gone is what is wanted.
        let file = plain_file::open(&path).ok()?;
        try_lock(&file, &path).ok()?;
        Some((path, Some(file)))
    });
    Ok(locked.collect())
}

/// Removes a file; it may be missing.
///
/// # Errors
/// `Denied` or `Failed` when it is still there.
pub fn remove_if_there(path: &Path) -> Result<()> {
    known_manifests::forget(path);
    let removed = match Object::of(path) {
        Some(object) => object.and_then(|it| it.remove()),
        None => faults::point(Operation::Remove, path).and_then(|()| fs::remove_file(path)),
    };
    match removed {
        Err(error) if error.kind() != IoKind::NotFound => Err(Error::io(path, "remove", &error)),
        _ => Ok(()),
    }
}

/// Removes a folder in which nothing is left; it stays if there is something in it.
///
/// # Errors
/// `Denied` or `Failed` when it is empty and still there.
pub(crate) fn remove_empty_folder(path: &Path) -> Result<()> {
    if is_url(path) {
        return Ok(());
    }
    let removed = faults::point(Operation::RemoveFolder, path).and_then(|()| fs::remove_dir(path));
    match removed.map_err(|error| (error.kind(), error)) {
        Err((IoKind::NotFound | IoKind::DirectoryNotEmpty, _)) | Ok(()) => Ok(()),
        Err((_, error)) => Err(Error::io(path, "remove", &error)),
    }
}

/// The names in a folder, sorted; none when it does not exist. A name that is not UTF-8 is none
/// of the store's.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>> {
    files::names(folder).map_err(|error| Error::io(folder, "list", &error))
}

/// A file being written beside its final name. Dropped, it goes.
///
/// It holds an advisory lock while its writer lives, so that another writer can tell it from
/// what a dead one left behind.
#[derive(Debug)]
pub struct Temp {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Temp {
    /// A new empty file in the folder of `target`; of an object, in a folder of this machine.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be created.
    pub fn create(target: &Path) -> Result<Self> {
        let name = target.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Error::failed(format_args!("{}: is not a file name", target.display()))
        })?;
        loop {
            let name = format!(".{name}.{:016x}.tmp", unique());
            let path = match is_url(target) {
                true => object::uploads()?.join(name),
                false => target.with_file_name(name),
            };
            let file = faults::point(Operation::Create, &path).and_then(|()| {
                OpenOptions::new().read(true).write(true).create_new(true).open(&path)
            });
            let file = file.map_err(|error| Error::io(&path, "create", &error))?;
            // Between creation and lock another writer may have taken the file for dead. Where
            // the file system knows no locks, nobody can take the lock to remove it either.
            match try_lock(&file, &path) {
                Err(TryLockError::WouldBlock) => continue,
                _ if !path.exists() => continue,
                _ => return Ok(Self { file, path, target: target.to_path_buf() }),
            }
        }
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it lies for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what was written to the file durable.
    ///
    /// # Errors
    /// `NoSpace` or `Failed` when it cannot be.
    pub fn sync(&self) -> Result<()> {
        if is_url(&self.target) {
            return Ok(());
        }
        let synced = faults::point(Operation::Sync, &self.path).and_then(|()| self.file.sync_all());
        synced.map_err(|error| Error::io(&self.target, "write", &error))
    }

    fn write_and_sync(&mut self, bytes: &[u8]) -> Result<()> {
        let written = faults::write_all(&self.file, bytes, &self.path)
            .and_then(|()| faults::point(Operation::Sync, &self.path))
            .and_then(|()| self.file.sync_all());
        written
            .map_err(|error| Error::io(&self.target, "write", &error).needing(bytes.len() as u64))
    }

    /// Gives a synced file its final name. `false`: the name was taken, and nothing changed.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot; the file goes then.
    pub fn publish(&self) -> Result<bool> {
        if let Some(object) = Object::of(&self.target) {
            let created = object.and_then(|it| it.create_from(&self.path));
            return created.map_err(|error| Error::io(&self.target, "upload", &error));
        }
        let created = naming::give(&self.path, &self.target)?;
        // Also when the name was taken: its maker may not have come to sync the folder yet.
        sync_folder(parent_of(&self.target))?;
        Ok(created)
    }

    /// Gives a synced file its final name, in place of whatever had that name.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn replace(self) -> Result<()> {
        if let Some(object) = Object::of(&self.target) {
            let put = object.and_then(|it| it.put_from(&self.path));
            return put.map_err(|error| Error::io(&self.target, "upload", &error));
        }
        rename(&self.path, &self.target)?;
        sync_folder(parent_of(&self.target))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; otherwise the next writer removes it.
        let _ = remove_if_there(&self.path);
    }
}

/// A file that grows: a log. Of an object, all of it is kept in memory and written whole.
#[derive(Debug)]
pub struct Appending {
    path: PathBuf,
    to: To,
    /// Of an object, the bytes of it that are there.
    flushed: usize,
}

#[derive(Debug)]
enum To {
    File(BufWriter<File>),
    Object(Vec<u8>),
}

impl Appending {
    /// Writes `start` to `path`, in place of whatever was there, to append to.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written.
    pub fn begin(path: &Path, start: Vec<u8>) -> Result<Self> {
        replace(path, &start)?;
        let flushed = start.len();
        let to = match is_url(path) {
            true => To::Object(start),
            false => {
                let file = OpenOptions::new().append(true).open(path);
                To::File(BufWriter::new(file.map_err(|error| Error::io(path, "write", &error))?))
            }
        };
        Ok(Self { path: path.to_path_buf(), to, flushed })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.to {
            To::File(file) => {
                file.write_all(bytes).map_err(|error| Error::io(&self.path, "write", &error))
            }
            To::Object(all) => {
                all.extend(bytes);
                Ok(())
            }
        }
    }

    /// Hands what was appended to the operating system, or to object storage.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.to {
            To::File(file) => file.flush().map_err(|error| Error::io(&self.path, "write", &error)),
            To::Object(all) if all.len() == self.flushed => Ok(()),
            To::Object(all) => {
                self.flushed = all.len();
                replace(&self.path, all)
            }
        }
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        None if path.has_root() => path,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    if is_url(folder) {
        return Ok(());
    }
    let synced = faults::point(Operation::SyncFolder, folder)
        .and_then(|()| File::open(folder))
        .and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io(folder, "sync the folder", &error))
}

/// Elsewhere a folder cannot be opened, and names are durable with their files.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> Result<()> {
    Ok(())
}

/// A number that nobody else draws, on whichever machine.
pub fn unique() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut hasher = blake3::Hasher::new();
    // The system's randomness: other machines have the same processes at the same time.
    hasher.update(&RandomState::new().build_hasher().finish().to_le_bytes());
    hasher.update(&time.to_le_bytes());
    hasher.update(&std::process::id().to_le_bytes());
    hasher.update(&COUNTER.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
