//! Pipeline files: a plan, or an error that says where; whatever the text.

use std::path::Path;

use gimlet::pipeline::{Environment, Pipeline};
use gimlet::{Error, Kind, Result};

use crate::memory;

/// The most memory that reading a file of this many bytes may take: a tree of what it says with a
/// position for each value, the layers, and a message that shows a line of it.
fn most(bytes: usize) -> u64 {
    (4 << 20) + 256 * bytes as u64
}

/// What the command line has of a file with these bytes. Lines after one of `---` are overrides.
pub fn read(bytes: &[u8]) -> Result<Pipeline> {
    // As `Pipeline::load` says it of a file.
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::new(Kind::Usage, format!("not UTF-8: {error}")))?;
    let (text, overrides) = text.split_once("\n---\n").unwrap_or((text, ""));
    let overrides: Vec<String> = overrides.lines().map(str::to_owned).collect();
    let (read, taken) = memory::peak(|| -> Result<Pipeline> {
        let environment = Environment::default();
        let pipeline = Pipeline::parse(text, Path::new("hostile.toml"), &overrides, &environment)?;
        // What can be known of a run before any data are read.
        if let Some(size) = pipeline.view.settings().size(&pipeline.data.source) {
            pipeline.shapes(size)?;
        }
        Ok(pipeline)
    });
    let most = most(bytes.len());
    assert!(taken <= most, "{taken} bytes of memory, {most} allowed");
    if let Err(error) = &read {
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        assert!(!error.to_string().is_empty());
    }
    read
}
