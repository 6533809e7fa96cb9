//! Objects: what lies on object storage instead of a disk, under a path such as `s3://bucket/runs/a`.
//!
//! A path names its backend, as in fsspec: one that begins with `s3://`, `gs://`, `az://` or
//! `memory://` is a bucket and a key. All else of the store joins, splits and shows such paths as it
//! does those of files. `memory://` lives as long as the process, for tests.
//!
//! Names of objects are not folders' entries: a folder is what the keys below it have in common, is there
//! when one of them is, and needs neither making nor removing.

mod bucket;
mod clock;
mod connect;
mod failure;
mod held;
mod probe;
mod runtime;
mod scratch;
mod temps;
mod tries;
mod upload;

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

use crate::files::Entry;
use bucket::Bucket;
pub(crate) use failure::Failure;
pub(crate) use held::{Held, LEASES};
use runtime::wait_for;
pub use scratch::cache_folder;
pub(crate) use scratch::uploads;
pub(crate) use temps::dead_temps;
use tries::Tries;

/// The schemes of paths that name objects.
const SCHEMES: [&str; 4] = ["s3", "gs", "az", "memory"];

/// An object, or what keys of objects begin with.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    bucket: Arc<Bucket>,
    key: Key,
}

/// The scheme, the bucket and the key of a path that names an object.
fn split(path: &Path) -> Option<(&'static str, &str, &str)> {
    let text = path.to_str()?;
    let (scheme, rest) = text.split_once("://")?;
    let scheme = SCHEMES.into_iter().find(|it| *it == scheme)?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    Some((scheme, bucket, key))
}

/// Whether a path names an object rather than a file.
pub fn is_url(path: &Path) -> bool {
    split(path).is_some()
}

impl Object {
    /// The object that `path` names; `None` when it names a file. Asks no server.
    ///
    /// # Errors
    /// When there is no bucket or key of this name, or the environment does not say how to reach the
    /// server.
    pub fn of(path: &Path) -> Option<io::Result<Self>> {
        let (scheme, bucket, key) = split(path)?;
        let key = match cfg!(windows) {
            // `Path::join` puts them there.
            true => Key::parse(key.replace('\\', "/")),
            false => Key::parse(key),
        };
        let key = key.map_err(|error| Failure::failed(format!("not a path: {error}")).into());
        Some(key.and_then(|key| Ok(Self { bucket: bucket::open(scheme, bucket)?, key })))
    }

    /// Everything in it.
    pub fn read(&self) -> io::Result<Bytes> {
        self.ask(async || self.bucket.store.get(&self.key).await?.bytes().await)
    }

    /// The first bytes of it, no more than `limit`.
    pub fn read_up_to(&self, limit: u64) -> io::Result<Bytes> {
        let options = GetOptions { range: Some((0..limit).into()), ..GetOptions::default() };
        let get = || self.bucket.store.get_opts(&self.key, options.clone());
        let read = self.ask(async || get().await?.bytes().await);
        match read {
            // Servers know no part of what is empty.
            Err(_) if self.size().ok().flatten() == Some(0) => Ok(Bytes::new()),
            read => read,
        }
    }

    /// The bytes of a range, all of them.
    pub fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let length = range.end - range.start;
        let bytes = self.ask(|| self.bucket.store.get_range(&self.key, range.clone()))?;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Calls `take` with all its bytes from `offset` on, piece by piece.
    pub fn read_all(&self, offset: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        const PIECE: u64 = 16 << 20;
        let size = self.size()?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut at = offset;
        while at < size {
            let end = size.min(at + PIECE);
            take(&self.read_range(at..end)?);
            at = end;
        }
        Ok(())
    }

    /// Its size in bytes; `None` when it is not there.
    pub fn size(&self) -> io::Result<Option<u64>> {
        match self.ask(|| self.bucket.store.head(&self.key)) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What lies directly below it, sorted by name.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        let found = self.ask(|| self.bucket.store.list_with_delimiter(Some(&self.key)))?;
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
        let first = || self.bucket.store.list(Some(&self.key));
        Ok(self.ask(async || first().try_next().await)?.is_some())
    }

    /// Writes it, in place of whatever was there.
    pub fn put(&self, bytes: Vec<u8>) -> io::Result<()> {
        self.bucket.ability(self)?;
        let bytes = Bytes::from(bytes);
        self.ask(|| self.bucket.store.put(&self.key, bytes.clone().into())).map(|_| ())
    }

    /// The same, to be waited for; whether the server is fit is known by now.
    async fn put_soon(&self, text: String) -> bool {
        self.bucket.store.put(&self.key, text.into_bytes().into()).await.is_ok()
    }

    /// Writes it unless it is there. `false`: it was there, and is as it was.
    pub fn create(&self, bytes: Vec<u8>) -> io::Result<bool> {
        self.bucket.ability(self)?;
        self.create_unchecked(bytes.into())
    }

    /// The same, before it is known whether the server can do it.
    ///
    /// An answer may be lost, and the put have been done; `object_store` itself tries again then. So what is
    /// there already may be ours: it has our bytes then. Who creates what others may create, too, with the
    /// same bytes, is none the worse for it.
    fn create_unchecked(&self, bytes: Bytes) -> io::Result<bool> {
        let mut tries = Tries::begin();
        loop {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from(bytes.clone());
            let put = wait_for(self.bucket.store.put_opts(&self.key, payload, options));
            match put {
                Ok(_) => return Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => match self.read() {
                    // S3 says the same of two puts at once of which it is not decided yet who is first.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && tries.again() => {}
                    read => return Ok(read? == bytes),
                },
                Err(error) => tries.after(&error)?,
            }
        }
    }

    /// Copies it to `to`, in place of whatever was there.
    pub fn copy(&self, to: &Self) -> io::Result<()> {
        self.ask(|| self.bucket.store.copy(&self.key, &to.key))
    }

    /// Copies it to `to`, unless that is there. `false`: it was there, or the answer was lost that said it is now.
    fn copy_new(&self, to: &Self) -> io::Result<bool> {
        let mut tries = Tries::begin();
        loop {
            let options = CopyOptions::new().with_mode(CopyMode::Create);
            match wait_for(self.bucket.store.copy_opts(&self.key, &to.key, options)) {
                Ok(()) => return Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => return Ok(false),
                Err(error) => tries.after(&error)?,
            }
        }
    }

    /// Removes it; it may be missing.
    pub fn remove(&self) -> io::Result<()> {
        match self.ask(|| self.bucket.store.delete(&self.key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The time by the server's clock, by which all ages on it are reckoned.
    pub fn server_time(&self) -> io::Result<SystemTime> {
        self.bucket.server_time(self)
    }

    /// One beside it for the store's own purposes, of which nobody else has the name.
    fn own(&self, purpose: &str) -> Self {
        self.beside(&format!("{}{purpose}-{:016x}", temps::OWN, crate::durable::unique()))
    }

    fn folder(&self) -> Self {
        let mut parts: Vec<_> = self.key.parts().collect();
        parts.pop();
        Self { bucket: self.bucket.clone(), key: parts.into_iter().collect() }
    }

    fn beside(&self, name: &str) -> Self {
        self.folder().below(name)
    }

    fn below(&self, name: &str) -> Self {
        Self { bucket: self.bucket.clone(), key: self.key.clone().join(name) }
    }

    /// Asks for something that may be done twice. `object_store` tries a request again, but not all that it reads
    /// of an answer that ends too soon.
    fn ask<T, Answer>(&self, request: impl Fn() -> Answer) -> io::Result<T>
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
