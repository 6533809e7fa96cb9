//! Thrift's compact protocol as a tree that can be changed and written again.

/// A value, of any type.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// The type of the field says it all.
    Flag(u8),
    /// Bytes that stand for a value of some type, right or wrong.
    Raw(u8, Vec<u8>),
    /// A whole number of a type.
    Number(u8, i64),
    Binary(Vec<u8>),
    /// Elements of a type.
    List(u8, Vec<Tree>),
    Struct(Vec<(i16, Tree)>),
}

pub const I32: u8 = 5;
pub const I64: u8 = 6;
pub const BINARY: u8 = 8;
pub const LIST: u8 = 9;
pub const STRUCT: u8 = 12;

impl Tree {
    /// The struct at the front of `bytes`, and what follows it.
    pub fn read(mut bytes: &[u8]) -> Option<(Self, &[u8])> {
        let tree = read(&mut bytes, STRUCT, 0)?;
        Some((tree, bytes))
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(&mut out);
        out
    }

    /// The field `number` of a struct.
    pub fn field(&mut self, number: i16) -> &mut Tree {
        let Tree::Struct(fields) = self else { panic!("{self:?} is no struct") };
        &mut fields.iter_mut().find(|(field, _)| *field == number).expect("the field is there").1
    }

    /// The elements of a list.
    pub fn elements(&mut self) -> &mut Vec<Tree> {
        let Tree::List(_, elements) = self else { panic!("{self:?} is no list") };
        elements
    }

    pub fn number(&self) -> i64 {
        let Tree::Number(_, number) = self else { panic!("{self:?} is no number") };
        *number
    }

    /// Every node, a parent before its children.
    pub fn nodes(&mut self, visit: &mut impl FnMut(&mut Tree)) {
        visit(self);
        match self {
            Tree::List(_, elements) => elements.iter_mut().for_each(|it| it.nodes(visit)),
            Tree::Struct(fields) => fields.iter_mut().for_each(|(_, it)| it.nodes(visit)),
            _ => {}
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Tree::Flag(kind) | Tree::Raw(kind, _) | Tree::Number(kind, _) => *kind,
            Tree::Binary(_) => BINARY,
            Tree::List(..) => LIST,
            Tree::Struct(_) => STRUCT,
        }
    }

    fn append(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Flag(_) => {}
            Tree::Raw(_, bytes) => out.extend(bytes),
            Tree::Number(_, number) => varint(zigzag(*number), out),
            Tree::Binary(bytes) => {
                varint(bytes.len() as u64, out);
                out.extend(bytes);
            }
            Tree::List(kind, elements) => {
                list_header(*kind, elements.len() as u64, out);
                elements.iter().for_each(|element| element.append(out));
            }
            Tree::Struct(fields) => {
                let mut last = 0i16;
                for (number, value) in fields {
                    match number.checked_sub(last) {
                        Some(delta @ 1..=15) => out.push((delta as u8) << 4 | value.kind()),
                        _ => {
                            out.push(value.kind());
                            varint(zigzag(i64::from(*number)), out);
                        }
                    }
                    value.append(out);
                    last = *number;
                }
                out.push(0);
            }
        }
    }
}

/// The footer at the end of a Parquet file.
pub fn footer(file: &[u8]) -> Option<Tree> {
    Some(Tree::read(file.get(footer_start(file)?..)?)?.0)
}

/// Where it begins.
pub fn footer_start(file: &[u8]) -> Option<usize> {
    let length = file.len().checked_sub(8)?;
    let footer = u32::from_le_bytes(*file[length..].first_chunk()?);
    length.checked_sub(footer as usize)
}

/// The file with another footer.
pub fn with_footer(file: &[u8], footer: &[u8]) -> Vec<u8> {
    let start = footer_start(file).expect("a footer");
    [&file[..start], footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// The header of a list, true or not.
pub fn list_header(kind: u8, count: u64, out: &mut Vec<u8>) {
    if count < 15 {
        out.push((count as u8) << 4 | kind);
    } else {
        out.push(0xf0 | kind);
        varint(count, out);
    }
}

pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn read(bytes: &mut &[u8], kind: u8, depth: usize) -> Option<Tree> {
    if depth > 32 {
        return None;
    }
    match kind {
        1 | 2 => Some(Tree::Flag(kind)),
        3 => take(bytes, 1).map(|byte| Tree::Raw(kind, byte)),
        4..=6 => {
            let value = take_varint(bytes)?;
            Some(Tree::Number(kind, (value >> 1) as i64 ^ -((value & 1) as i64)))
        }
        7 => take(bytes, 8).map(|double| Tree::Raw(kind, double)),
        8 => {
            let length = take_varint(bytes)?;
            take(bytes, length).map(Tree::Binary)
        }
        9 | 10 => {
            let header = take(bytes, 1)?[0];
            let count =
                if header >> 4 == 15 { take_varint(bytes)? } else { u64::from(header >> 4) };
            if count > bytes.len() as u64 {
                return None;
            }
            let kind = header & 15;
            let element = if kind < 3 { 3 } else { kind };
            let elements = (0..count).map(|_| read(bytes, element, depth + 1));
            Some(Tree::List(kind, elements.collect::<Option<_>>()?))
        }
        12 => {
            let mut fields = Vec::new();
            let mut number = 0i16;
            loop {
                let header = take(bytes, 1)?[0];
                if header & 15 == 0 {
                    return Some(Tree::Struct(fields));
                }
                number = match header >> 4 {
                    0 => {
                        let value = take_varint(bytes)?;
                        i16::try_from((value >> 1) as i64 ^ -((value & 1) as i64)).ok()?
                    }
                    delta => number.checked_add(i16::from(delta))?,
                };
                fields.push((number, read(bytes, header & 15, depth + 1)?));
            }
        }
        _ => None,
    }
}

fn take(bytes: &mut &[u8], length: u64) -> Option<Vec<u8>> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken.to_vec())
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
