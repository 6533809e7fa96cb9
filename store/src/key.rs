//! Keys: a key determines every byte of a generation.

/// The key of a generation for a description in `bytes`: their BLAKE3 in 64 hexadecimal digits.
pub fn key_of(bytes: impl AsRef<[u8]>) -> String {
    blake3::hash(bytes.as_ref()).to_hex().to_string()
}

/// The name of the folder for a generation's parts, within the folder of the dataset.
pub(crate) fn folder_name(key: &str) -> &str {
    key.get(..16).unwrap_or(key)
}

/// Whether a folder of this name may belong to a key.
pub(crate) fn is_folder_name(name: &str) -> bool {
    name.len() == 16 && is_hex(name)
}

/// Whether a text is a key.
pub(crate) fn is_key(key: &str) -> bool {
    key.len() == 64 && is_hex(key)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}
