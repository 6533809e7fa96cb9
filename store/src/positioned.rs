//! Reads a file at a position, from many threads at once.

use std::fs::File;
use std::io::{self, IoSliceMut};

/// Fills `out`, slice after slice, with the bytes of `file` from `offset` on, in one call of the system where possible.
pub(crate) fn read_exact_vectored_at(
    file: &File,
    mut out: &mut [IoSliceMut],
    mut offset: u64,
) -> io::Result<()> {
    IoSliceMut::advance_slices(&mut out, 0);
    while !out.is_empty() {
        match rustix::io::preadv(file, out, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                IoSliceMut::advance_slices(&mut out, read);
                offset += read as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Tells the system that these bytes will be read soon, so that it may begin to fetch them. Failure is no error.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn will_need(file: &File, offset: u64, length: u64) {
    let length = std::num::NonZeroU64::new(length);
    let _ = rustix::fs::fadvise(file, offset, length, rustix::fs::Advice::WillNeed);
}

/// Does nothing: this system takes no advice on reads.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(crate) fn will_need(_file: &File, _offset: u64, _length: u64) {}
