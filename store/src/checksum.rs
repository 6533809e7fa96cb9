//! The checksum of a Parquet page.

use crc_fast::CrcAlgorithm::Crc32IsoHdlc;
use crc_fast::Digest;

/// CRC-32 with the polynomial of gzip.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::checksum(Crc32IsoHdlc, bytes) as u32
}

/// [`crc32`] over bytes that arrive in pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crc32(Digest);

impl Crc32 {
    /// Starts a checksum with `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Digest::new(Crc32IsoHdlc);
        digest.update(bytes);
        Self(digest)
    }

    /// Adds the next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        // Even an empty piece takes time.
        if !bytes.is_empty() {
            self.0.update(bytes);
        }
    }

    /// The checksum of all pieces.
    pub fn finish(self) -> u32 {
        self.0.finalize() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_pieces_it_is_the_same() {
        let bytes: Vec<u8> = (0..1000u32).map(|it| (it * it) as u8).collect();
        for (a, b) in [(0, 0), (0, 1), (37, 38), (500, 1000), (1000, 1000)] {
            let mut crc = Crc32::of(&bytes[..a]);
            crc.add(&bytes[a..b]);
            crc.add(&bytes[b..]);
            assert_eq!(crc.finish(), crc32(&bytes));
        }
    }
}
