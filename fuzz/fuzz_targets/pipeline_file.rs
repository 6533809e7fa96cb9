//! The bytes of a pipeline file, and overrides after a line of `---`.
#![no_main]

use gimlet_fuzz::pipeline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = pipeline::read(bytes);
});
