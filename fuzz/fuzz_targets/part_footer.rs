//! The end of a part: offset indexes and footer.
#![no_main]

use gimlet_fuzz::store::Fixture;
use gimlet_store::Compression;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static FIXTURE: Fixture = Fixture::new(Compression::None);
}

fuzz_target!(|bytes: &[u8]| {
    let _ = FIXTURE.with(|fixture| fixture.read_with_index(bytes));
});
