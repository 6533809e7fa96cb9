//! A look at the Arrow schema in a Parquet file of others before the `parquet` crate decodes it. Its
//! fields and names may refer to each other, so that a short one stands for gigabytes.

use arrow_ipc::Message;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flatbuffers::VerifierOptions;

/// The key of the metadata that it is the value of.
pub const KEY: &[u8] = b"ARROW:schema";

/// Bytes that it may stand for, and tables, which are fields, their types and their metadata. Each
/// becomes a structure of some hundred bytes.
const APPARENT_BYTES: usize = 32 << 20;
const TABLES: usize = 100_000;

/// Checks a value in base64. One that is no schema at all the `parquet` crate refuses.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check(value: &[u8]) -> Result<(), String> {
    let Ok(bytes) = BASE64_STANDARD.decode(value) else { return Ok(()) };
    // Before the message there may be a mark and its length.
    let message = match bytes.strip_prefix(&[0xff; 4]) {
        Some(rest) if bytes.len() > 8 => &rest[4..],
        _ => &bytes,
    };
    let limits = VerifierOptions {
        max_apparent_size: APPARENT_BYTES,
        max_tables: TABLES,
        ..VerifierOptions::default()
    };
    match flatbuffers::root_with_opts::<Message>(&limits, message) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("its Arrow schema is damaged or too large: {error}")),
    }
}
