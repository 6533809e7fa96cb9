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
use super::runtime::wait_for;
use super::tries::Tries;
use crate::backend::Entry;
use crate::error_kind::Failure;
use crate::unique::unique;

/// What the names of objects begin with that the store makes for its own purposes.
pub(super) const OWN: &str = ".gimlet-";

/// An object, or what keys of objects begin with.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub connection: Arc<Connection>,
    pub key: Key,
}

impl Object {
    /// The object that `path` names in a bucket. Asks no server.
    ///
    /// # Errors
    /// When there is no key of this name.
    pub fn at(connection: Arc<Connection>, path: &Path) -> io::Result<Self> {
        let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let key = match cfg!(windows) {
            // `Path::join` puts them there.
            true => Key::parse(text.replace('\\', "/")),
            false => Key::parse(text),
        };
        let no_key = |error| Failure::failed(format!("not a path: {error}"));
        Ok(Self { connection, key: key.map_err(no_key)? })
    }

    /// Everything in it.
    pub fn read(&self) -> io::Result<Bytes> {
        self.ask(async || self.connection.store.get(&self.key).await?.bytes().await)
    }

    /// The first bytes of it, no more than `limit`.
    pub fn read_up_to(&self, limit: u64) -> io::Result<Bytes> {
        let options = GetOptions { range: Some((0..limit).into()), ..GetOptions::default() };
        let get = || self.connection.store.get_opts(&self.key, options.clone());
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
        let bytes = self.ask(|| self.connection.store.get_range(&self.key, range.clone()))?;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Its size in bytes; `None` when it is not there.
    pub fn size(&self) -> io::Result<Option<u64>> {
        match self.ask(|| self.connection.store.head(&self.key)) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What lies directly below it, sorted by name.
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

    /// Writes it, in place of whatever was there. Whether the server is fit has to be known by now.
    pub fn put(&self, bytes: Bytes) -> io::Result<()> {
        self.ask(|| self.connection.store.put(&self.key, bytes.clone().into())).map(|_| ())
    }

    /// Writes it once, without another try, to be waited for.
    pub async fn put_soon(&self, text: String) -> bool {
        self.connection.store.put(&self.key, text.into_bytes().into()).await.is_ok()
    }

    /// Writes it unless it is there. `false`: it was there, and is as it was. Whether the server is fit has to be
    /// known by now.
    ///
    /// An answer may be lost, and the put have been done; `object_store` itself tries again then. So what is
    /// there already may be ours: it has our bytes then. Who creates what others may create, too, with the
    /// same bytes, is none the worse for it.
    pub fn create(&self, bytes: Bytes) -> io::Result<bool> {
        let mut tries = Tries::begin();
        loop {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from(bytes.clone());
            let put = wait_for(self.connection.store.put_opts(&self.key, payload, options));
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
        self.ask(|| self.connection.store.copy(&self.key, &to.key))
    }

    /// Copies it to `to`, unless that is there. `false`: it was there, or the answer was lost that said it is now.
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
        match self.ask(|| self.connection.store.delete(&self.key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// One beside it for the store's own purposes, of which nobody else has the name.
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

    /// Asks for something that may be done twice. `object_store` tries a request again, but not all that it reads
    /// of an answer that ends too soon.
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
