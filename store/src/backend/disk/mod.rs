//! The backend for disks: a file is whole or does not exist, and survives a power cut once the call returns.

mod lease;
mod naming;

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind as IoKind, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Backend, Entry, Identity, Lease, Properties, Staged, Taken};
use crate::error::{Error, Result};
use crate::file_system::{FileSystem, failed, folder_of, free_bytes, if_there, open_plain};
use crate::temp_file::{TempFile, is_temp};

/// The age below which a file may change again without a new time: clocks have ticks.
const SETTLED: Duration = Duration::from_secs(2);

/// The disks of this machine, addressed by file paths.
#[derive(Debug)]
pub(crate) struct Disk {
    pub system: FileSystem,
}

impl Disk {
    fn written(&self, path: &Path, bytes: &[u8]) -> Result<TempFile> {
        let temp = TempFile::create(&self.system, folder_of(path), path)?;
        let written = self.system.write_all(&temp.file, bytes, &temp.path);
        written.map_err(|error| failed(path, "write", &error).needing(bytes.len() as u64))?;
        Ok(temp)
    }

    fn dead(&self, folder: &Path) -> io::Result<Vec<(String, File)>> {
        let temps = self.names(folder)?.into_iter().filter(|name| is_temp(name));
        let locked = temps.filter_map(|name| {
            let path = folder.join(&name);
            // Read access is enough for a lock. If the file is gone, nothing is left to remove.
            let file = open_plain(&path).ok()?;
            self.system.try_lock(&file, &path).ok()?;
            Some((name, file))
        });
        Ok(locked.collect())
    }
}

