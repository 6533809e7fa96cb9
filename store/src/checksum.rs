//! The checksum of a Parquet page.

use crc_fast::CrcAlgorithm::Crc32IsoHdlc;

/// CRC-32 with the polynomial of gzip.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::checksum(Crc32IsoHdlc, bytes) as u32
}
