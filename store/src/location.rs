//! Locations: a store, a backend and a path within it.
//!
//! A path names its backend, as in fsspec. A path that begins with `s3://`, `gs://`, `az://` or `memory://` is a
//! bucket and a key. A path that begins with a mounted root lies in that backend. Everything else is a file of this
//! machine. Only [`Store::locate`] looks at how a path begins.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::backend::{Backend, Entry, Properties};
use crate::error::{Error, Result};
use crate::file_system::folder_of;
use crate::store::Store;

/// The schemes of object storage. `memory://` is for tests; its contents live as long as the store.
const SCHEMES: [&str; 4] = ["s3", "gs", "az", "memory"];

/// A file or a folder in a backend of a store. It need not exist.
#[derive(Clone)]
pub struct Location {
    store: Store,
    backend: Arc<dyn Backend>,
    path: PathBuf,
    /// How many bytes of the path name the backend.
    root: usize,
}

impl Store {
    /// Finds the backend of a path. Touches nothing, and asks no server.
    pub fn locate(&self, path: impl Into<PathBuf>) -> Location {
        let path = path.into();
        let other = path.to_str().and_then(|text| {
            let (scheme, rest) = text.split_once("://")?;
            let name = rest.split('/').next().unwrap_or_default();
            let root = scheme.len() + "://".len() + name.len();
            let known = SCHEMES.into_iter().find(|it| *it == scheme);
            let backend = self.other(&text[..root], known.map(|scheme| (scheme, name)))?;
            Some((backend, root + 1))
        });
        let (backend, root) = other.unwrap_or_else(|| (self.shared.disk.clone(), 0));
        Location { store: self.clone(), backend, path, root }
    }
}

/// Parses a path that you typed. A URL of object storage stays as it is; `file://` and text without a scheme are
/// paths of this machine.
///
/// # Errors
/// A message, when it is another kind of URL.
pub fn path_of(text: &str) -> Result<PathBuf, String> {
    match text.split_once("://") {
        None => Ok(text.into()),
        Some(("file", path)) if path.starts_with('/') => Ok(path.into()),
        Some(("file", _)) => Err("`file://` is followed by a path that begins with `/`".into()),
        Some((scheme @ ("s3" | "gs" | "az"), rest)) => match rest.split('/').next() {
            None | Some("") => Err(format!("`{scheme}://` is followed by the name of a bucket")),
            _ => Ok(text.trim_end_matches('/').into()),
        },
        Some((scheme, _)) => Err(format!(
            "`{scheme}://` is none of those that a store can lie at: s3://, gs://, az://, file://"
        )),
    }
}

impl Location {
    /// The whole path, as shown in messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path on this machine; `None` when it is not a file of this machine.
    pub fn on_disk(&self) -> Option<&Path> {
        (!self.properties().is_remote).then(|| self.within())
    }

    /// The store that this location belongs to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The properties of its backend.
    pub fn properties(&self) -> Properties {
        self.backend.properties()
    }

