//! Parses the header of an MP3 frame, and the first frame, which may tell the length of the sound.

/// Bit rates in thousands of bits per second, by their number in the header.
const RATES_1: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const RATES_2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// The delay of a decoder in samples.
const DECODER_DELAY: u32 = 529;

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Samples per second.
    pub rate: u32,
    pub channels: u16,
    /// Samples per channel.
    pub samples: u32,
    /// Bytes of the whole frame.
    pub bytes: usize,
    /// Bytes between the header and the sound.
    side: usize,
}

/// Why four bytes are not the header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// They belong to a stream without a bit rate.
    Free,
    Other,
}

impl Frame {
    /// Parses the four bytes of a header.
    ///
    /// # Errors
    /// When they are not the header of a layer III frame.
    pub fn parse(header: [u8; 4]) -> Result<Self, NoFrame> {
        let [first, second, third, fourth] = header;
        if first != 0xff || second & 0xe6 != 0xe2 {
            return Err(NoFrame::Other);
        }
        let rates = [[11_025, 12_000, 8_000], [22_050, 24_000, 16_000], [44_100, 48_000, 32_000]];
        let version = match second >> 3 & 3 {
            0 => 0,
            2 => 1,
            3 => 2,
            _ => return Err(NoFrame::Other),
        };
        let rate = *rates[version].get(usize::from(third >> 2 & 3)).ok_or(NoFrame::Other)?;
        let bits = if version == 2 { RATES_1 } else { RATES_2 };
        let bits = *bits.get(usize::from(third >> 4)).ok_or(NoFrame::Other)?;
        if bits == 0 {
            return Err(NoFrame::Free);
        }
        let samples = if version == 2 { 1152 } else { 576 };
        let bytes = samples / 8 * bits * 1000 / rate + u32::from(third >> 1 & 1);
        let channels = if fourth >> 6 == 3 { 1 } else { 2 };
        let side = match (version, channels) {
            (2, 2) => 32,
            (2, _) | (_, 2) => 17,
            _ => 9,
        };
        Ok(Self { rate, channels, samples, bytes: bytes as usize, side })
    }
}

/// What the first frame says about all frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Info {
    /// Frames after it; 0 if it does not tell.
    pub frames: u32,
    /// Whether its encoder is known not to count this first frame.
    pub exact: bool,
    /// Samples that encoder and decoder add before the sound, and those after it.
    pub front: u32,
    pub behind: u32,
}

impl Info {
    /// Parses a frame that holds only this information and no sound; `None` for other frames.
    pub fn of(frame: &Frame, bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            bytes.get(at..at + 4).map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]))
        };
        // Fraunhofer's encoder writes this.
        if bytes.get(36..40) == Some(b"VBRI") {
            return Some(Self { frames: number(36 + 14)?, ..Self::default() });
        }
        let begin = 4 + frame.side;
        if ![&b"Xing"[..], b"Info"].contains(&bytes.get(begin..begin + 4)?) {
            return None;
        }
        let flags = number(begin + 4)?;
        let mut at = begin + 8;
        let mut info = Self::default();
        if flags & 1 != 0 {
            info.frames = number(at)?;
            at += 4;
        }
        at += [(2, 4), (4, 100), (8, 4)]
            .iter()
            .filter(|it| flags & it.0 != 0)
            .map(|it| it.1)
            .sum::<usize>();
        // LAME's addition follows; other encoders leave it out or empty.
        let known = [&b"LAME"[..], b"Lavf", b"Lavc", b"L3.9", b"GOGO"];
        let of_lame = bytes.get(at..).filter(|it| known.iter().any(|name| it.starts_with(name)));
        if let Some(&[a, b, c]) = of_lame.and_then(|it| it.get(21..24)) {
            let [delay, padding] =
                [u32::from(a) << 4 | u32::from(b >> 4), u32::from(b & 15) << 8 | u32::from(c)];
            info.exact = true;
            info.front = delay + DECODER_DELAY;
            info.behind = padding.saturating_sub(DECODER_DELAY);
        }
        Some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_how_long_frames_are() {
        let frame = Frame::parse([0xff, 0xfb, 0x90, 0x64]).unwrap();
        assert_eq!((frame.rate, frame.channels, frame.samples), (44_100, 2, 1152));
        assert_eq!((frame.bytes, frame.side), (417, 32));
        assert_eq!(Frame::parse([0xff, 0xfb, 0x92, 0x64]).unwrap().bytes, 418);
        let frame = Frame::parse([0xff, 0xf3, 0x48, 0xc4]).unwrap();
        assert_eq!((frame.rate, frame.channels, frame.samples), (16_000, 1, 576));
        assert_eq!((frame.bytes, frame.side), (144, 9));
        let frame = Frame::parse([0xff, 0xe3, 0x18, 0xc4]).unwrap();
        assert_eq!((frame.rate, frame.samples, frame.bytes), (8_000, 576, 72));
        assert_eq!(Frame::parse([0xff, 0xfb, 0x00, 0x64]), Err(NoFrame::Free));
        // Layers I and II, AAC, no bit rate, no rate, no version, no sync.
        for [a, b, c] in [
            [0xff, 0xfd, 0x90],
            [0xff, 0xff, 0x90],
            [0xff, 0xf1, 0x90],
            [0xff, 0xfb, 0xf0],
            [0xff, 0xfb, 0x9c],
            [0xff, 0xeb, 0x90],
            [0xfe, 0xfb, 0x90],
        ] {
            assert_eq!(Frame::parse([a, b, c, 0x64]), Err(NoFrame::Other), "{a:x} {b:x} {c:x}");
        }
    }
}
