//! Uploads files of this machine as objects.
//!
//! A large file is uploaded in parts under a temporary name. It gets its final name by a copy within the server that
//! fails when the name is taken, because an upload in parts has no such condition. A small file is put at once.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use bytes::Bytes;
use object_store::{ObjectStoreExt, WriteMultipart};

use super::conditional_put_check::check_server;
use super::object::Object;
use super::runtime::wait_for;
use crate::error_kind::Failure;
use crate::unique::unique;

/// Bytes per part of an upload. An upload has at most 10,000 parts, so 156 GB; S3 copies at most 5 GiB.
const PART: usize = 16 << 20;

/// Parts that are sent at the same time.
const AT_ONCE: usize = 4;

/// Uploads `file` to `object`, unless that exists. Returns `false` if it existed; then it is unchanged.
pub(super) fn create(object: &Object, file: &Path) -> io::Result<bool> {
    let creates_by_copy = check_server(object)?;
    let mut source = File::open(file)?;
    let bytes = source.metadata()?.len();
    if bytes <= PART as u64 || !creates_by_copy {
        return object.create(whole(&mut source)?);
    }
    let name = object.key.filename().unwrap_or_default();
    let temp = object.beside(&format!(".{name}.{:016x}.tmp", unique()));
    upload(&temp, &mut source)?;
    let copied = temp.copy_new(object);
    // If it stays, it is removed later like that of a dead writer.
    let _ = temp.remove();
    match copied {
        Ok(true) => Ok(true),
        // The object exists, perhaps from our copy whose answer was lost. The caller compares the bytes.
        _ if object.size()?.is_some() => Ok(false),
        // Two copies ran at once, and the server did not decide which is first.
        Ok(false) => object.create(whole(&mut source)?),
        Err(error) => Err(error),
    }
}

/// Uploads `file` to `object`, in place of whatever was there.
pub(super) fn put(object: &Object, file: &Path) -> io::Result<()> {
    check_server(object)?;
    let mut source = File::open(file)?;
    if source.metadata()?.len() <= PART as u64 {
        return object.put(whole(&mut source)?);
    }
    upload(object, &mut source)
}

/// Uploads in parts, to a name that no other process uses or whose object is to be replaced.
fn upload(object: &Object, source: &mut File) -> io::Result<()> {
    let bytes = source.metadata()?.len();
    let begun = object.ask(|| object.connection.store.put_multipart(&object.key))?;
    let mut upload = WriteMultipart::new_with_chunk_size(begun, PART);
    loop {
        let mut part = Vec::with_capacity(PART);
        source.take(PART as u64).read_to_end(&mut part)?;
        if part.is_empty() {
            break;
        }
        let room = wait_for(async {
            upload.wait_for_capacity(AT_ONCE).await?;
            upload.put(Bytes::from(part));
            Ok(())
        });
        if let Err(error) = room {
            // Ask the server to forget the parts; otherwise they cost money until they are removed.
            let _ = wait_for(upload.abort());
            return Err(Failure::of(&error).into());
        }
    }
    match wait_for(upload.finish()) {
        Ok(_) => Ok(()),
        // The answer may have been lost: a server forgets an upload once it is complete.
        Err(_) if object.size().ok().flatten() == Some(bytes) => Ok(()),
        Err(error) => Err(Failure::of(&error).into()),
    }
}

fn whole(source: &mut File) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    source.rewind()?;
    source.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