    /// The location `name` in this folder.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        Self { path: self.path.join(name), ..self.clone() }
    }

    /// The location `name` in the same folder as this one.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self { path: self.path.with_file_name(name), ..self.clone() }
    }

    /// The folder that holds this location.
    #[must_use]
    pub fn folder(&self) -> Self {
        Self { path: folder_of(&self.path).to_path_buf(), ..self.clone() }
    }

    /// The last component of the path; empty when there is none.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The entries of this folder, sorted by name; empty when it does not exist. Skips names that are not UTF-8.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        self.backend.list(self.within())
    }

    /// The names in this folder, sorted; empty when it does not exist. Costs less than [`Self::list`].
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.backend.names(self.within())
    }

    /// The folders in this folder, sorted, including links to folders; empty when it does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn folders(&self) -> io::Result<Vec<Self>> {
        let all = self.list()?.into_iter().map(|it| (self.join(&it.name), it));
        let is_one = |(at, it): &(Self, Entry)| {
            it.is_folder || (it.is_link && at.is_folder().unwrap_or(false))
        };
        Ok(all.filter(is_one).map(|(at, _)| at).collect())
    }

    /// The size in bytes, if this is a plain file; `None` otherwise.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn size(&self) -> io::Result<Option<u64>> {
        self.backend.size(self.within())
    }

    /// Whether this is an existing plain file.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_file(&self) -> io::Result<bool> {
        Ok(self.size()?.is_some())
    }

    /// Whether this is an existing folder.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_folder(&self) -> io::Result<bool> {
        self.backend.is_folder(self.within())
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// `NotFound` when it is not there; when it cannot be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        self.backend.read(self.within())
    }

    /// Reads the whole file as text.
    ///
    /// # Errors
    /// The errors of [`Self::read`]; `InvalidData` when it is not UTF-8.
    pub fn read_to_string(&self) -> io::Result<String> {
        String::from_utf8(self.read()?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Reads up to `limit` bytes from the start of a plain file. Refuses links.
    ///
    /// # Errors
    /// The errors of [`Self::read`]; `InvalidInput` when it is not a plain file.
    pub fn read_up_to(&self, limit: u64) -> io::Result<Vec<u8>> {
        self.backend.read_up_to(self.within(), limit)
    }

    /// How long ago `modified` was, by the clock of the backend. The age is zero when `modified` is in the future.
    ///
    /// # Errors
    /// When a server does not tell its time.
    pub fn age(&self, modified: SystemTime) -> io::Result<Duration> {
        Ok(self.backend.now(self.within())?.duration_since(modified).unwrap_or_default())
    }

    /// The free bytes at this location, where that is known. The location need not exist.
    pub fn free_bytes(&self) -> Option<u64> {
        self.backend.free_bytes(self.within())
    }

    /// Writes a file that must not exist yet. Returns `false` if it existed; then it is unchanged.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written; then the file does not exist.
    pub fn create(&self, bytes: &[u8]) -> Result<bool> {
        self.backend.create(self.within(), bytes)
    }

    /// Writes a file in one step, in place of whatever was there.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written; then the old file is still there.
    pub fn replace(&self, bytes: &[u8]) -> Result<()> {
        self.store.shared.manifests.forget(&self.path);
        self.backend.replace(self.within(), bytes)
    }

    /// Overwrites an existing file in place, so that leases on it stay valid.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written.
    pub fn overwrite(&self, bytes: &[u8]) -> Result<()> {
        self.backend.overwrite(self.within(), bytes)
    }

    /// Renames a file within its backend, in place of another. It is durable once a later change in that folder is.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be renamed; then nothing has changed.
    pub fn rename(&self, to: &Self) -> Result<()> {
        self.backend.rename(self.within(), to.within())
    }

    /// Removes a file; it may be missing.
    ///
    /// # Errors
    /// `Denied` or `Failed` when it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        self.store.shared.manifests.forget(&self.path);
        self.backend.remove(self.within())
    }

    /// Creates this folder and those above it, and makes their names durable.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when a folder cannot be created.
    pub fn create_folder(&self) -> Result<()> {
        self.backend.create_folder(self.within())
    }

    /// Removes the temporary files that dead writers left in this folder; those of living writers stay. Does nothing
    /// where that is expensive; `gc` does it then.
    ///
    /// # Errors
    /// `Denied` or `Failed` when the folder cannot be listed, or a file in it cannot be removed.
    pub fn remove_dead_temps(&self) -> Result<()> {
        self.backend.remove_dead_temps(self.within())
    }

    /// The names of the files in this folder on which there may be leases.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn leased_names(&self) -> io::Result<Vec<String>> {
        self.backend.leased_names(self.within())
    }

    /// The size in bytes of a file that [`Backend::open`] would open.
    pub(crate) fn plain_size(&self) -> io::Result<u64> {
        match self.backend.open(self.within())? {
            Some(file) => Ok(file.metadata()?.len()),
            None => self.size()?.ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    /// Refuses a folder that is a link: the files in it would lie elsewhere.
    pub(crate) fn check_no_link(&self) -> Result<()> {
        // If the folder does not exist, reading its files will fail.
        match self.backend.is_link(self.within()) {
            true => Err(Error::damaged(&self.path, "it is a link, which may lead anywhere")),
            false => Ok(()),
        }
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// The path within the backend.
    pub(crate) fn within(&self) -> &Path {
        match self.root {
            0 => &self.path,
            root => Path::new(self.path.to_str().and_then(|it| it.get(root..)).unwrap_or_default()),
        }
    }

    /// The error of an operation on this location. `action` is a verb that follows "cannot".
    pub(crate) fn error(&self, action: &str, error: &io::Error) -> Error {
        Error::io(&self.path, action, error).with_free(|| self.free_bytes())
    }

    /// The names in this folder, with the error of the store.
    pub(crate) fn names_in(&self) -> Result<Vec<String>> {
        self.names().map_err(|error| self.error("list", &error))
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

/// Locations are equal when their paths are equal, whatever their stores.
impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Location {}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}
