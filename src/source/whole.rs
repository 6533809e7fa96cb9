//! Checks that image files are whole, for formats whose decoders accept half a file.

/// Whether a WebP has all chunks that its header counts.
pub fn webp(bytes: &[u8]) -> bool {
    let Some(size) = bytes.get(4..8) else { return false };
    let size = u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]]));
    let (end, mut at) = (size + 8, 12u64);
    while at < end {
        let header = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.first_chunk::<8>());
        let Some(&[.., a, b, c, d]) = header else { return false };
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        if at + 8 + length > bytes.len() as u64 {
            return false;
        }
        // The byte that pads the last chunk holds nothing.
        at += 8 + length + length % 2;
    }
    true
}

/// Width and height of the first frame of a GIF; `None` if the file ends before the frame does, or within a block
/// after it.
pub fn gif(bytes: &[u8]) -> Option<(u16, u16)> {
    let colours = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let mut at = 13 + colours(*bytes.get(10)?);
    let mut first = None;
    loop {
        match bytes.get(at) {
            Some(0x2C) => {
                let header = bytes.get(at + 1..at + 10)?;
                let size = [[header[4], header[5]], [header[6], header[7]]].map(u16::from_le_bytes);
                // The size of the codes lies before the data.
                at = blocks(bytes, at + 10 + colours(header[8]) + 1)?;
                first = first.or(Some((size[0], size[1])));
            }
            Some(0x21) => at = blocks(bytes, at + 2)?,
            // A file may end without an end mark, and anything after that mark is ignored.
            _ if at <= bytes.len() => return first,
            _ => return None,
        }
    }
}

/// The end of the blocks that begin at `at`.
fn blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
