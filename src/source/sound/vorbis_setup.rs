//! Checks the codebooks of Vorbis before a decoder is made from them: they can claim more memory than they have
//! bytes.

/// The most numbers that all codebooks may hold together. Encoders make some hundred thousand.
const MOST_VALUES: u64 = 1 << 23;

/// Reads bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Bits<'_> {
    /// The number in the next `count` bits; `None` after the end.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for bit in 0..count {
            let byte = *self.bytes.get((self.at / 8) as usize)?;
            number |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(number)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= 8 * self.bytes.len() as u64)?;
        Some(())
    }
}

/// Checks that the codebooks of a setup header are no larger than any encoder makes them.
///
/// # Errors
/// When they are larger, or end too soon.
pub(super) fn check(packet: &[u8]) -> Result<(), String> {
    let damaged = || "the sound is damaged: its codebooks are none".to_owned();
    // Skips the type of the packet and "vorbis".
    let mut bits = Bits { bytes: packet.get(7..).ok_or_else(damaged)?, at: 0 };
    let books = bits.take(8).ok_or_else(damaged)? + 1;
    let mut values = 0u64;
    for _ in 0..books {
        values += codebook(&mut bits).ok_or_else(damaged)?;
        if values > MOST_VALUES {
            return Err(format!("its codebooks claim more than {MOST_VALUES} numbers"));
        }
    }
    Ok(())
}

/// The number of values that a codebook claims.
fn codebook(bits: &mut Bits) -> Option<u64> {
    if bits.take(24)? != 0x0056_4342 {
        return None;
    }
    let (dimensions, entries) = (bits.take(16)?, bits.take(24)?);
    match bits.take(1)? {
        0 if bits.take(1)? == 1 => {
            for _ in 0..entries {
                if bits.take(1)? == 1 {
                    bits.skip(5)?;
                }
            }
        }
        0 => bits.skip(5 * u64::from(entries))?,
        _ => {
            bits.skip(5)?;
            let mut entry = 0;
            while entry < entries {
                let left = entries - entry;
                let more = bits.take(32 - left.leading_zeros())?;
                if more > left {
                    return None;
                }
                entry += more;
            }
        }
    }
    let kind = bits.take(4)?;
    if kind == 0 {
        return Some(entries.into());
    }
    bits.skip(64)?;
    let each = u64::from(bits.take(4)? + 1);
    bits.skip(1)?;
    let count = match kind {
        1 => roots(entries, dimensions),
        2 => u64::from(entries) * u64::from(dimensions),
        _ => return None,
    };
    bits.skip(count.checked_mul(each)?)?;
    Some(u64::from(entries) * u64::from(1 + dimensions))
}

/// The largest whole number whose power `dimensions` is at most `entries`.
fn roots(entries: u32, dimensions: u32) -> u64 {
    if dimensions == 0 {
        return 0;
    }
    let fits = |root: u64| {
        let mut power = 1u64;
        (0..dimensions).all(|_| {
            power = power.saturating_mul(root);
            root < 2 || power <= u64::from(entries)
        })
    };
    let mut root = u64::from(entries > 0);
    while root > 0 && fits(root + 1) {
        root += 1;
    }
    root
}
