//! Finds the tags around a sound: ID3v2 and APE before it; ID3v1, APE, Lyrics3 and ID3v2 after it. They name
//! artists and hold pictures, and are no part of the sound.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::said;

/// The most tags before a sound, and the most after it.
const MOST_TAGS: usize = 16;

const APE: &[u8; 8] = b"APETAGEX";

/// The range of bytes between the tags before the sound and those after it, in a file of `bytes` bytes.
///
/// # Errors
/// When the file cannot be read, or ends within a tag before the sound.
pub(super) fn span(file: &mut (impl Read + Seek), bytes: u64) -> Result<Range<u64>, String> {
    let start = start(file, bytes).map_err(said)?;
    if start > bytes {
        return Err("cut off in the tag (ID3 or APE) in front of it".to_owned());
    }
    let end = end(file, start, bytes).map_err(said)?;
    Ok(start..end)
}

fn start(file: &mut (impl Read + Seek), bytes: u64) -> io::Result<u64> {
    let mut start = 0;
    for _ in 0..MOST_TAGS {
        let long = match at::<10>(file, start, bytes)? {
            Some([b'I', b'D', b'3', version, _, flags, size @ ..]) if version < 0xff => {
                let Some(size) = synchsafe(&size) else { break };
                // The footer repeats the header.
                10 + size + if flags & 0x10 != 0 { 10 } else { 0 }
            }
            Some(head) if head.starts_with(APE) => match at::<32>(file, start, bytes)? {
                Some(head) => 32 + ape_size(&head),
                None => break,
            },
            _ => break,
        };
        start += long;
    }
    if start == 0 || start > bytes {
        return Ok(start);
    }
    // Programs that shorten a tag leave zeros after it.
    let mut chunk = [0; 4096];
    file.seek(SeekFrom::Start(start))?;
    while start < bytes {
        let read = file.read(&mut chunk)?;
        let zeros = chunk[..read].iter().take_while(|byte| **byte == 0).count();
        start += zeros as u64;
        if zeros < read || read == 0 {
            break;
        }
    }
    Ok(start)
}

fn end(file: &mut (impl Read + Seek), start: u64, bytes: u64) -> io::Result<u64> {
    let mut end = bytes;
    for _ in 0..MOST_TAGS {
        let left = end - start;
        let long = match left {
            128.. if is_id3v1(&at_end::<128>(file, end)?) => {
                let extended =
                    left >= 128 + 227 && at_end::<227>(file, end - 128)?.starts_with(b"TAG+");
                if extended { 128 + 227 } else { 128 }
            }
            32.. => {
                let tail = at_end::<32>(file, end)?;
                if tail.starts_with(APE) {
                    let header = if tail[23] & 0x80 != 0 { 32 } else { 0 };
                    ape_size(&tail) + header
                } else if tail.ends_with(b"LYRICS200") {
                    let digits = std::str::from_utf8(&tail[32 - 15..32 - 9]).ok();
                    match digits.and_then(|digits| digits.parse::<u64>().ok()) {
                        Some(size) => size + 15,
                        None => break,
                    }
                } else if tail[22..].starts_with(b"3DI") {
                    match synchsafe(&tail[28..]) {
                        Some(size) => size + 20,
                        None => break,
                    }
                } else {
                    break;
                }
            }
            _ => break,
        };
        if long > left {
            break;
        }
        end -= long;
    }
    Ok(end)
}

/// The `N` bytes at `place`; `None` if there are fewer.
fn at<const N: usize>(
    file: &mut (impl Read + Seek),
    place: u64,
    bytes: u64,
) -> io::Result<Option<[u8; N]>> {
    if place.saturating_add(N as u64) > bytes {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(place))?;
    let mut found = [0; N];
    file.read_exact(&mut found)?;
    Ok(Some(found))
}

/// The `N` bytes before `end`; zeros if there are fewer.
fn at_end<const N: usize>(file: &mut (impl Read + Seek), end: u64) -> io::Result<[u8; N]> {
    Ok(at(file, end - N as u64, end)?.unwrap_or([0; N]))
}

/// Whether these 128 bytes are a tag, and do not just happen to begin like one: texts in a tag have no control
/// characters.
fn is_id3v1(tail: &[u8; 128]) -> bool {
    let is_text = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0 || *byte >= 0x20);
    // The last byte but one of the comment may be zero; then the last byte is a track number.
    tail.starts_with(b"TAG") && is_text(&tail[3..126])
}

/// A number in four bytes with seven bits each.
fn synchsafe(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0, |number, byte| match byte {
        0x80.. => None,
        byte => Some(number << 7 | u64::from(*byte)),
    })
}

/// The size that an APE tag gives: all of the tag except its header.
fn ape_size(tag: &[u8; 32]) -> u64 {
    u64::from(u32::from_le_bytes([tag[12], tag[13], tag[14], tag[15]]))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn spanned(parts: &[&[u8]]) -> Result<Range<u64>, String> {
        let bytes = parts.concat();
        span(&mut Cursor::new(&bytes), bytes.len() as u64)
    }

    fn id3v2(long: u8) -> Vec<u8> {
        [b"ID3\x04\0\0\0\0\x01", &[long][..], &vec![b'x'; 128 + usize::from(long)]].concat()
    }

    fn ape(long: u32, flags: u8) -> Vec<u8> {
        let head = [APE, &2000u32.to_le_bytes()[..], &(long + 32).to_le_bytes(), &[1, 0, 0, 0]];
        [head.concat(), vec![0, 0, 0, flags], vec![0; 8]].concat()
    }

    #[test]
    fn tags_of_all_kinds_are_left_out() {
        let sound = [7; 1_000];
        let id3v1 = [b"TAG", &[0; 125][..]].concat();
        assert_eq!(spanned(&[&sound]), Ok(0..1_000));
        let front = id3v2(9);
        let long = front.len() as u64;
        assert_eq!(spanned(&[&front, &front, &sound]), Ok(2 * long..2 * long + 1_000));
        assert_eq!(spanned(&[&front, &[0; 5_000], &sound]), Ok(long + 5_000..long + 6_000));
        assert_eq!(spanned(&[&sound, &id3v1]), Ok(0..1_000));
        let items = [b'i'; 40];
        let (header, footer) = (ape(40, 0xa0), ape(40, 0x80));
        assert_eq!(spanned(&[&sound, &header, &items, &footer, &id3v1]), Ok(0..1_000));
        assert_eq!(spanned(&[&header, &items, &footer, &sound]), Ok(104..1_104));
        assert_eq!(spanned(&[&sound, &items, &ape(40, 0)]), Ok(0..1_000));
        assert_eq!(spanned(&[&sound, b"LYRICSBEGIN", b"000011LYRICS200", &id3v1]), Ok(0..1_000));
        let behind = [&front[..], b"3DI\x04\0\0", &front[6..10]].concat();
        assert_eq!(spanned(&[&sound, &behind]), Ok(0..1_000));
    }

    #[test]
    fn what_only_looks_like_a_tag_is_sound() {
        let sound = [7; 1_000];
        assert_eq!(spanned(&[&sound, b"TAG", &[1; 125]]), Ok(0..1_128));
        assert_eq!(spanned(&[b"ID3\x04\0\0\xff\xff\xff\xff", &sound]), Ok(0..1_010));
        assert_eq!(spanned(&[&sound, &ape(5_000, 0)]), Ok(0..1_032));
        let told = spanned(&[&id3v2(9)[..50]]).unwrap_err();
        assert!(told.contains("cut off in the tag"), "{told}");
        assert_eq!(spanned(&[&id3v2(9), &[0; 10]]), Ok(157..157));
    }
}
