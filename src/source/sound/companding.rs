//! Expands A-law and mu-law (ITU-T G.711): eight bits stand for 13 or 14, with finer steps for quiet sound.

/// The 16-bit number that a byte of A-law stands for.
pub(super) fn a_law(byte: u8) -> i16 {
    // Every other bit is inverted, which was good for telephone lines.
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = (byte >> 4 & 7, i16::from(byte & 15));
    let value = match exponent {
        0 => mantissa << 4 | 8,
        _ => (mantissa << 4 | 0x108) << (exponent - 1),
    };
    if byte & 0x80 != 0 { value } else { -value }
}

/// The 16-bit number that a byte of mu-law stands for.
pub(super) fn mu_law(byte: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let byte = !byte;
    let (exponent, mantissa) = (byte >> 4 & 7, i16::from(byte & 15));
    let value = ((mantissa << 3 | BIAS) << exponent) - BIAS;
    if byte & 0x80 != 0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_for_the_numbers_of_the_standard() {
        let mu: Vec<i16> = [0x00, 0x0f, 0x7f, 0x80, 0xff, 0xf0].map(mu_law).to_vec();
        assert_eq!(mu, [-32124, -16764, 0, 32124, 0, 120]);
        let a: Vec<i16> = [0x00, 0x55, 0xd5, 0x2a, 0xaa, 0x80].map(a_law).to_vec();
        assert_eq!(a, [-5504, -8, 8, -32256, 32256, 5504]);
    }
}
