//! Leases on a disk: advisory locks of the system on open files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use rustix::io::Errno;

use crate::backend::{Lease, Taken};
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::file_system::{FileSystem, failed, if_there, is_at};

/// Shares the lock of a file. Waits while another process removes the file, and then makes it again if `make`.
pub(super) fn share(system: &FileSystem, path: &Path, make: bool) -> Result<Option<Lease>> {
    loop {
        let file = match make {
            true => system.open_or_create(path).map_err(|error| failed(path, "lock", &error))?,
            false => match if_there(File::open(path)) {
                Ok(Some(file)) => file,
                Ok(None) => return Ok(None),
                Err(error) => return Err(Error::io(path, "open", &error)),
            },
        };
        match system.lock_shared(&file, path) {
            Err(_) => return Ok(Some(Lease::without_lock())),
            Ok(()) if is_at(&file, path) => return Ok(Some(Lease::holding(file))),
            // The path no longer leads to this file.
            Ok(()) if make => {}
            Ok(()) => return Ok(None),
        }
    }
}

/// Locks a file alone, without waiting; see [`crate::backend::Backend::take`].
pub(super) fn take(system: &FileSystem, path: &Path, who: Option<&str>) -> Result<Taken> {
    let opened = match who {
        Some(_) => system.open_or_create(path).map(Some),
        None => if_there(OpenOptions::new().read(true).write(true).open(path)),
    };
    let opened = opened.map_err(|error| failed(path, "lock", &error))?;
    let Some(mut file) = opened else { return Ok(Taken::Missing) };
    match system.try_lock(&file, path) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // If the holder's name cannot be read, the file is still held.
            let _ = who.map(|_| file.read_to_string(&mut holder));
            return Ok(Taken::Held(holder.trim().to_owned()));
        }
        Err(TryLockError::Error(error)) => {
            let no_locks = who.is_none() || knows_no_locks(&error);
            let kind = if no_locks { ErrorKind::NoLocks } else { ErrorKind::of(&error) };
            return Err(Error::new(kind, format!("{}: cannot lock: {error}", path.display())));
        }
    }
    if let Some(who) = who {
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(who.as_bytes()))
            .map_err(|error| failed(path, "write", &error))?;
    }
    Ok(Taken::Alone(Lease::holding(file)))
}

fn knows_no_locks(error: &io::Error) -> bool {
    let lacking = [Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOLCK];
    Errno::from_io_error(error).is_some_and(|it| lacking.contains(&it))
}
