//! A reader of Thrift's compact protocol, safe for hostile bytes.
//!
//! Format: `thrift-compact-protocol.md` of the Thrift project. Nothing here allocates, a list never has more elements
//! than bytes are left, and nesting ends at [`DEEPEST`]. So a caller that walks a structure, or allocates by the
//! length of a list, spends at most a multiple of its bytes.

#![warn(missing_docs)]

/// The deepest nesting of structs, lists and maps that is read. Parquet's own structures are nine deep.
pub const DEEPEST: usize = 32;

/// A result; the error says what is wrong with the bytes.
pub type Result<T> = std::result::Result<T, String>;

const CUT_OFF: &str = "it is cut off";
const OTHER_TYPE: &str = "a field is of another type than Parquet says";

// Types of fields and elements.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Bytes being read, from the front.
#[derive(Debug)]
pub struct Thrift<'a> {
    rest: &'a [u8],
    depth: usize,
    structs: u64,
}

/// The value that comes next. It must be taken by one of its methods, or skipped.
#[derive(Debug)]
#[must_use]
pub struct Value<'r, 'a> {
    kind: u8,
    from: &'r mut Thrift<'a>,
}

impl<'a> Thrift<'a> {
    /// Reads `bytes` from the beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: 0, structs: 0 }
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The number of structs read so far.
    pub fn structs(&self) -> u64 {
        self.structs
    }

    /// Reads a struct that no header announces. Calls `take` with the number and the value of each field.
    ///
    /// # Errors
    /// What is wrong with the bytes, and the errors of `take`.
    pub fn fields(&mut self, take: impl FnMut(i16, Value<'_, 'a>) -> Result<()>) -> Result<()> {
        Value { kind: STRUCT, from: self }.fields(take)
    }

    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(*first)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8]> {
        let length = usize::try_from(length).map_err(|_| CUT_OFF)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number has more than 64 bits".into())
    }

    fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Checks a number of elements, each of which takes at least one byte.
    fn elements(&mut self, count: u64) -> Result<usize> {
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or_else(|| "a list has more elements than bytes are left".into())
    }

    fn enter(&mut self) -> Result<()> {
        if self.depth == DEEPEST {
            return Err("it is nested too deep".into());
        }
        self.depth += 1;
        Ok(())
    }
}

impl<'a> Value<'_, 'a> {
    /// Takes a whole number of any size.
    ///
    /// # Errors
    /// When the value is of another type, or cut off.
    pub fn number(self) -> Result<i64> {
        match self.kind {
            I16 | I32 | I64 => self.from.zigzag(),
            BYTE => Ok(i64::from(self.from.byte()? as i8)),
            _ => Err(OTHER_TYPE.into()),
        }
    }

    /// Takes a string, or bytes.
    ///
    /// # Errors
    /// When the value is of another type, or cut off.
    pub fn binary(self) -> Result<&'a [u8]> {
        if self.kind != BINARY {
            return Err(OTHER_TYPE.into());
        }
        let length = self.from.varint()?;
        self.from.bytes(length)
    }

    /// Takes a struct. Calls `take` with the number and the value of each field.
    ///
    /// # Errors
    /// When the value is of another type or malformed; and the errors of `take`.
    pub fn fields(self, mut take: impl FnMut(i16, Value<'_, 'a>) -> Result<()>) -> Result<()> {
        if self.kind != STRUCT {
            return Err(OTHER_TYPE.into());
        }
        let from = self.from;
        from.enter()?;
        from.structs += 1;
        let mut number = 0i16;
        loop {
            let header = from.byte()?;
            let kind = header & 0x0f;
            if kind == 0 {
                break;
            }
            number = match header >> 4 {
                0 => i16::try_from(from.zigzag()?).ok(),
                delta => number.checked_add(i16::from(delta)),
            }
            .ok_or("a field has no number")?;
            take(number, Value { kind, from })?;
        }
        from.depth -= 1;
        Ok(())
    }

    /// Takes a list. Calls `begin` with its length, at most the number of bytes left, then `take` with each element.
    ///
    /// # Errors
    /// When the value is of another type or malformed; and the errors of `begin` and `take`.
    pub fn list(
        self,
        begin: impl FnOnce(usize) -> Result<()>,
        mut take: impl FnMut(Value<'_, 'a>) -> Result<()>,
    ) -> Result<()> {
        if self.kind != LIST && self.kind != SET {
            return Err(OTHER_TYPE.into());
        }
        let from = self.from;
        from.enter()?;
        let header = from.byte()?;
        let count = match header >> 4 {
            15 => from.varint()?,
            short => u64::from(short),
        };
        let count = from.elements(count)?;
        let kind = element(header & 0x0f);
        begin(count)?;
        for _ in 0..count {
            take(Value { kind, from: &mut *from })?;
        }
        from.depth -= 1;
        Ok(())
    }

    /// Skips the value.
    ///
    /// # Errors
    /// When the value is malformed.
    pub fn skip(self) -> Result<()> {
        match self.kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.from.byte().map(drop),
            I16 | I32 | I64 => self.from.varint().map(drop),
            DOUBLE => self.from.bytes(8).map(drop),
            UUID => self.from.bytes(16).map(drop),
            BINARY => self.binary().map(drop),
            STRUCT => self.fields(|_, value| value.skip()),
            LIST | SET => self.list(|_| Ok(()), |element| element.skip()),
            MAP => self.skip_map(),
            _ => Err("there is no such type".into()),
        }
    }

    fn skip_map(self) -> Result<()> {
        let from = self.from;
        from.enter()?;
        let count = from.varint()?;
        let count = from.elements(count)?;
        if count > 0 {
            let kinds = from.byte()?;
            for _ in 0..count {
                Value { kind: element(kinds >> 4), from: &mut *from }.skip()?;
                Value { kind: element(kinds & 0x0f), from: &mut *from }.skip()?;
            }
        }
        from.depth -= 1;
        Ok(())
    }
}

