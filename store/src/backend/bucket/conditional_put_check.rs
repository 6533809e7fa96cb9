//! Finds out whether a server can be written to safely.
//!
//! Commits are puts that fail when the name is taken (`If-None-Match: *` of S3). Some servers ignore the condition.
//! Others check first and write then, so several writers at once can succeed. On both, one writer would replace what
//! another has committed. So before anything else is written, the probe creates one object twice in a row, and
//! another one from many threads at once.

use std::io;

use bytes::Bytes;

use super::object::Object;
use crate::error_kind::{ErrorKind, Failure};

/// The number of writers at once, and how often they race.
const WRITERS: usize = 16;
const RACES: usize = 2;

/// Whether the server also has copies that fail when the name is taken. Refuses a server on which one writer could
/// replace what another has committed. Asks once, in the folder of `object`: the credentials may allow no other.
///
/// # Errors
/// `Unfit` when two can create one object; `Unauthorized`, `NoBucket` or `Unreachable` when it cannot be asked.
pub(super) fn check_server(object: &Object) -> io::Result<bool> {
    let mut known = object.connection.creates_by_copy.lock();
    match *known {
        Some(creates_by_copy) => Ok(creates_by_copy),
        None => Ok(*known.insert(probe(object)?)),
    }
}

/// Finds out what the server of `near` can do, with objects beside `near`.
fn probe(near: &Object) -> io::Result<bool> {
    let twice = near.own("probe");
    let found = check_twice(&twice).and_then(|()| creates_by_copy(&twice));
    let _ = twice.remove();
    let creates_by_copy = found?;
    for _ in 0..RACES {
        let contested = near.own("probe");
        let winners = race(&contested);
        let _ = contested.remove();
        let winners = winners?;
        if winners != 1 {
            let what = format!(
                "of {WRITERS} writers that created one object at once, {winners} were told that they had: \
                 its server does not honour `If-None-Match` when it matters, so that one writer could \
                 replace what another has committed"
            );
            return Err(unfit(near, &what));
        }
    }
    Ok(creates_by_copy)
}

fn check_twice(object: &Object) -> io::Result<()> {
    object.create(Bytes::from_static(b"first"))?;
    if object.create(Bytes::from_static(b"second"))? {
        let what = "an object that was there was created a second time: its server takes no notice of \
                    `If-None-Match`, so that one writer could replace what another has committed";
        return Err(unfit(object, what));
    }
    Ok(())
}

/// Whether a copy to a name that is taken fails. This ability is optional.
fn creates_by_copy(from: &Object) -> io::Result<bool> {
    let to = from.own("probe");
    // The second copy finds the name taken.
    let again = from.copy_new(&to).and_then(|_| from.copy_new(&to));
    let _ = to.remove();
    match again {
        Ok(copied) => Ok(!copied),
        Err(error) if ErrorKind::of(&error) == ErrorKind::Unreachable => Err(error),
        // The server has no copies with a condition.
        Err(_) => Ok(false),
    }
}

/// Lets several writers create an object at once; returns how many succeeded.
fn race(object: &Object) -> io::Result<usize> {
    let writers = 0..WRITERS;
    std::thread::scope(|scope| {
        let create = |number: usize| object.create(format!("writer {number}").into());
        let racing: Vec<_> = writers.map(|number| scope.spawn(move || create(number))).collect();
        let mut winners = 0;
        for writer in racing {
            let panicked = || Failure::failed("a thread of the probe has panicked").into();
            winners += usize::from(writer.join().unwrap_or_else(|_| Err(panicked()))?);
        }
        Ok(winners)
    })
}

fn unfit(object: &Object, what: &str) -> io::Error {
    let url = &object.connection.url;
    Failure::new(ErrorKind::Unfit, format!("`{url}` is not safe to write to: {what}")).into()
}
