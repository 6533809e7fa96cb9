//! Ctrl-C and SIGTERM: the step in hand ends, its state is saved, and the process exits with 130.

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// The flag that the signals set. A second signal ends the process at once: what was committed, and
/// the last checkpoint, are on disk already.
pub fn flag() -> &'static AtomicBool {
    let handler = || {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    // A handler that is there already does the same.
    let _ = ctrlc::set_handler(handler);
    &STOP
}
