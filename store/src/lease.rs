//! Leases: a process that uses something shares one; a process that removes it holds it alone, without waiting.

use crate::backend::{Lease, Taken};
use crate::error::Result;
use crate::error_kind::ErrorKind;
use crate::location::Location;

impl Lease {
    /// Shares the lease on a file, which is made if it is missing. Waits while another process removes the file, and
    /// makes it again.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn share(at: &Location) -> Result<Self> {
        Ok(at.backend().share(at.within(), true)?.unwrap_or(Self::without_lock()))
    }

    /// Shares the writers' lease of `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder or the lease cannot be made.
    pub fn write_to(folder: &Location) -> Result<Self> {
        Ok(folder.backend().share_to_write(folder.within())?.unwrap_or(Self::without_lock()))
    }

    /// Shares the lease on an existing file; `None` when it does not exist or is being removed.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn read(at: &Location) -> Result<Option<Self>> {
        at.backend().share(at.within(), false)
    }

    /// Leases a file alone; makes it if it is missing. Waits for the processes that share it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn wait_alone(at: &Location) -> Result<Self> {
        at.backend().wait_alone(at.within())
    }

    /// Leases a file alone, without waiting. `Err` says in words why that fails; `None` means that the file does not
    /// exist, so no process uses it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn alone(at: &Location) -> Result<Option<Result<Self, &'static str>>> {
        Self::try_alone(at, None)
    }

    /// Leases a file alone as [`Self::alone`] does; with `who`, makes it if it is missing.
    pub(crate) fn try_alone(
        at: &Location,
        who: Option<&str>,
    ) -> Result<Option<Result<Self, &'static str>>> {
        Ok(match at.backend().take(at.within(), who) {
            Ok(Taken::Alone(lease)) => Some(Ok(lease)),
            Ok(Taken::Held(_)) => Some(Err("it is in use")),
            Ok(Taken::Missing) => None,
            Err(error) if error.kind() == ErrorKind::NoLocks => {
                Some(Err("the file system knows no locks, so it may be in use"))
            }
            Err(error) => return Err(error),
        })
    }

    /// Leases a file alone, without waiting, and writes `who` to it; makes it if it is missing. `Err` is the name
    /// that another holder has written, if any.
    ///
    /// # Errors
    /// `NoLocks` when the file system does not support locks; when the file cannot be made or written.
    pub fn take(at: &Location, who: &str) -> Result<Result<Self, String>> {
        Ok(match at.backend().take(at.within(), Some(who))? {
            Taken::Alone(lease) => Ok(lease),
            Taken::Held(who) => Err(who),
            Taken::Missing => Err(String::new()),
        })
    }

    /// Whether a process has leased a file alone, or shares it where there are no locks. Changes nothing.
    ///
    /// # Errors
    /// When object storage cannot be asked.
    pub fn is_held(at: &Location) -> Result<bool> {
        at.backend().is_leased(at.within())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Store;

    #[test]
    fn what_is_shared_cannot_be_had_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = Store::new().locate(folder.path()).join("lock");
        assert!(Lease::alone(&path).unwrap().is_none());
        assert!(Lease::read(&path).unwrap().is_none());
        let first = Lease::share(&path).unwrap();
        let second = Lease::read(&path).unwrap().unwrap();
        drop(first);
        assert!(Lease::alone(&path).unwrap().unwrap().is_err());
        drop(second);
        assert!(Lease::alone(&path).unwrap().unwrap().is_ok());
    }

    #[test]
    fn who_waits_for_a_file_that_is_removed_finds_it_gone_or_makes_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = Store::new().locate(folder.path()).join("lock");
        for _ in 0..50 {
            drop(Lease::share(&path).unwrap());
            let alone = Lease::alone(&path).unwrap().unwrap().unwrap();
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| Lease::read(&path).unwrap());
                let writer = scope.spawn(|| Lease::share(&path).unwrap());
                fs::remove_file(path.path()).unwrap();
                drop(alone);
                let written = writer.join().unwrap();
                // The reader may have come after the writer.
                let _ = reader.join().unwrap();
                assert!(Lease::alone(&path).unwrap().unwrap().is_err());
                drop(written);
            });
        }
    }
}
