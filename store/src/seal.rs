//! The seal of a record: a last line that reveals any changed bit in the lines before it.

const BEFORE: &str = ",\n  \"seal\": \"";
const AFTER: &str = "\"\n}\n";
const DIGITS: usize = 64;

/// Adds the seal to a JSON object with one member per line. Other values stay as they are.
pub(crate) fn seal(mut json: Vec<u8>) -> Vec<u8> {
    if json.starts_with(b"{\n") && json.ends_with(b"\n}") {
        json.truncate(json.len() - 2);
        let hash = blake3::hash(&json).to_hex();
        json.extend([BEFORE, hash.as_str(), AFTER].concat().bytes());
    } else {
        json.push(b'\n');
    }
    json
}

/// Whether the seal is the right one, or there is none.
pub(crate) fn holds(json: &[u8]) -> bool {
    let sealed = |json: &[u8]| {
        let rest = json.strip_suffix(AFTER.as_bytes())?;
        let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        let body = rest.strip_suffix(BEFORE.as_bytes())?;
        Some(blake3::hash(body).to_hex().as_bytes() == hash)
    };
    sealed(json).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_breaks_with_any_bit_before_it() {
        let value = serde_json::json!({ "loss": 0.25, "key": "ab", "parts": [1, 2] });
        let sealed = seal(serde_json::to_vec_pretty(&value).unwrap());
        assert!(holds(&sealed));
        let read: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!(read["parts"], value["parts"]);
        let end = sealed.len() - BEFORE.len() - DIGITS - AFTER.len();
        for bit in 0..8 * end {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&bytes), "bit {bit}");
        }
    }

    #[test]
    fn what_has_no_seal_is_taken_as_it_is() {
        for json in ["7", "{}", "", "{\n  \"seal\": \"\"\n}\n"] {
            assert!(holds(json.as_bytes()), "{json}");
            assert!(holds(&seal(json.into())), "{json}");
        }
    }
}
