//! Reusable memory.

/// Values in a cache line: vectors that start there are read in one access.
const LINE: usize = 64 / size_of::<f32>();

/// A reusable buffer of f32 values that begins at a cache line.
#[derive(Debug, Default)]
pub struct Buffer {
    values: Vec<f32>,
}

impl Buffer {
    /// Returns `len` values; their contents are unspecified.
    pub fn get(&mut self, len: usize) -> &mut [f32] {
        if self.values.len() < len + LINE {
            // A fresh allocation instead of a longer one, because the old values need not be copied.
            self.values = vec![0.0; len + LINE];
        }
        let start = self.start();
        &mut self.values[start..start + len]
    }

    /// The first `len` values of the last [`Self::get`].
    pub fn read(&self, len: usize) -> &[f32] {
        if len == 0 { &[] } else { &self.values[self.start()..][..len] }
    }

    fn start(&self) -> usize {
        let offset = self.values.as_ptr().align_offset(LINE * size_of::<f32>());
        // `align_offset` may give no offset.
        if offset <= LINE { offset } else { 0 }
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }
}
