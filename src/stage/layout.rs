//! What the datasets of a run look like: columns, types, and how rows are cut into row groups.

use gimlet_store::{Column, Compression, DType};

use crate::pipeline::{ActivationType, Map, Pooling};
use crate::train::input::{ACTIVATION, POOLED};

/// About the most bytes in a row group: a writer holds one, and readers of Parquet take one at once.
const GROUP_BYTES: usize = 32 << 20;

/// The most rows in a row group.
const GROUP_ROWS: usize = 64;

/// Rows per row group, computed from the bytes of a row alone.
pub fn rows_per_group(row_bytes: usize) -> usize {
    (GROUP_BYTES / row_bytes.max(1)).clamp(1, GROUP_ROWS)
}

/// The column of activations that the next module reads: `[patch, height, width, channel]`.
pub fn activation_column(dtype: ActivationType, patches: usize, map: Map) -> Column {
    Column {
        name: ACTIVATION.to_string(),
        dtype: match dtype {
            ActivationType::F32 => DType::F32,
            ActivationType::F16 => DType::F16,
            ActivationType::Int8 => DType::I8,
        },
        shape: vec![patches, map.height, map.width, map.channels],
        dims: ["patch", "height", "width", "channel"].map(String::from).to_vec(),
        compression: Compression::None,
    }
}

/// The column of pooled vectors: `[row, column, channel]`. They are small and everything is judged by them: they stay
/// f32.
pub fn pooled_column(pooling: Pooling, map: Map) -> Column {
    let (rows, columns) = pooling.stored(map);
    Column {
        name: POOLED.to_string(),
        dtype: DType::F32,
        shape: vec![rows, columns, map.channels],
        dims: ["row", "column", "channel"].map(String::from).to_vec(),
        compression: Compression::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_group_holds_64_rows_or_32_mib_or_one_row() {
        assert_eq!(rows_per_group(1), 64);
        assert_eq!(rows_per_group(512 << 10), 64);
        assert_eq!(rows_per_group(1 << 20), 32);
        assert_eq!(rows_per_group(3 << 20), 10);
        assert_eq!(rows_per_group(100 << 20), 1);
    }
}
