//! Reads numbers of bytes from a pipeline file: `20000000000`, `"20GB"`, `"1.5 GiB"`.

use super::error_wording::suggest;
use super::origin::Fault;
use super::raw::{self, Optional};

/// The units, and the number of bytes of each.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The number of bytes that `key` holds.
pub fn optional_bytes(value: &Optional<raw::Bytes>, key: &str) -> Result<Option<u64>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let bytes = match value.get_ref() {
        raw::Bytes::Number(bytes) => Ok(*bytes),
        raw::Bytes::Text(text) => parse(text),
    };
    match bytes {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Wrong::Number) => {
            let message = format!("`{key}` must be a number of bytes, such as \"20GB\"");
            Err(Fault::at(value.span(), message))
        }
        Err(Wrong::Unit(unit)) => {
            let fault = Fault::at(value.span(), format!("`{key}` has the unknown unit `{unit}`"));
            Err(match near(&unit) {
                Some(hint) => fault.hint(hint),
                None => fault,
            })
        }
    }
}

enum Wrong {
    Number,
    Unit(String),
}

fn parse(text: &str) -> Result<u64, Wrong> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let scale = match UNITS.iter().find(|(name, _)| *name == unit) {
        _ if number.is_empty() => return Err(Wrong::Number),
        _ if unit.is_empty() => 1,
        Some((_, scale)) => *scale,
        None => return Err(Wrong::Unit(unit.to_owned())),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or(Wrong::Number);
    }
    let bytes = number.parse::<f64>().map_err(|_| Wrong::Number)? * scale as f64;
    // Beyond 2^53 an f64 does not hold every whole number.
    if bytes < (1u64 << 53) as f64 { Ok(bytes as u64) } else { Err(Wrong::Number) }
}

/// A hint for an unknown unit. A unit that differs only in case, `gb` for `GB`, is tried before similar spellings.
fn near(unit: &str) -> Option<String> {
    let names = UNITS.map(|(name, _)| name);
    match names.iter().find(|name| name.eq_ignore_ascii_case(unit)) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None => suggest(unit, &names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_decimal_or_binary_as_they_say() {
        let bytes = |text| parse(text).ok();
        assert_eq!(bytes("20GB"), Some(20_000_000_000));
        assert_eq!(bytes(" 1.5 GiB "), Some(3 << 29));
        assert_eq!(bytes("4096"), Some(4096));
        assert_eq!(bytes("1kB"), Some(1000));
        assert_eq!(bytes("0.5B"), Some(0));
        for wrong in ["", "GB", "1.2.3GB", "20000000000TB", "1e3", "-1MB", "8388608.5TiB"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
