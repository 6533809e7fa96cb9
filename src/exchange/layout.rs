//! Layouts of a tensor's values in its storage: contiguous, or a view into a larger storage - transposed,
//! channels-last, cut out, or expanded.

use std::io::{self, Read};

/// Values read at once if they are not contiguous.
const BLOCK: u64 = 1 << 16;

/// The places of a tensor's values, counted in values from the start of its storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The place of the first value.
    pub first: u64,
    /// The place after the last value.
    end: u64,
    dims: Vec<usize>,
    /// For each dimension, the distance of a step along it.
    strides: Vec<u64>,
}

impl Layout {
    /// The layout of a contiguous tensor; `None` if there are too many values to count.
    pub fn contiguous(dims: &[usize]) -> Option<Self> {
        let mut end = 1u64;
        let mut strides = vec![0; dims.len()];
        for (stride, dim) in strides.iter_mut().zip(dims).rev() {
            *stride = end;
            end = end.checked_mul(*dim as u64)?;
        }
        Some(Self { first: 0, end, dims: dims.to_vec(), strides })
    }

    /// The layout of a view whose first value lies at `offset` in a storage of `values` values.
    ///
    /// # Errors
    /// A sentence, when the view goes backwards, or beyond the storage.
    pub fn of_view(
        offset: i64,
        dims: &[usize],
        strides: &[i64],
        values: u64,
    ) -> Result<Self, String> {
        if dims.len() != strides.len() {
            return Err(format!("has {} dimensions and {} strides", dims.len(), strides.len()));
        }
        let forward = |value: i64, what: &str| {
            u64::try_from(value).map_err(|_| format!("has a negative {what}, {value}"))
        };
        let first = forward(offset, "offset")?;
        let strides = strides.iter().map(|it| forward(*it, "stride"));
        let strides = strides.collect::<Result<Vec<u64>, String>>()?;
        let beyond = || format!("reaches beyond the {values} values of its storage");
        let is_empty = dims.contains(&0);
        let mut end = Some(first);
        for (dim, stride) in dims.iter().zip(&strides).filter(|_| !is_empty) {
            let along = (*dim as u64 - 1).checked_mul(*stride);
            end = end.zip(along).and_then(|(end, along)| end.checked_add(along));
        }
        let end = end.and_then(|last| last.checked_add(u64::from(!is_empty)));
        let end = end.filter(|end| *end <= values).ok_or_else(beyond)?;
        Ok(Self { first, end, dims: dims.to_vec(), strides })
    }

    /// Reads the values, of `size` bytes each, in the order of the dimensions. `storage` starts at the first
    /// value. Needs a few times the memory of the values, however far apart they lie.
    ///
    /// # Errors
    /// When the storage ends before the last value.
    pub fn read(&self, mut storage: impl Read, size: usize) -> io::Result<Vec<u8>> {
        let count = self.dims.iter().product::<usize>();
        if self.is_contiguous() {
            let (mut bytes, len) = (Vec::new(), (count * size) as u64);
            storage.take(len).read_to_end(&mut bytes)?;
            return match bytes.len() as u64 == len {
                true => Ok(bytes),
                false => Err(io::Error::other(format!("{} bytes of {len} are there", bytes.len()))),
            };
        }
        let mut bytes = vec![0; count * size];
        let mut wanted = self.places().into_iter().peekable();
        let (mut start, mut block) = (self.first, vec![0; BLOCK as usize * size]);
        while wanted.peek().is_some() {
            let end = self.end.min(start + BLOCK);
            let read = &mut block[..(end - start) as usize * size];
            storage.read_exact(read)?;
            while let Some((at, place)) = wanted.next_if(|(at, _)| *at < end) {
                let from = (at - start) as usize * size;
                bytes[place * size..][..size].copy_from_slice(&read[from..from + size]);
            }
            start = end;
        }
        Ok(bytes)
    }

    /// Whether the values follow each other in the order of the dimensions.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.dims.iter().zip(&self.strides).rev().all(|(dim, stride)| {
            let fits = *dim == 1 || *stride == expected;
            expected *= *dim as u64;
            fits
        })
    }

    /// The place of each value in the storage, and its number in the tensor, in the order of the storage.
    fn places(&self) -> Vec<(u64, usize)> {
        let mut all = vec![self.first];
        for (dim, stride) in self.dims.iter().zip(&self.strides) {
            let along = |at: u64| (0..*dim as u64).map(move |step| at + step * stride);
            all = all.into_iter().flat_map(along).collect();
        }
        let mut all: Vec<(u64, usize)> = all.into_iter().zip(0..).collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a view of a storage with the bytes 0, 1, 2 and so on.
    fn read(offset: i64, dims: &[usize], strides: &[i64], values: u64) -> Result<Vec<u8>, String> {
        let layout = Layout::of_view(offset, dims, strides, values)?;
        let storage: Vec<u8> = (0..values).map(|it| it as u8).collect();
        Ok(layout.read(&storage[layout.first as usize..], 1).unwrap())
    }

    #[test]
    fn views_are_read_as_what_they_show() {
        assert_eq!(read(0, &[2, 3], &[3, 1], 6).unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(read(0, &[3, 2], &[1, 3], 6).unwrap(), [0, 3, 1, 4, 2, 5], "transposed");
        assert_eq!(read(2, &[2, 2], &[3, 1], 7).unwrap(), [2, 3, 5, 6], "cut out");
        assert_eq!(read(1, &[3, 2], &[0, 1], 3).unwrap(), [1, 2, 1, 2, 1, 2], "expanded");
        assert_eq!(read(5, &[1], &[7], 6).unwrap(), [5]);
        assert_eq!(read(9, &[2, 0], &[1, 1], 9).unwrap(), [0u8; 0]);
        assert_eq!(read(3, &[], &[], 4).unwrap(), [3]);
    }

    #[test]
    fn views_beyond_their_storage_are_refused() {
        let huge = i64::MAX;
        for (offset, dims, strides) in [
            (1, vec![2, 3], vec![3, 1]),
            (0, vec![3, 2], vec![1, 4]),
            (6, vec![1], vec![1]),
            (0, vec![usize::MAX, 2], vec![huge, huge]),
            (huge, vec![2], vec![huge]),
            (7, vec![0], vec![1]),
        ] {
            let err = read(offset, &dims, &strides, 6).unwrap_err();
            assert!(err.contains("beyond the 6 values"), "{err}");
        }
        assert!(read(0, &[2], &[-1], 6).unwrap_err().contains("negative stride, -1"));
        assert!(read(-2, &[2], &[1], 6).unwrap_err().contains("negative offset, -2"));
        assert!(read(0, &[2], &[1, 1], 6).unwrap_err().contains("1 dimensions and 2 strides"));
    }

    #[test]
    fn values_far_apart_are_read_through_blocks() {
        let apart = BLOCK as i64 + 17;
        let layout = Layout::of_view(3, &[2, 4], &[2, apart], 4 * apart as u64).unwrap();
        let storage: Vec<u8> = (0..4 * apart as u64).map(|it| (it % 251) as u8).collect();
        let found = layout.read(&storage[3..], 1).unwrap();
        let expected = (0..2).flat_map(|y| (0..4).map(move |x| 3 + 2 * y + apart * x));
        assert!(found.iter().copied().eq(expected.map(|it| (it % 251) as u8)));
    }
}
