//! The `id`, `label`, `source` and attributes of a row group's rows, each as one Parquet page.

use crate::checksum::crc32;
use crate::page_header::{MAX_HEADER, PageHeader, PageKind, push_varint, take_varint};

/// A page of ids, or of an attribute: INT64, PLAIN, no levels.
pub(crate) fn numbers(numbers: &[i64]) -> Vec<u8> {
    page(numbers.len(), &numbers.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>())
}

/// A page of labels: one bit per row says whether the row has a label, then the labels that exist.
pub(crate) fn labels(labels: &[Option<i64>]) -> Vec<u8> {
    let mut levels = Vec::new();
    let groups = labels.len().div_ceil(8);
    push_varint((groups << 1 | 1) as u32, &mut |byte| levels.push(byte));
    levels.extend(labels.chunks(8).map(|eight| {
        eight.iter().enumerate().fold(0, |bits, (i, label)| bits | u8::from(label.is_some()) << i)
    }));
    let mut body = (levels.len() as u32).to_le_bytes().to_vec();
    body.extend(levels);
    body.extend(labels.iter().flatten().flat_map(|label| label.to_le_bytes()));
    page(labels.len(), &body)
}

/// A page of sources: for each row the length, then the UTF-8.
pub(crate) fn sources(sources: &[String]) -> Vec<u8> {
    let mut body = Vec::new();
    for source in sources {
        body.extend((source.len() as u32).to_le_bytes());
        body.extend(source.as_bytes());
    }
    page(sources.len(), &body)
}

fn page(values: usize, body: &[u8]) -> Vec<u8> {
    let kind = PageKind::Plain;
    let (length, crc) = (body.len(), crc32(body));
    let header = PageHeader { kind, body: length, decompressed: length, crc, values };
    let mut bytes = [0; MAX_HEADER];
    let length = header.encode(&mut bytes);
    [&bytes[..length], body].concat()
}

const WRONG: &str = "its page does not hold what its header says";

/// Reads the ids, or the values of an attribute, from `page`.
pub(crate) fn read_numbers(page: &[u8], rows: usize) -> Result<Vec<i64>, &'static str> {
    let body = PageHeader::open(page, PageKind::Plain, rows)?;
    read_i64s(body, rows).ok_or(WRONG)
}

/// Reads the labels from `page`.
pub(crate) fn read_labels(page: &[u8], rows: usize) -> Result<Vec<Option<i64>>, &'static str> {
    fn read(body: &[u8], rows: usize) -> Option<Vec<Option<i64>>> {
        let (length, rest) = body.split_first_chunk()?;
        let (mut levels, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let groups = rows.div_ceil(8);
        if take_varint(&mut levels)? as usize != (groups << 1 | 1) || levels.len() != groups {
            return None;
        }
        let is_some = |row: usize| levels[row / 8] >> (row % 8) & 1 == 1;
        let mut values =
            read_i64s(rest, (0..rows).filter(|row| is_some(*row)).count())?.into_iter();
        Some((0..rows).map(|row| if is_some(row) { values.next() } else { None }).collect())
    }
    read(PageHeader::open(page, PageKind::Plain, rows)?, rows).ok_or(WRONG)
}

/// Reads the sources from `page`.
pub(crate) fn read_sources(page: &[u8], rows: usize) -> Result<Vec<String>, &'static str> {
    fn read(mut body: &[u8], rows: usize) -> Option<Vec<String>> {
        let mut sources = Vec::new();
        for _ in 0..rows {
            let (length, rest) = body.split_first_chunk()?;
            let (source, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            sources.push(std::str::from_utf8(source).ok()?.to_string());
            body = rest;
        }
        body.is_empty().then_some(sources)
    }
    read(PageHeader::open(page, PageKind::Plain, rows)?, rows).ok_or(WRONG)
}

fn read_i64s(bytes: &[u8], count: usize) -> Option<Vec<i64>> {
    let (values, rest) = bytes.as_chunks();
    (rest.is_empty() && values.len() == count)
        .then(|| values.iter().map(|value| i64::from_le_bytes(*value)).collect())
}
