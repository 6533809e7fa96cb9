//! The header of a `.npy` file: a version, and a Python dictionary with type, order and shape.
//!
//! Only the header is parsed, since rows are read where they lie. Crates for this format read whole arrays, or bring a
//! parser of Python along.

use std::io::Read;
use std::path::Path;

use super::element::{Element, Encoded};
use super::plain_file;
use super::row_array::Array;
use crate::{Error, Result};

/// The first bytes of a file.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// The most bytes of a header. NumPy itself refuses more than 10,000.
const LONGEST: usize = 64 << 10;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub encoded: Encoded,
    pub shape: Vec<usize>,
    /// Bytes from the start of the header to the first value.
    pub length: u64,
}

/// Opens the array in a `.npy` file.
///
/// # Errors
/// When it is no such file, or its values cannot be read row by row.
pub fn open(path: &Path) -> Result<Array> {
    let file = plain_file::open(path).map_err(|error| Error::io("read", path, error))?;
    let name = format!("`{}`", path.display());
    let Header { encoded, shape, length } = header(file, &name)?;
    Array::within(path, length, split(shape, &name)?, encoded)
}

/// The number of rows of an array of this shape, and the shape of a row. `name` is the array's in messages.
///
/// # Errors
/// When it has no dimension.
pub fn split(shape: Vec<usize>, name: &str) -> Result<(usize, Vec<usize>)> {
    match shape.split_first() {
        Some((rows, row)) => Ok((*rows, row.to_vec())),
        None => Err(Error::failed(format!("{name} holds a single number, not rows"))
            .hint("the first dimension of an array counts its rows")),
    }
}

/// Reads the header of the array called `name`.
///
/// # Errors
/// When it is not one, or the values are pickled, in Fortran's order, or of a type that holds no numbers.
pub fn header(mut from: impl Read, name: &str) -> Result<Header> {
    let not_one = |what: &str| {
        Error::failed(format!("{name} is no .npy file: {what}"))
            .hint("write it with `numpy.save(file, array)`")
    };
    let mut start = [0; 8];
    from.read_exact(&mut start).map_err(|_| not_one("it is cut off"))?;
    if !start.starts_with(MAGIC) {
        return Err(not_one("it does not begin as one"));
    }
    // The length of the header has two bytes in version 1, and four in versions 2 and 3.
    let mut length = [0; 4];
    let of_length = if start[6] == 1 { 2 } else { 4 };
    if !(1..=3).contains(&start[6]) {
        return Err(not_one(&format!("version {} of the format is not known", start[6])));
    }
    from.read_exact(&mut length[..of_length]).map_err(|_| not_one("it is cut off"))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        return Err(not_one(&format!("a header of {length} bytes")));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).map_err(|_| not_one("it is cut off"))?;
    let text = String::from_utf8(text).map_err(|_| not_one("its header is not text"))?;
    let fields = Fields::parse(&text).ok_or_else(|| not_one(&format!("its header is {text:?}")))?;
    let encoded = encoded(&fields.descr, name)?;
    // With one dimension both orders are one.
    if fields.fortran_order && fields.shape.len() > 1 {
        let message = format!("{name} is in Fortran's order: its rows do not lie in one piece");
        return Err(Error::failed(message)
            .hint("write it with `numpy.save(file, numpy.ascontiguousarray(array))`"));
    }
    let length = (start.len() + of_length + length) as u64;
    Ok(Header { encoded, shape: fields.shape, length })
}

/// The type that a `descr` names, such as `<f4`.
fn encoded(descr: &str, name: &str) -> Result<Encoded> {
    let refused = |what: &str, hint: &'static str| {
        Err(Error::failed(format!("{name} {what} (`descr` {descr})")).hint(hint))
    };
    let Some((order, kind)) = descr.split_at_checked(1) else {
        return refused("says no type", "write it with `numpy.save(file, array)`");
    };
    let (kind, big_endian) = match order {
        "<" | "|" | "=" => (kind, false),
        ">" => (kind, true),
        _ => (descr, false),
    };
    let element = match kind {
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        "b1" | "u1" => Element::Whole { bytes: 1, signed: false },
        "i1" => Element::Whole { bytes: 1, signed: true },
        "u2" => Element::Whole { bytes: 2, signed: false },
        "i2" => Element::Whole { bytes: 2, signed: true },
        "u4" => Element::Whole { bytes: 4, signed: false },
        "i4" => Element::Whole { bytes: 4, signed: true },
        "u8" => Element::Whole { bytes: 8, signed: false },
        "i8" => Element::Whole { bytes: 8, signed: true },
        _ if kind.starts_with('O') => {
            return refused(
                "holds Python objects, which are pickled, and pickles are not read",
                "write numbers of one shape: `numpy.save(file, numpy.stack(rows).astype('float32'))`",
            );
        }
        _ => {
            return refused(
                "holds values of a type that is not read",
                "write it as f16 or f32: `numpy.save(file, array.astype('float32'))`",
            );
        }
    };
    Ok(Encoded { element, big_endian })
}

