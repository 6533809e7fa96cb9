//! Checks the number of values in Parquet pages that store lengths as deltas. The `parquet` crate allocates
//! by that number, and a page of a few bytes may claim any number.
//!
//! Format: DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY in `Encodings.md` of the Parquet project.

const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
const DELTA_BYTE_ARRAY: i64 = 7;

/// The most bits of a length.
const WIDEST: u64 = 32;

/// Whether an encoding stores lengths as deltas.
pub fn has_deltas(encoding: i64) -> bool {
    [DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY].contains(&encoding)
}

/// Checks the values of a page that [`has_deltas`], without its levels: there may be no more than `most`.
///
/// # Errors
/// What is wrong with the page, for people.
pub fn check(page: &[u8], encoding: i64, most: u64) -> Result<(), String> {
    let suffixes = lengths(page, most)?;
    if encoding == DELTA_BYTE_ARRAY {
        lengths(suffixes, most)?;
    }
    Ok(())
}

/// Skips lengths (DELTA_BINARY_PACKED) and gives the bytes after them.
fn lengths(page: &[u8], most: u64) -> Result<&[u8], String> {
    let mut rest = page;
    let block = varint(&mut rest)?;
    let mini_blocks = varint(&mut rest)?;
    let count = varint(&mut rest)?;
    varint(&mut rest)?;
    if count > most {
        return Err(format!("a page claims to have {count} values"));
    }
    let each = block.checked_div(mini_blocks).unwrap_or(0);
    if block % 128 != 0 || each == 0 || each % 8 != 0 || block != each * mini_blocks {
        return Err("the lengths in a page are in blocks of no size".into());
    }
    // The first value stands before the blocks.
    let mut left = count.saturating_sub(1);
    while left > 0 {
        varint(&mut rest)?;
        for width in take(&mut rest, mini_blocks)? {
            let width = u64::from(*width);
            if left == 0 {
                break;
            }
            if width > WIDEST {
                return Err(format!("a length in a page has {width} bits"));
            }
            left = left.saturating_sub(each);
            // The block's own bytes follow the widths of all its parts.
            take(&mut rest, width.checked_mul(each / 8).ok_or(CUT_OFF)?)?;
        }
    }
    Ok(rest)
}

const CUT_OFF: &str = "the lengths in a page are cut off";

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], String> {
    let length = usize::try_from(length).map_err(|_| CUT_OFF)?;
    let (taken, left) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
    *rest = left;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(CUT_OFF.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_end_where_their_last_block_does() {
        // One value without a block, and 130 in two blocks of 128 values in 4 parts.
        let one = [0x80, 0x01, 4, 1, 6];
        assert_eq!(lengths(&one, 1), Ok(&[][..]));
        assert!(lengths(&one, 0).is_err());
        let mut two = vec![0x80, 0x01, 4, 0x82, 0x01, 6];
        two.extend([0, 1, 0, 0, 2]);
        two.extend([0; 4 + 8]);
        // The last three parts have no values: their widths say nothing.
        two.extend([0, 3, 200, 200, 200]);
        two.extend([0; 12]);
        two.push(9);
        assert_eq!(lengths(&two, 130), Ok(&[9][..]));
        two.truncate(two.len() - 2);
        assert!(lengths(&two, 130).is_err());
    }

    #[test]
    fn blocks_of_no_size_are_refused() {
        for (block, mini_blocks) in [(0, 1), (128, 0), (100, 1), (128, 3), (128, 32)] {
            let page = [&varint_of(block)[..], &[mini_blocks, 5, 0, 0, 0, 0, 0, 0]].concat();
            assert!(lengths(&page, 10).is_err(), "{block} {mini_blocks}");
        }
    }

    fn varint_of(number: u8) -> Vec<u8> {
        if number < 128 { vec![number] } else { vec![number, 1] }
    }
}
