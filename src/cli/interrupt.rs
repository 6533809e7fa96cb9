//! Ctrl-C and SIGTERM: the step in hand ends, its state is saved, and the process exits with 130.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::processes::SUPERVISED;

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

/// Has a process that another one of this program has started stop when that is no more.
pub fn with_supervisor() {
    if std::env::var_os(SUPERVISED).is_none() {
        return;
    }
    std::thread::spawn(|| {
        // Nothing is ever written there.
        let _ = std::io::stdin().read(&mut [0]);
        STOP.store(true, Ordering::Relaxed);
    });
}
