//! The backend for buckets: object storage, or the memory of this process.
//!
//! Object storage has no folders. A folder is a common prefix of keys, and is neither made nor removed.

mod clock;
mod conditional_put_check;
mod connect;
mod connection;
mod dead_temps;
mod failure;
mod object;
mod object_lease;
mod retries;
mod runtime;
mod upload;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Backend, Entry, Lease, Properties, Staged, Taken};
use crate::backend::disk::Disk;
use crate::cache_folder::cache_folder;
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::file_system::FileSystem;
use crate::operation::Operation;
use conditional_put_check::check_server;
use connection::Connection;
use object::Object;
use object_lease::Held;

/// A bucket, a container of Azure's, or a name in the memory of this process.
#[derive(Debug)]
pub(crate) struct Bucket {
    scheme: &'static str,
    name: String,
    system: FileSystem,
    /// The connection, made at the first request.
    connection: Mutex<Option<Arc<Connection>>>,
    /// Whether the leftovers of killed processes in the folder of uploads have been removed.
    is_tidy: Mutex<bool>,
}

impl Bucket {
    /// The bucket of this name; asks no server.
    pub fn new(scheme: &'static str, name: &str, system: FileSystem) -> Self {
        let (connection, is_tidy) = (Mutex::default(), Mutex::default());
        Self { scheme, name: name.to_owned(), system, connection, is_tidy }
    }

    /// The object at a path.
    ///
    /// # Errors
    /// When the name is not a valid bucket or key, or the environment does not say how to reach the server.
    fn object(&self, path: &Path) -> io::Result<Object> {
        let mut connection = self.connection.lock();
        let connection = match &*connection {
            Some(connection) => connection.clone(),
            None => {
                let store = connect::connect(self.scheme, &self.name)?;
                let made = Arc::new(Connection::new(store, self.url()));
                connection.insert(made).clone()
            }
        };
        Object::at(connection, path)
    }

    fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.name)
    }

    /// Changes an object; the error describes in words what could not be done.
    fn change<T>(
        &self,
        path: &Path,
        (operation, action): (Operation, &str),
        change: impl FnOnce(&Object) -> io::Result<T>,
    ) -> Result<T> {
        let shown = Path::new(&self.url()).join(path);
        let changed =
            self.system.before(operation, &shown).and_then(|()| change(&self.object(path)?));
        changed.map_err(|error| Error::io(&shown, action, &error))
    }
}

impl Backend for Bucket {
    fn properties(&self) -> Properties {
        Properties {
            is_remote: true,
            pause: Duration::from_secs(1),
            trusted_for: Duration::from_secs(1),
            leases_outlive: Some(object_lease::dead_after()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.object(folder)?.list()
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        self.object(path)?.size()
    }

    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        self.object(path)?.is_folder()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.object(path)?.read()?.into())
    }

    fn read_up_to(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        Ok(self.object(path)?.read_up_to(limit)?.into())
    }

    fn read_range(&self, path: &Path, range: Range<u64>) -> io::Result<Bytes> {
        self.object(path)?.read_range(range)
    }

    fn now(&self, near: &Path) -> io::Result<SystemTime> {
        clock::server_time(&self.object(near)?)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        self.change(path, (Operation::Create, "write"), |object| {
            check_server(object)?;
            object.create(Bytes::copy_from_slice(bytes))
        })
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.change(path, (Operation::Write, "write"), |object| {
            check_server(object)?;
            object.put(Bytes::copy_from_slice(bytes))
        })
    }

    fn staging(&self, _target: &Path) -> Result<PathBuf> {
        let folder = cache_folder().join("uploads");
        let disk = Disk { system: self.system.clone() };
        disk.create_folder(&folder)?;
        let mut is_tidy = self.is_tidy.lock();
        if !std::mem::replace(&mut *is_tidy, true) {
            // A file that stays takes room but does no harm.
            let _ = disk.remove_dead_temps(&folder);
        }
        Ok(folder)
    }

    fn create_from(&self, staged: Staged, target: &Path) -> Result<bool> {
        self.change(target, (Operation::Create, "upload"), |object| {
            upload::create(object, staged.path)
        })
    }

    fn replace_by(&self, staged: Staged, target: &Path) -> Result<()> {
        self.change(target, (Operation::Write, "upload"), |object| upload::put(object, staged.path))
    }

    /// Renames in two steps: after a kill in between, the object has both names.
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(to, (Operation::Rename, "replace"), |to| {
            let from = self.object(from)?;
            from.copy(to)?;
            from.remove()
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.change(path, (Operation::Remove, "remove"), Object::remove)
    }

    fn dead_temps(&self, folder: &Path) -> io::Result<Vec<String>> {
        dead_temps::dead(&self.object(folder)?)
    }

    fn share(&self, path: &Path, make: bool) -> Result<Option<Lease>> {
        self.change(path, (Operation::Lock, "lease"), |object| {
            let lease = match Held::share(object) {
                // A process that may not write takes no lease. It removes nothing, but those that remove do not see it.
                Err(error) if !make && writes_nothing(&error) => Lease::without_lock(),
                held => Lease::holding(held?),
            };
            Ok((make || object.size()?.is_some()).then_some(lease))
        })
    }

    fn take(&self, path: &Path, who: Option<&str>) -> Result<Taken> {
        self.change(path, (Operation::Lock, "lease"), |object| {
            let held = Held::alone(object, who.unwrap_or_default())?;
            Ok(held.map_or_else(Taken::Held, |held| Taken::Alone(Lease::holding(held))))
        })
    }

    fn is_leased(&self, path: &Path) -> Result<bool> {
        self.change(path, (Operation::Lock, "look at"), Held::is_held)
    }

    fn leased_names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.names(&folder.join(object_lease::LEASES))
    }
}

/// Whether an error says that the process may not write to object storage.
fn writes_nothing(error: &io::Error) -> bool {
    matches!(ErrorKind::of(error), ErrorKind::Unauthorized | ErrorKind::Unfit)
}