impl Backend for Disk {
    fn properties(&self) -> Properties {
        Properties {
            is_remote: false,
            pause: Duration::from_millis(50),
            trusted_for: Duration::ZERO,
            leases_outlive: None,
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in entries_of(folder)? {
            let entry = entry?;
            // The store makes no name that is not UTF-8.
            let Ok(name) = entry.file_name().into_string() else { continue };
            // The file was removed since it was listed.
            let Ok(metadata) = entry.metadata() else { continue };
            entries.push(Entry {
                name,
                size: if metadata.is_file() { metadata.len() } else { 0 },
                modified: metadata.modified().ok(),
                is_folder: metadata.is_dir(),
                is_link: metadata.is_symlink(),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = entries_of(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let mut names = names.filter_map(io::Result::transpose).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        let there = if_there(fs::metadata(path))?;
        Ok(there.filter(fs::Metadata::is_file).map(|metadata| metadata.len()))
    }

    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        Ok(path.is_dir())
    }

    fn is_link(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok_and(|it| it.is_symlink())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_up_to(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open_plain(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_range(&self, path: &Path, range: Range<u64>) -> io::Result<Bytes> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        open_plain(path)?.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes.into())
    }

    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        open_plain(path).map(Some)
    }

    fn identity(&self, path: &Path) -> Option<Identity> {
        let metadata = path.symlink_metadata().ok()?;
        let modified = metadata.modified().ok()?;
        let age = SystemTime::now().duration_since(modified).ok()?;
        let settled = metadata.is_file() && age >= SETTLED;
        let (bytes, number) = (metadata.len(), metadata.ino());
        settled.then_some(Identity::File { bytes, modified, number })
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        free_bytes(path)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        let TempFile { file, path: temp, .. } = &self.written(path, bytes)?;
        self.create_from(Staged { file, path: temp }, path)
            .map_err(|error| error.needing(bytes.len() as u64))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let TempFile { file, path: temp, .. } = &self.written(path, bytes)?;
        self.replace_by(Staged { file, path: temp }, path)
            .map_err(|error| error.needing(bytes.len() as u64))
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        fs::write(path, bytes).map_err(|error| failed(path, "write", &error))
    }

    fn staging(&self, target: &Path) -> Result<PathBuf> {
        Ok(folder_of(target).to_path_buf())
    }

    fn create_from(&self, staged: Staged, target: &Path) -> Result<bool> {
        let synced = self.system.sync(staged.file, staged.path);
        synced.map_err(|error| failed(target, "write", &error))?;
        let created = naming::give(&self.system, staged.path, target)?;
        // Also when the name was taken: its maker may not have synced the folder yet.
        self.sync_folder(folder_of(target))?;
        Ok(created)
    }

    fn replace_by(&self, staged: Staged, target: &Path) -> Result<()> {
        let synced = self.system.sync(staged.file, staged.path);
        synced.map_err(|error| failed(target, "write", &error))?;
        self.rename(staged.path, target)?;
        self.sync_folder(folder_of(target))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.system.rename(from, to).map_err(|error| failed(to, "replace", &error))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let removed = if_there(self.system.remove(path));
        removed.map(drop).map_err(|error| failed(path, "remove", &error))
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        let parent = folder_of(path);
        while !path.is_dir() {
            self.create_folder(parent)?;
            match self.system.create_folder(path) {
                Ok(()) => return self.sync_folder(parent),
                Err(error) if error.kind() != IoKind::AlreadyExists => {
                    return Err(failed(path, "create the folder", &error));
                }
                Err(_) => {}
            }
            match path.symlink_metadata() {
                // Another process has made it and may not have synced it yet, or has removed it again.
                Ok(it) if it.is_dir() => return self.sync_folder(parent),
                Err(error) if error.kind() == IoKind::NotFound => {}
                _ if path.is_dir() => {}
                _ => {
                    return Err(Error::failed(format_args!("{}: is not a folder", path.display())));
                }
            }
        }
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> Result<()> {
        match self.system.remove_folder(path).map_err(|error| (error.kind(), error)) {
            Err((IoKind::NotFound | IoKind::DirectoryNotEmpty, _)) | Ok(()) => Ok(()),
            Err((_, error)) => Err(failed(path, "remove", &error)),
        }
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.system.sync_folder(folder).map_err(|error| failed(folder, "sync the folder", &error))
    }

    fn dead_temps(&self, folder: &Path) -> io::Result<Vec<String>> {
        Ok(self.dead(folder)?.into_iter().map(|(name, _lock)| name).collect())
    }

    fn remove_dead_temps(&self, folder: &Path) -> Result<()> {
        let dead = self.dead(folder).map_err(|error| failed(folder, "list", &error))?;
        dead.into_iter().try_for_each(|(name, _lock)| self.remove(&folder.join(name)))
    }

    fn share(&self, path: &Path, make: bool) -> Result<Option<Lease>> {
        lease::share(&self.system, path, make)
    }

    fn share_to_write(&self, folder: &Path) -> Result<Option<Lease>> {
        loop {
            self.create_folder(folder)?;
            let lease = self.share(&folder.join(super::WRITER_LOCK), true);
            // The folder may have been removed before the lock was made.
            if lease.is_ok() || folder.is_dir() {
                return lease;
            }
        }
    }

    fn take(&self, path: &Path, who: Option<&str>) -> Result<Taken> {
        lease::take(&self.system, path, who)
    }

    fn wait_alone(&self, path: &Path) -> Result<Lease> {
        let file =
            self.system.open_or_create(path).map_err(|error| failed(path, "lock", &error))?;
        let locked = self.system.lock(&file, path);
        Ok(locked.map_or_else(|_| Lease::without_lock(), |()| Lease::holding(file)))
    }

    fn is_leased(&self, path: &Path) -> Result<bool> {
        let held = |it: File| matches!(it.try_lock_shared(), Err(TryLockError::WouldBlock));
        Ok(File::open(path).is_ok_and(held))
    }
}

/// The entries of a folder; empty when it does not exist.
fn entries_of(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    Ok(if_there(fs::read_dir(folder))?.into_iter().flatten())
}