/// The three fields of a header.
struct Fields {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Fields {
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`; keys come in any order.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            rest = after.trim_start().strip_prefix(':')?.trim_start();
            match key {
                "descr" => {
                    // A list stands for a record of several values, which no type has.
                    let (value, after) = match rest.starts_with('[') {
                        true => rest.split_at(rest.rfind(']')? + 1),
                        false => quoted(rest)?,
                    };
                    descr = Some(value.to_owned());
                    rest = after;
                }
                "fortran_order" => {
                    let (value, after) = match rest.strip_prefix("False") {
                        Some(after) => (false, after),
                        None => (true, rest.strip_prefix("True")?),
                    };
                    fortran_order = Some(value);
                    rest = after;
                }
                "shape" => {
                    let (inner, after) = rest.strip_prefix('(')?.split_once(')')?;
                    let sides = inner.split(',').map(str::trim).filter(|it| !it.is_empty());
                    let side = |it: &str| it.trim_end_matches('L').parse().ok();
                    shape = Some(sides.map(side).collect::<Option<Vec<usize>>>()?);
                    rest = after;
                }
                _ => return None,
            }
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        Some(Self { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }
}

/// The text in quotes at the start of `text`, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|it| matches!(it, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(version: u8, text: &str) -> Vec<u8> {
        let mut bytes = [MAGIC, &[version, 0]].concat();
        match version {
            1 => bytes.extend((text.len() as u16).to_le_bytes()),
            _ => bytes.extend((text.len() as u32).to_le_bytes()),
        }
        bytes.extend(text.as_bytes());
        bytes
    }

    fn read(text: &str) -> Result<Header, String> {
        header(file(1, text).as_slice(), "`a.npy`").map_err(|error| error.to_string())
    }

    #[test]
    fn headers_of_all_versions_are_read() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }        \n";
        for version in [1, 2, 3] {
            let found = header(file(version, text).as_slice(), "`a.npy`").unwrap();
            let length = if version == 1 { 10 } else { 12 } + text.len() as u64;
            let encoded = Encoded::little(Element::F32);
            assert_eq!(found, Header { encoded, shape: vec![3, 4], length });
        }
        let turned = "{\"shape\": (7,), \"fortran_order\": True, \"descr\": \">f2\"}";
        let found = read(turned).unwrap();
        assert_eq!((found.shape, found.encoded.big_endian), (vec![7], true));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let of =
            |descr: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3, 4)}}");
        for (text, told) in [
            (of("'|O'"), "pickled"),
            (of("'<c8'"), "of a type that is not read"),
            (of("'<U5'"), "of a type that is not read"),
            (of("[('a', '<f4'), ('b', '<i8')]"), "of a type that is not read"),
            (of("''"), "says no type"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4)}".into(), "Fortran's order"),
            ("{'descr': '<f4', 'shape': (3, 4)}".into(), "its header is"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4)}".into(), "its header is"),
            ("{'descr'".into(), "its header is"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        for bytes in
            [&b""[..], b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00\x00\x00", b"not a file of arrays"]
        {
            assert!(header(bytes, "`a.npy`").is_err());
        }
        let cut = file(1, "{'descr'");
        assert!(header(&cut[..cut.len() - 1], "`a.npy`").is_err());
        let long = [MAGIC, &[2, 0], &u32::MAX.to_le_bytes()].concat();
        assert!(
            header(long.as_slice(), "`a.npy`").unwrap_err().to_string().contains("a header of")
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            sides in prop::collection::vec(0usize..100_000, 0..6),
            (kind, element) in prop::sample::select(vec![
                ("f2", Element::F16),
                ("f4", Element::F32),
                ("f8", Element::F64),
                ("i8", Element::Whole { bytes: 8, signed: true }),
                ("u2", Element::Whole { bytes: 2, signed: false }),
            ]),
            big_endian in any::<bool>(),
            version in 1u8..=3,
            spaces in 0usize..64,
        ) {
            let order = if big_endian { '>' } else { '<' };
            let inside: String = match sides.as_slice() {
                // As Python writes a tuple of one.
                [one] => format!("{one},"),
                sides => sides.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
            };
            let text = format!(
                "{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({inside}), }}{}\n",
                " ".repeat(spaces)
            );
            let bytes = file(version, &text);
            let found = header(bytes.as_slice(), "`a.npy`").unwrap();
            let encoded = Encoded { element, big_endian };
            let length = bytes.len() as u64;
            prop_assert_eq!(found, Header { encoded, shape: sides, length });
            for end in 0..bytes.len() {
                prop_assert!(header(&bytes[..end], "`a.npy`").is_err(), "cut off at {}", end);
            }
        }

        #[test]
        fn no_bytes_are_read_as_something_else(
            version in 0u8..5,
            text in "[ -~]{0,80}|\\{'descr': ?'[<>|=]?[a-zA-Z][0-9]{0,3}', ?'shape': ?\\([0-9, ]{0,12}\\)[^a]{0,40}",
        ) {
            // Whatever it is, it is a header or an error; it never panics, and never allocates what it claims.
            if let Ok(found) = header(file(version, &text).as_slice(), "`a.npy`") {
                prop_assert!(text.contains("descr") && text.contains("fortran_order"));
                prop_assert!((1..=3).contains(&version) && found.length >= text.len() as u64);
            }
        }
    }
}
