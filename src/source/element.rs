//! The values of a file of arrays: their type, their order of bytes, and how they become f32 or whole numbers.

use half::{bf16, f16};

/// The type of a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    F16,
    Bf16,
    F32,
    F64,
    /// Whole numbers or booleans of this many bytes: labels, and never activations.
    Whole {
        bytes: usize,
        signed: bool,
    },
}

impl Element {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Whole { bytes, .. } => bytes,
        }
    }

    /// Whether activations are read from it.
    pub fn is_float(self) -> bool {
        !matches!(self, Self::Whole { .. })
    }

    /// Bytes of a value that is stored: f16 stays, bf16 and f32 are f32, f64 is rounded to that.
    pub fn kept_bytes(self) -> usize {
        if self == Self::F16 { 2 } else { 4 }
    }

    /// The name of the type in messages.
    pub fn name(self) -> String {
        match self {
            Self::F16 => "f16".to_owned(),
            Self::Bf16 => "bf16".to_owned(),
            Self::F32 => "f32".to_owned(),
            Self::F64 => "f64".to_owned(),
            Self::Whole { bytes, signed } => {
                format!("{}{}", if signed { "i" } else { "u" }, 8 * bytes)
            }
        }
    }
}

/// A type with its order of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    pub element: Element,
    pub big_endian: bool,
}

impl Encoded {
    pub fn little(element: Element) -> Self {
        Self { element, big_endian: false }
    }

    /// The values of floats as f32, appended to `out`; f64 is rounded to the nearest.
    pub fn floats(self, bytes: &[u8], out: &mut Vec<f32>) {
        let big = self.big_endian;
        match self.element {
            Element::F16 => out.extend(each(bytes, big).map(|it| f16::from_le_bytes(it).to_f32())),
            Element::Bf16 => {
                out.extend(each(bytes, big).map(|it| bf16::from_le_bytes(it).to_f32()));
            }
            Element::F32 => out.extend(each(bytes, big).map(f32::from_le_bytes)),
            Element::F64 => out.extend(each(bytes, big).map(|it| f64::from_le_bytes(it) as f32)),
            Element::Whole { .. } => {}
        }
    }

    /// The values of whole numbers.
    pub fn whole(self, bytes: &[u8]) -> Vec<i64> {
        let Element::Whole { bytes: size, signed } = self.element else { return Vec::new() };
        let number = |it: &[u8]| {
            let mut wide = [0; 8];
            for (place, byte) in it.iter().enumerate() {
                let place = if self.big_endian { it.len() - 1 - place } else { place };
                wide[place] = *byte;
            }
            let unused = 64 - 8 * it.len() as u32;
            match signed {
                true => (i64::from_le_bytes(wide) << unused) >> unused,
                // The largest unsigned numbers are no classes, and stay too large for one.
                false => i64::try_from(u64::from_le_bytes(wide)).unwrap_or(i64::MAX),
            }
        };
        bytes.chunks_exact(size).map(number).collect()
    }
}

/// Each value's bytes, the lowest first.
fn each<const N: usize>(bytes: &[u8], big_endian: bool) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().map(move |it| {
        let mut it = *it;
        if big_endian {
            it.reverse();
        }
        it
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_both_orders_of_bytes() {
        for big_endian in [false, true] {
            let turned = |mut it: Vec<u8>| {
                if big_endian {
                    it.reverse();
                }
                it
            };
            let floats = |element, bytes: Vec<u8>| {
                let mut out = Vec::new();
                Encoded { element, big_endian }.floats(&turned(bytes), &mut out);
                out
            };
            assert_eq!(floats(Element::F32, 1.5f32.to_le_bytes().to_vec()), [1.5]);
            assert_eq!(floats(Element::F64, 0.1f64.to_le_bytes().to_vec()), [0.1f32]);
            assert_eq!(floats(Element::F16, f16::from_f32(-2.5).to_le_bytes().to_vec()), [-2.5]);
            assert_eq!(floats(Element::Bf16, bf16::from_f32(3.0).to_le_bytes().to_vec()), [3.0]);
            let whole = |bytes: usize, signed, of: Vec<u8>| {
                Encoded { element: Element::Whole { bytes, signed }, big_endian }.whole(&turned(of))
            };
            assert_eq!(whole(2, true, (-3i16).to_le_bytes().to_vec()), [-3]);
            assert_eq!(whole(2, false, (-3i16).to_le_bytes().to_vec()), [65533]);
            assert_eq!(whole(8, true, i64::MIN.to_le_bytes().to_vec()), [i64::MIN]);
            assert_eq!(whole(1, false, vec![200]), [200]);
        }
    }
}
