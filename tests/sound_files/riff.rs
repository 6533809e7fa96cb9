//! WAV files whose header says what a test wants it to say.

// Every test target uses its own part of this.
#![allow(dead_code)]

/// The last bytes of what tells codecs apart in an extensible format.
const GUID: &[u8] = b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";

/// A file of one channel at 8000 Hz, to be changed.
#[derive(Clone)]
pub struct Riff {
    pub codec: u16,
    pub channels: u16,
    pub block: u16,
    pub bits: u16,
    /// Bits that are used: the header is extensible.
    pub valid: Option<u16>,
    /// Chunks before and behind the samples.
    pub before: Vec<u8>,
    pub behind: Vec<u8>,
    pub data: Vec<u8>,
    /// What the header says of the size of all, and of the samples.
    pub sizes: (Option<u32>, Option<u32>),
}

impl Riff {
    /// 16 bits.
    pub fn of(samples: &[i16]) -> Self {
        let data = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
        Self::new(1, 16, data)
    }

    /// Floating point of 32 bits.
    pub fn float(samples: &[f32]) -> Self {
        let data = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
        Self::new(3, 32, data)
    }

    pub fn new(codec: u16, bits: u16, data: Vec<u8>) -> Self {
        let (before, behind) = Default::default();
        let (channels, block) = (1, bits.div_ceil(8));
        Self {
            codec,
            channels,
            block,
            bits,
            valid: None,
            before,
            behind,
            data,
            sizes: (None, None),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut format = Vec::new();
        let codec = if self.valid.is_some() { 0xfffe } else { self.codec };
        format.extend([codec, self.channels].map(u16::to_le_bytes).concat());
        format.extend([8_000, 8_000 * u32::from(self.block)].map(u32::to_le_bytes).concat());
        format.extend([self.block, self.bits].map(u16::to_le_bytes).concat());
        if let Some(valid) = self.valid {
            format.extend([22, valid, 4, 0, self.codec].map(u16::to_le_bytes).concat());
            format.extend(GUID);
        }
        let size = self.sizes.1.unwrap_or(self.data.len() as u32);
        let mut all = b"WAVE".to_vec();
        all.extend(chunk(b"fmt ", &format));
        all.extend(&self.before);
        all.extend([&b"data"[..], &size.to_le_bytes(), &self.data].concat());
        all.extend(&self.behind);
        let size = self.sizes.0.unwrap_or(all.len() as u32);
        [&b"RIFF"[..], &size.to_le_bytes(), &all].concat()
    }

    /// The file as RF64, with its sizes in 64 bits.
    pub fn rf64(&self, data: u64) -> Vec<u8> {
        let mut long = self.clone();
        long.sizes = (Some(u32::MAX), Some(u32::MAX));
        let mut bytes = long.bytes();
        bytes[..4].copy_from_slice(b"RF64");
        let all = data.saturating_add(72);
        let sizes = [all, data, data / u64::from(self.block)].map(u64::to_le_bytes).concat();
        bytes.splice(12..12, chunk(b"ds64", &[sizes, vec![0; 4]].concat()));
        bytes
    }
}

/// A chunk, made even.
pub fn chunk(id: &[u8; 4], bytes: &[u8]) -> Vec<u8> {
    let mut all = [&id[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
    all.resize(all.len().next_multiple_of(2), 0);
    all
}
