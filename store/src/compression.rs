//! How the pages of a tensor column are compressed, and how `auto` chooses.

use std::fmt;

use lz4_flex::block as lz4;
use serde::{Deserialize, Serialize};
use zstd::bulk as zstd_bulk;

/// The compression of a tensor column's pages, each page by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// No compression: values lie in the file as they are in memory.
    #[default]
    None,
    /// LZ4 blocks (Parquet's `LZ4_RAW`).
    Lz4,
    /// Zstandard, level 1.
    Zstd,
}

/// The compression that a writer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionSetting {
    /// All tensor columns use this compression.
    Fixed(Compression),
    /// Each tensor column uses the compression that suits the rows of the first row group.
    Auto,
}

/// What [`CompressionSetting::Auto`] measured on the first row group, and chose.
///
/// The choice depends only on sizes, so it is the same on every machine: the key must determine the bytes of a part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CompressionChoice {
    /// The chosen compression.
    pub chosen: Compression,
    /// Rows measured.
    pub rows: u64,
    /// Bytes with LZ4, as a fraction of the uncompressed bytes.
    pub lz4: f64,
    /// Bytes with Zstandard, as a fraction of the uncompressed bytes.
    pub zstd: f64,
}

/// The largest fraction of the bytes that a compression may leave to be worth using. Below it, reading at 1 GB/s from
/// disk while each thread decompresses at 1 GB/s is no slower.
const WORTH: f64 = 0.8;

/// Zstandard decompresses at a third of LZ4's speed, and must save this much more.
const ZSTD_OVER_LZ4: f64 = 0.9;

const ZSTD_LEVEL: i32 = 1;

impl Compression {
    /// The name that pipeline files, manifests and tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    pub(crate) fn parquet(self) -> parquet::basic::Compression {
        match self {
            Self::None => parquet::basic::Compression::UNCOMPRESSED,
            Self::Lz4 => parquet::basic::Compression::LZ4_RAW,
            Self::Zstd => parquet::basic::Compression::ZSTD(Default::default()),
        }
    }

    /// The most bytes that `length` bytes can become.
    pub(crate) fn most(self, length: usize) -> usize {
        match self {
            Self::None => length,
            Self::Lz4 => lz4::get_maximum_output_size(length),
            Self::Zstd => zstd::zstd_safe::compress_bound(length),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl CompressionChoice {
    pub(crate) fn of(rows: usize, none: usize, lz4: usize, zstd: usize) -> Self {
        let (lz4, zstd) = (lz4 as f64 / none as f64, zstd as f64 / none as f64);
        let chosen = match () {
            () if zstd <= WORTH && zstd <= ZSTD_OVER_LZ4 * lz4 => Compression::Zstd,
            () if lz4 <= WORTH => Compression::Lz4,
            () => Compression::None,
        };
        Self { chosen, rows: rows as u64, lz4, zstd }
    }
}

impl fmt::Display for CompressionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.chosen {
            Compression::None => "neither saves a fifth",
            Compression::Lz4 => "zstd does not save a tenth more",
            Compression::Zstd => "it saves the most",
        };
        let (chosen, rows) = (self.chosen.name(), self.rows);
        let (lz4, zstd) = (100.0 * self.lz4, 100.0 * self.zstd);
        write!(
            f,
            "{chosen}: of the first {rows} rows lz4 leaves {lz4:.0} %, zstd {zstd:.0} %: {why}"
        )
    }
}

/// Compresses and decompresses; keeps its state for reuse.
#[derive(Default)]
pub(crate) struct Codec {
    lz4: lz4::CompressTable,
    compressor: Option<zstd_bulk::Compressor<'static>>,
    decompressor: Option<zstd_bulk::Decompressor<'static>>,
}

impl Codec {
    /// Compresses `from` into the front of `to`, which has [`Compression::most`] bytes; returns the compressed length.
    pub fn compress(
        &mut self,
        compression: Compression,
        from: &[u8],
        to: &mut [u8],
    ) -> std::io::Result<usize> {
        match compression {
            Compression::None => {
                to[..from.len()].copy_from_slice(from);
                Ok(from.len())
            }
            Compression::Lz4 => lz4::compress_into_with_table(from, to, &mut self.lz4)
                .map_err(std::io::Error::other),
            Compression::Zstd => {
                let compressor = match &mut self.compressor {
                    Some(ready) => ready,
                    none => none.insert(zstd_bulk::Compressor::new(ZSTD_LEVEL)?),
                };
                compressor.compress_to_buffer(from, to)
            }
        }
    }

    /// Decompresses `from` into `to`. `None`: `from` is not what [`Self::compress`] makes of `to.len()` bytes.
    pub fn decompress(
        &mut self,
        compression: Compression,
        from: &[u8],
        to: &mut [u8],
    ) -> Option<()> {
        let length = match compression {
            Compression::None => return None,
            Compression::Lz4 => lz4::decompress_into(from, to).ok()?,
            Compression::Zstd => {
                let decompressor = match &mut self.decompressor {
                    Some(ready) => ready,
                    none => none.insert(zstd_bulk::Decompressor::new().ok()?),
                };
                decompressor.decompress_to_buffer(from, to).ok()?
            }
        };
        (length == to.len()).then_some(())
    }
}
