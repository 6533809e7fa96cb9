//! Thrift's compact protocol, read from bytes that may have been made to harm.
//!
//! Format: `thrift-compact-protocol.md` of the Thrift project. Nothing here allocates, a list never
//! has more elements than bytes are left, and nesting ends at [`DEEPEST`]: so who walks a
//! structure, or allocates by the length of a list, spends no more than a multiple of its bytes.

#![warn(missing_docs)]

/// Structs, lists and maps within each other. Parquet's own structures are nine deep.
pub const DEEPEST: usize = 32;

/// A result, or what is wrong with the bytes.
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

/// A value that comes next. It must be taken by one of its methods, or skipped.
#[derive(Debug)]
#[must_use]
pub struct Value<'r, 'a> {
    kind: u8,
    from: &'r mut Thrift<'a>,
}

impl<'a> Thrift<'a> {
    /// Reads these bytes from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: 0, structs: 0 }
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many structs it has come across.
    pub fn structs(&self) -> u64 {
        self.structs
    }

    /// Reads a struct, which no header announces. `take` gets the number and the value of each
    /// field.
    ///
    /// # Errors
    /// What is wrong with the bytes, and what `take` says.
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

    /// The number of elements, each of which takes a byte or more.
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
    /// A whole number of any size.
    ///
    /// # Errors
    /// It is something else, or cut off.
    pub fn number(self) -> Result<i64> {
        match self.kind {
            I16 | I32 | I64 => self.from.zigzag(),
            BYTE => Ok(i64::from(self.from.byte()? as i8)),
            _ => Err(OTHER_TYPE.into()),
        }
    }

    /// A string, or bytes.
    ///
    /// # Errors
    /// It is something else, or cut off.
    pub fn binary(self) -> Result<&'a [u8]> {
        if self.kind != BINARY {
            return Err(OTHER_TYPE.into());
        }
        let length = self.from.varint()?;
        self.from.bytes(length)
    }

    /// A struct. `take` gets the number and the value of each field.
    ///
    /// # Errors
    /// It is something else, or malformed; and what `take` says.
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

    /// A list. `begin` gets its length, which is no more than the bytes that are left, then `take`
    /// each element.
    ///
    /// # Errors
    /// It is something else, or malformed; and what `begin` and `take` say.
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

    /// Passes over it.
    ///
    /// # Errors
    /// It is malformed.
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

/// Among elements a boolean is a byte of its own; as a field its type says it all.
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
