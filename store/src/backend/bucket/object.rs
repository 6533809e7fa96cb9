//! An object, and the requests for it.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{
    CopyMode, CopyOptions, GetOptions, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use super::connection::Connection;
use super::retries::Tries;
use super::runtime::wait_for;
use crate::backend::Entry;
use crate::error_kind::Failure;
use crate::file_system::if_there;
use crate::unique::unique;

/// The prefix of names of objects that the store makes for its own purposes.
pub(super) const OWN: &str = ".gimlet-";

/// An object, or a common prefix of keys.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub connection: Arc<Connection>,
    pub key: Key,
}

impl Object {
    /// The object at `path` in a bucket. Asks no server.
    ///
    /// # Errors
    /// When the path is not a valid key.
    pub fn at(connection: Arc<Connection>, path: &Path) -> io::Result<Self> {
        let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let no_key = |error| Failure::failed(format!("not a path: {error}"));
        Ok(Self { connection, key: Key::parse(text).map_err(no_key)? })
    }

    /// Reads the whole object.
    pub fn read(&self) -> io::Result<Bytes> {
        self.ask(async || self.connection.store.get(&self.key).await?.bytes().await)
    }

    /// Reads up to `limit` bytes from its start.
    pub fn read_up_to(&self, limit: u64) -> io::Result<Bytes> {
        let options = GetOptions { range: Some((0..limit).into()), ..GetOptions::default() };
        let get = || self.connection.store.get_opts(&self.key, options.clone());
        let read = self.ask(async || get().await?.bytes().await);
        match read {
            // Servers refuse a range of an empty object.
            Err(_) if self.size().ok().flatten() == Some(0) => Ok(Bytes::new()),
            read => read,
        }
    }

    /// Reads all bytes of a range.
    pub fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let length = range.end - range.start;
        let bytes = self.ask(|| self.connection.store.get_range(&self.key, range.clone()))?;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The size in bytes; `None` when the object does not exist.
    pub fn size(&self) -> io::Result<Option<u64>> {
        let meta = if_there(self.ask(|| self.connection.store.head(&self.key)))?;
        Ok(meta.map(|meta| meta.size))
    }

    /// The entries directly below it, sorted by name.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        let found = self.ask(|| self.connection.store.list_with_delimiter(Some(&self.key)))?;
        let folders = found.common_prefixes.iter().filter_map(|it| it.filename());
        let folders = folders.map(|name| Entry {
            name: name.to_owned(),
            size: 0,
            modified: None,
            is_folder: true,
            is_link: false,
        });
        let objects = found.objects.iter().filter_map(|meta| {
            let name = meta.location.filename()?.to_owned();
            let modified = Some(SystemTime::from(meta.last_modified));
            Some(Entry { name, size: meta.size, modified, is_folder: false, is_link: false })
        });
        let mut entries: Vec<Entry> = folders.chain(objects).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Whether any key lies below it.
    pub fn is_folder(&self) -> io::Result<bool> {
        let first = || self.connection.store.list(Some(&self.key));
        Ok(self.ask(async || first().try_next().await)?.is_some())
    }

    /// Writes it, in place of whatever was there. The server must have passed the probe.
    pub fn put(&self, bytes: Bytes) -> io::Result<()> {
        self.ask(|| self.connection.store.put(&self.key, bytes.clone().into())).map(|_| ())
    }

    /// Writes it once, without retries; returns whether that succeeded.
    pub async fn put_soon(&self, text: String) -> bool {
        self.connection.store.put(&self.key, text.into_bytes().into()).await.is_ok()
    }

    /// Writes it unless it exists; `false` if it did, and is unchanged. The server must have passed the probe.
    ///
    /// The answer to a put that succeeded may be lost, and then `object_store` itself tries again. So an object that
    /// already exists may be ours, and then it has our bytes. If another process created it with the same bytes,
    /// counting it as ours does no harm.
    pub fn create(&self, bytes: Bytes) -> io::Result<bool> {
        let mut tries = Tries::begin();
        loop {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from(bytes.clone());
            let put = wait_for(self.connection.store.put_opts(&self.key, payload, options));
            match put {
                Ok(_) => return Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => match self.read() {
                    // S3 also gives this error while two puts run at once and it has not decided which is first.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && tries.again() => {}
                    read => return Ok(read? == bytes),
                },
                Err(error) => tries.after(&error)?,
            }
        }
    }

    /// Copies it to `to`, in place of whatever was there.
    pub fn copy(&self, to: &Self) -> io::Result<()> {
        self.ask(|| self.connection.store.copy(&self.key, &to.key))
    }

    /// Copies it to `to`, unless that exists. `false` if it did, or if this copy made it and the answer was lost.
    pub fn copy_new(&self, to: &Self) -> io::Result<bool> {
        let mut tries = Tries::begin();
        loop {
            let options = CopyOptions::new().with_mode(CopyMode::Create);
            match wait_for(self.connection.store.copy_opts(&self.key, &to.key, options)) {
                Ok(()) => return Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => return Ok(false),
                Err(error) => tries.after(&error)?,
            }
        }
    }

    /// Removes it; it may be missing.
    pub fn remove(&self) -> io::Result<()> {
        if_there(self.ask(|| self.connection.store.delete(&self.key))).map(drop)
    }

    /// An object beside it for the store's own purposes, with a name that no other process uses.
    pub fn own(&self, purpose: &str) -> Self {
        self.beside(&format!("{OWN}{purpose}-{:016x}", unique()))
    }

    pub fn folder(&self) -> Self {
        let mut parts: Vec<_> = self.key.parts().collect();
        parts.pop();
        Self { connection: self.connection.clone(), key: parts.into_iter().collect() }
    }

    pub fn beside(&self, name: &str) -> Self {
        self.folder().below(name)
    }

    pub fn below(&self, name: &str) -> Self {
        Self { connection: self.connection.clone(), key: self.key.clone().join(name) }
    }

    /// Sends a request that may be done twice, and retries it, also at answers that end too soon.
    pub fn ask<T, Answer>(&self, request: impl Fn() -> Answer) -> io::Result<T>
    where
        Answer: Future<Output = object_store::Result<T>>,
    {
        let mut tries = Tries::begin();
        loop {
            match wait_for(request()) {
                Ok(found) => return Ok(found),
                Err(error) => tries.after(&error)?,
            }
        }
    }
}
