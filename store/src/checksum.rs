//! The checksum of a Parquet page.

use crc_fast::CrcAlgorithm::Crc32IsoHdlc;

/// CRC-32 with the polynomial of gzip.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::checksum(Crc32IsoHdlc, bytes) as u32
}

/// [`crc32`] of bytes that lie in several places.
pub(crate) fn crc32_of_all(places: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(Crc32IsoHdlc);
    places.iter().for_each(|bytes| digest.update(bytes));
    digest.finalize() as u32
}
