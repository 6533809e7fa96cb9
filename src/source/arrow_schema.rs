//! Checks the Arrow schema in a foreign Parquet file before the `parquet` crate decodes it. Fields and names of a
//! schema may refer to each other, so a short schema can stand for gigabytes.

use arrow_ipc::Message;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flatbuffers::VerifierOptions;

/// The metadata key whose value is the schema.
pub const KEY: &[u8] = b"ARROW:schema";

/// The most bytes and tables that a schema may stand for. Fields, their types and their metadata are tables. Each
/// table becomes a structure of some hundred bytes.
const APPARENT_BYTES: usize = 32 << 20;
const TABLES: usize = 100_000;

/// Checks a schema in base64. A value that is no schema at all passes: the `parquet` crate refuses it.
///
/// # Errors
/// What is wrong with the schema, for people.
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
