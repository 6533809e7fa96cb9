//! Keys: a key determines every byte of a generation.

use std::fmt;
use std::ops::Deref;

/// The key of a generation: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// The key for a description in `bytes`: their BLAKE3.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(blake3::hash(bytes.as_ref()).to_hex().to_string())
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
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
