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

/// Seconds in words: `4000.0` is `1 h 6 min`.
pub(crate) fn time_in_words(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}
