//! Damage of all kinds, the same for the same seed.

use crate::tree::{self, Tree};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end`, without it; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Numbers at which something may change its mind.
pub const NUMBERS: [i64; 16] = [
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    65_536,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    i32::MIN as i64,
    u32::MAX as i64,
    1 << 53,
    i64::MAX,
    i64::MIN,
];

/// What may stand where a number or a word stood in JSON or TOML.
const WORDS: [&str; 28] = [
    "0",
    "1",
    "-1",
    "2",
    "255",
    "65536",
    "2147483647",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
    "-0.0",
    "0.5",
    "nan",
    "inf",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"..\"",
    "\"/etc/passwd\"",
    "\"part-00001.parquet\"",
    "\"\\u0000\"",
    "[[[[[[[[1]]]]]]]]",
];

/// One to three changes to a copy of `seed`: bits, bytes, lengths, and pieces of `other`.
pub fn bytes(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let end = at + random.below((bytes.len() - at).min(64) + 1);
        match random.below(9) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => bytes[at] = *random.one_of(&[0, 1, 0x7f, 0x80, 0xfc, 0xff]),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            6 => {
                let from = random.below(other.len());
                let to = from + random.below((other.len() - from).min(256) + 1);
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            7 => {
                let mut number = Vec::new();
                tree::varint(*random.one_of(&NUMBERS) as u64, &mut number);
                bytes.splice(at..end.min(at + 2), number);
            }
            _ => {
                let number = (*random.one_of(&NUMBERS) as u32).to_le_bytes();
                let end = bytes.len().min(at + 4);
                bytes.splice(at..end, number);
            }
        }
    }
    bytes
}

/// One to three words of a text in JSON or TOML replaced by others.
pub fn words(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut text = seed.to_vec();
    for _ in 0..=random.below(3) {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        let mut at = random.below(text.len());
        while at < text.len() && !is_word(&text[at]) {
            at += 1;
        }
        let mut start = at;
        while start > 0 && is_word(&text[start - 1]) {
            start -= 1;
        }
        let mut end =
            text[at..].iter().position(|byte| !is_word(byte)).map_or(text.len(), |n| at + n);
        // Sometimes with its quotes.
        if start > 0
            && text[start - 1] == b'"'
            && text.get(end) == Some(&b'"')
            && random.below(2) == 0
        {
            (start, end) = (start - 1, end + 1);
        }
        text.splice(start..end, random.one_of(&WORDS).bytes());
    }
    text
}

/// A change to the meaning of a Thrift struct, in one to three places.
pub fn tree(random: &mut Random, seed: &Tree) -> Vec<u8> {
    let mut tree = seed.clone();
    for _ in 0..=random.below(3) {
        let mut nodes = 0;
        tree.nodes(&mut |_| nodes += 1);
        let mut left = random.below(nodes);
        tree.nodes(&mut |node| {
            if left == 0 {
                change(random, node);
            }
            left = left.wrapping_sub(1);
        });
    }
    tree.write()
}

fn change(random: &mut Random, node: &mut Tree) {
    match node {
        Tree::Number(_, number) => {
            *number = match random.below(3) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_sub(1),
                _ => *random.one_of(&NUMBERS),
            }
        }
        Tree::Flag(kind) => *kind = 3 - *kind,
        Tree::Binary(bytes) | Tree::Raw(_, bytes) => {
            let other = bytes.clone();
            *bytes = self::bytes(random, bytes, &other);
        }
        Tree::List(kind, elements) => match random.below(4) {
            0 => drop(elements.pop()),
            1 => elements.extend(elements.first().cloned()),
            2 => elements.reverse(),
            _ => {
                let mut raw = Vec::new();
                tree::list_header(*kind, *random.one_of(&NUMBERS) as u64, &mut raw);
                elements.iter().for_each(|element| raw.extend(element.write()));
                *node = Tree::Raw(tree::LIST, raw);
            }
        },
        Tree::Struct(fields) => match random.below(4) {
            0 => drop(fields.pop()),
            1 => fields.extend(fields.first().cloned()),
            2 => fields.reverse(),
            _ => {
                let nested = Tree::Struct(vec![(1, Tree::Struct(std::mem::take(fields)))]);
                *node = nested;
            }
        },
    }
}
