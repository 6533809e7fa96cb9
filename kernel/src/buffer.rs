//! Memory that is used again.

/// Values in a cache line: vectors that start there are read in one access.
const LINE: usize = 64 / size_of::<f32>();

/// f32 values that begin at a cache line and keep their memory from use to use.
#[derive(Debug, Default)]
pub struct Buffer {
    values: Vec<f32>,
}

impl Buffer {
    /// `len` values, whatever they were before.
    pub fn get(&mut self, len: usize) -> &mut [f32] {
        if self.values.len() < len + LINE {
            // A fresh allocation, not a longer one: nobody wants the old values copied.
            self.values = vec![0.0; len + LINE];
        }
        let start = self.start();
        &mut self.values[start..start + len]
    }

    /// The first `len` values of those that [`Self::get`] was asked for last.
    pub fn read(&self, len: usize) -> &[f32] {
        if len == 0 { &[] } else { &self.values[self.start()..][..len] }
    }

    fn start(&self) -> usize {
        let offset = self.values.as_ptr().align_offset(LINE * size_of::<f32>());
        // An allocator may leave it unknown.
        if offset <= LINE { offset } else { 0 }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }
}
