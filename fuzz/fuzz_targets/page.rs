//! The pages of a part, with checksums that fit; before them a byte that says how they are
//! compressed.
#![no_main]

use gimlet_fuzz::store::Fixtures;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static FIXTURES: Fixtures = Fixtures::new();
}

fuzz_target!(|bytes: &[u8]| {
    let _ = FIXTURES.with(|fixtures| fixtures.read_with_pages(bytes));
});
