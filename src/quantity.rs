//! Quantities in words: `3 rows`, `1.23 MB`.

/// A count with its noun: "1 row", "2 rows".
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// A number of bytes for people: `1.23 MB`.
pub(crate) fn bytes_in_words(count: u64) -> String {
    format!("{:.2}", bytesize::ByteSize(count).display().si())
}

/// A number of bytes for tables: `1.2 MB`.
pub(crate) fn short_bytes(count: u64) -> String {
    format!("{:.1}", bytesize::ByteSize(count).display().si())
}