/// The kind of a list element. A boolean element is a byte of its own; a boolean field is all in its type.
fn element(kind: u8) -> u8 {
    if kind == TRUE || kind == FALSE { BYTE } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(bytes: &[u8]) -> Result<()> {
        Thrift::new(bytes).fields(|_, value| value.skip())
    }

    #[test]
    fn fields_come_with_their_numbers() {
        // 1: -3, 3: true, then by its full number 200: "ab", 201: [7, 8]
        let bytes =
            [0x15, 5, 0x21, 0x08, 0x90, 0x03, 2, b'a', b'b', 0x19, 0x25, 14, 16, 0x00, 0xee];
        let mut thrift = Thrift::new(&bytes);
        let mut numbers = Vec::new();
        let mut seen = Vec::new();
        let read = thrift.fields(|number, value| {
            seen.push(number);
            match number {
                1 => numbers.push(value.number()?),
                200 => assert_eq!(value.binary()?, b"ab"),
                201 => value.list(
                    |count| {
                        assert_eq!(count, 2);
                        Ok(())
                    },
                    |element| {
                        numbers.push(element.number()?);
                        Ok(())
                    },
                )?,
                _ => value.skip()?,
            }
            Ok(())
        });
        assert_eq!(read, Ok(()));
        assert_eq!((numbers, seen), (vec![-3, 7, 8], vec![1, 3, 200, 201]));
        assert_eq!((thrift.rest(), thrift.structs()), (&[0xee][..], 1));
        for cut in 0..bytes.len() - 1 {
            assert!(walk(&bytes[..cut]).is_err(), "cut to {cut}");
        }
    }

    #[test]
    fn lists_longer_than_the_bytes_are_refused() {
        let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
        let list = [&[0x19, 0xfc][..], &most, &[0; 8]].concat();
        assert_eq!(walk(&list), Err("a list has more elements than bytes are left".into()));
        let map = [&[0x1b][..], &most, &[0x55; 8]].concat();
        assert_eq!(walk(&map), Err("a list has more elements than bytes are left".into()));
        let binary = [&[0x18][..], &most, &[0; 8]].concat();
        assert_eq!(walk(&binary), Err(CUT_OFF.into()));
        let number = [&[0x16][..], &[0xff; 9], &[0x02, 0]].concat();
        assert_eq!(walk(&number), Err("a number has more than 64 bits".into()));
    }

    #[test]
    fn nesting_ends() {
        let nested = |depth: usize| [vec![0x1c; depth - 1], vec![0; depth]].concat();
        assert_eq!(walk(&nested(DEEPEST)), Ok(()));
        assert_eq!(walk(&nested(DEEPEST + 1)), Err("it is nested too deep".into()));
        // Lists of one list each.
        let lists = [vec![0x19], vec![0x19; 1 << 20]].concat();
        assert_eq!(walk(&lists), Err("it is nested too deep".into()));
        assert_eq!(walk(&[0x1f]), Err("there is no such type".into()));
    }
}
