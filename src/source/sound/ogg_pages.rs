//! Reads Ogg pages, each with a checksum, and joins the packets that they hold in pieces.

use std::io::{Read, Seek, SeekFrom};

use crc_fast::{CrcAlgorithm, Digest};

use super::{kind, said};

/// Bytes of a page before the lengths of its segments.
const HEADER: usize = 27;

/// The most bytes of a packet; headers may hold pictures.
const LONGEST_PACKET: usize = 16 << 20;

/// The pages of one stream. Pages of other streams, such as pictures, are left out.
pub(super) struct Pages<R> {
    file: R,
    /// Bytes that were read, and all bytes of the file.
    at: u64,
    bytes: u64,
    /// The number of the stream, and of its next page.
    serial: u32,
    number: u32,
    /// Whether the last page has been read.
    ended: bool,
    /// The start of a packet that continues in the next page.
    begun: Vec<u8>,
}

/// The packets that end in a page.
pub(super) struct Ended {
    pub packets: Vec<Vec<u8>>,
    /// The number of the last sample that these packets complete; `None` if no packet ends.
    pub position: Option<i64>,
    /// Whether this is the last page.
    pub last: bool,
}

/// A page as it lies in the file.
struct Page {
    flags: u8,
    position: i64,
    serial: u32,
    number: u32,
    lengths: Vec<u8>,
    body: Vec<u8>,
}

const CONTINUES: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;

impl<R: Read + Seek> Pages<R> {
    /// Opens the only stream of a file that is `known`; returns its pages and its first packet.
    ///
    /// # Errors
    /// When there is no such stream, or several.
    pub fn open(
        file: R,
        bytes: u64,
        known: impl Fn(&[u8]) -> bool,
    ) -> Result<(Self, Vec<u8>), String> {
        let mut pages =
            Self { file, at: 0, bytes, serial: 0, number: 0, ended: false, begun: Vec::new() };
        let mut found: Option<(u32, Vec<u8>)> = None;
        let mut other = None;
        loop {
            let begin = pages.at;
            let Some(page) = pages.page()? else { break };
            if page.flags & FIRST == 0 {
                pages.at = begin;
                pages.file.seek(SeekFrom::Start(begin)).map_err(said)?;
                break;
            }
            if known(&page.body) {
                if found.is_some() {
                    return Err(several());
                }
                found = Some((page.serial, page.body));
            } else {
                other.get_or_insert(page.body);
            }
        }
        match (found, other) {
            (Some((serial, packet)), _) => {
                (pages.serial, pages.number) = (serial, 1);
                Ok((pages, packet))
            }
            (None, other) => Err(not_read(&other.unwrap_or_default())),
        }
    }

    /// The packets that end in the next page; `None` after the last page.
    ///
    /// # Errors
    /// When a page is damaged or missing, or the file ends before its last page.
    pub fn next(&mut self) -> Result<Option<Ended>, String> {
        loop {
            let Some(page) = self.page()? else {
                let cut_off = || "cut off: it ends before its last page".to_owned();
                return self.ended.then_some(None).ok_or_else(cut_off);
            };
            if page.flags & FIRST != 0 {
                return Err(several());
            }
            if page.serial != self.serial {
                continue;
            }
            if page.number != self.number || self.ended {
                let (found, due) = (page.number, self.number);
                return Err(format!("the sound is damaged: page {found} comes where {due} is due"));
            }
            self.number = self.number.wrapping_add(1);
            self.ended = page.flags & LAST != 0;
            if (page.flags & CONTINUES != 0) == self.begun.is_empty() && !page.lengths.is_empty() {
                let number = page.number;
                return Err(format!("the sound is damaged: page {number} continues another"));
            }
            return self.packets(&page).map(Some);
        }
    }

    fn packets(&mut self, page: &Page) -> Result<Ended, String> {
        let mut packets = Vec::new();
        let mut body = page.body.as_slice();
        for &length in &page.lengths {
            let (segment, rest) = body.split_at(length.into());
            self.begun.extend_from_slice(segment);
            body = rest;
            if self.begun.len() > LONGEST_PACKET {
                return Err(format!("it has a packet of more than {LONGEST_PACKET} bytes"));
            }
            if length < u8::MAX {
                packets.push(std::mem::take(&mut self.begun));
            }
        }
        let position = (page.position != -1).then_some(page.position);
        Ok(Ended { packets, position, last: self.ended })
    }

    /// The next page of any stream; `None` at the end of the file.
    fn page(&mut self) -> Result<Option<Page>, String> {
        let left = self.bytes.saturating_sub(self.at);
        if left == 0 {
            return Ok(None);
        }
        let cut = || "cut off within a page".to_owned();
        let mut header = [0; HEADER];
        if left < HEADER as u64 {
            return Err(cut());
        }
        self.read(&mut header)?;
        if !header.starts_with(b"OggS\0") {
            let at = self.at - HEADER as u64;
            return Err(format!("the sound is damaged: no page begins at byte {at}"));
        }
        let mut lengths = vec![0; usize::from(header[26])];
        let mut body = Vec::new();
        if left < (HEADER + lengths.len()) as u64 {
            return Err(cut());
        }
        self.read(&mut lengths)?;
        body.resize(lengths.iter().map(|length| usize::from(*length)).sum(), 0);
        if left < (HEADER + lengths.len() + body.len()) as u64 {
            return Err(cut());
        }
        self.read(&mut body)?;
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let page = Page {
            flags: header[5],
            position: i64::from(number(6)) | i64::from(number(10)) << 32,
            serial: number(14),
            number: number(18),
            lengths,
            body,
        };
        let expected = number(22);
        header[22..26].fill(0);
        if checksum(&[&header, &page.lengths, &page.body]) != expected {
            let number = page.number;
            return Err(format!("the sound is damaged: page {number} does not have its checksum"));
        }
        Ok(Some(page))
    }

    fn read(&mut self, out: &mut [u8]) -> Result<(), String> {
        self.file.read_exact(out).map_err(said)?;
        self.at += out.len() as u64;
        Ok(())
    }
}

/// The checksum of a page, given in parts without the checksum itself.
fn checksum(parts: &[&[u8]]) -> u32 {
    // Ogg's checksum differs from that of `cksum` in that it is not inverted at the end.
    let mut digest = Digest::new(CrcAlgorithm::Crc32Cksum);
    parts.iter().for_each(|part| digest.update(part));
    !(digest.finalize() as u32)
}

fn several() -> String {
    format!(
        "it is Ogg with several sounds, beside or behind each other, which is not read; take them apart, \
         or {}",
        kind::CONVERT
    )
}

/// Why a stream that begins with this packet is not read.
fn not_read(packet: &[u8]) -> String {
    let name = [
        (&b"OpusHead"[..], "Opus"),
        (b"Speex   ", "Speex"),
        (b"\x80theora", "Theora, a film"),
        (b"CELT    ", "CELT"),
        (b"PCM     ", "OggPCM"),
    ];
    let name = name.iter().find(|it| packet.starts_with(it.0));
    let name = name.map_or("neither Vorbis nor FLAC", |it| it.1);
    format!("the sound is Ogg that holds {name}, which is not read; {}", kind::CONVERT)
}
