//! Where something lies: a store, a backend and a path within it.
//!
//! A path names its backend, as in fsspec: one that begins with `s3://`, `gs://`, `az://` or `memory://` is a
//! bucket and a key, one that begins as what was mounted lies there, and all else is a file of this machine.
//! [`Store::locate`] alone looks at how a path begins.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::backend::{Backend, Entry, Properties};
use crate::error::{Error, Result};
use crate::file_system::folder_of;
use crate::store::Store;

/// The schemes of object storage. `memory://` lives as long as its store, for tests.
const SCHEMES: [&str; 4] = ["s3", "gs", "az", "memory"];

/// A file or a folder, there or not, in a backend of a store.
#[derive(Clone)]
pub struct Location {
    store: Store,
    backend: Arc<dyn Backend>,
    path: PathBuf,
    /// How many bytes of the path name the backend.
    root: usize,
}

impl Store {
    /// Where a path leads. Touches nothing, and asks no server.
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
        let (backend, root) = other.unwrap_or_else(|| (self.disk().clone(), 0));
        Location { store: self.clone(), backend, path, root }
    }
}

/// The path that a person means by `text`: a URL of object storage as it is, `file://` as a path of this
/// machine, and all else as a path.
///
/// # Errors
/// In words, when it is a URL of something else.
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
    /// The whole path, as it is shown.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path on this machine; `None` where it is on another.
    pub fn on_disk(&self) -> Option<&Path> {
        (!self.properties().is_remote).then(|| self.within())
    }

    /// The store through which it is reached.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How its backend differs from others.
    pub fn properties(&self) -> Properties {
        self.backend.properties()
    }

    /// What is called `name` in this folder.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        Self { path: self.path.join(name), ..self.clone() }
    }

    /// What is called `name` beside this.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self { path: self.path.with_file_name(name), ..self.clone() }
    }

    /// The folder that holds it.
    #[must_use]
    pub fn folder(&self) -> Self {
        Self { path: folder_of(&self.path).to_path_buf(), ..self.clone() }
    }

    /// Its name in that folder; empty when it has none.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What this folder holds, sorted by name; nothing when it does not exist. A name that is not UTF-8 is none
    /// of the store's.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        self.backend.list(self.within())
    }

    /// The names in this folder, sorted; none when it does not exist. Costs less than [`Self::list`].
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.backend.names(self.within())
    }

    /// The folders in this folder, sorted, links to folders among them; none when it does not exist.
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

    /// The size of a plain file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn size(&self) -> io::Result<Option<u64>> {
        self.backend.size(self.within())
    }

    /// Whether there is a plain file.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_file(&self) -> io::Result<bool> {
        Ok(self.size()?.is_some())
    }

    /// Whether there is a folder.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_folder(&self) -> io::Result<bool> {
        self.backend.is_folder(self.within())
    }

    /// A whole file.
    ///
    /// # Errors
    /// `NotFound` when it is not there; when it cannot be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        self.backend.read(self.within())
    }

    /// A whole file of text.
    ///
    /// # Errors
    /// As [`Self::read`]; `InvalidData` when it is not UTF-8.
    pub fn read_to_string(&self) -> io::Result<String> {
        String::from_utf8(self.read()?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The first bytes of a plain file, no more than `limit`. Links are refused.
    ///
    /// # Errors
    /// As [`Self::read`]; `InvalidInput` of what is no plain file.
    pub fn read_up_to(&self, limit: u64) -> io::Result<Vec<u8>> {
        self.backend.read_up_to(self.within(), limit)
    }

    /// How long ago `modified` was, by the clock of whatever stores this. What comes from the future is new.
    ///
    /// # Errors
    /// When a server does not say what time it is.
    pub fn age(&self, modified: SystemTime) -> io::Result<Duration> {
        Ok(self.backend.now(self.within())?.duration_since(modified).unwrap_or_default())
    }

    /// The bytes that may still be written where this is or would be, where that is known.
    pub fn free_bytes(&self) -> Option<u64> {
        self.backend.free_bytes(self.within())
    }

    /// Writes a file that must not exist yet. `false`: it existed, and is as it was.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written; there is no such file then.
    pub fn create(&self, bytes: &[u8]) -> Result<bool> {
        self.backend.create(self.within(), bytes)
    }

    /// Writes a file in one step, in place of whatever was there.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written; what was there is there still.
    pub fn replace(&self, bytes: &[u8]) -> Result<()> {
        self.store.manifests().forget(&self.path);
        self.backend.replace(self.within(), bytes)
    }

    /// Writes to the file that is there, and keeps leases on it.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written.
    pub fn overwrite(&self, bytes: &[u8]) -> Result<()> {
        self.backend.overwrite(self.within(), bytes)
    }

    /// Gives a file another name in its backend, in place of whatever had that name. It is durable once something
    /// else in that folder is.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot; nothing has changed then.
    pub fn rename(&self, to: &Self) -> Result<()> {
        self.backend.rename(self.within(), to.within())
    }

    /// Removes a file; it may be missing.
    ///
    /// # Errors
    /// `Denied` or `Failed` when it is still there.
    pub fn remove(&self) -> Result<()> {
        self.store.manifests().forget(&self.path);
        self.backend.remove(self.within())
    }

    /// Creates this folder and those above it, and makes their names durable.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when a folder cannot be created.
    pub fn create_folder(&self) -> Result<()> {
        self.backend.create_folder(self.within())
    }

    /// Removes the temporary files that dead writers left in this folder; those of living ones stay. Where that
    /// would cost much it is left to `gc`.
    ///
    /// # Errors
    /// `Denied` or `Failed` when the folder cannot be listed, or a file in it not removed.
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

    /// The size of a file that [`Backend::open`] would open.
    pub(crate) fn plain_size(&self) -> io::Result<u64> {
        match self.backend.open(self.within())? {
            Some(file) => Ok(file.metadata()?.len()),
            None => self.size()?.ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    /// Refuses a folder that is a link: the files in it would lie elsewhere.
    pub(crate) fn check_no_link(&self) -> Result<()> {
        // Of a folder that is not there, each file will be missed.
        match self.backend.is_link(self.within()) {
            true => Err(Error::damaged(&self.path, "it is a link, which may lead anywhere")),
            false => Ok(()),
        }
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Its path within the backend.
    pub(crate) fn within(&self) -> &Path {
        match self.root {
            0 => &self.path,
            root => Path::new(self.path.to_str().and_then(|it| it.get(root..)).unwrap_or_default()),
        }
    }

    /// That something could not be done with it; `action` reads after "cannot".
    pub(crate) fn error(&self, action: &str, error: &io::Error) -> Error {
        Error::io(&self.path, action, error).with_free(|| self.free_bytes())
    }

    /// The names in this folder, with the error in words.
    pub(crate) fn names_in(&self) -> Result<Vec<String>> {
        self.names().map_err(|error| self.error("list", &error))
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

/// Locations are equal when their paths are, through whichever store.
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
