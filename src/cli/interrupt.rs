//! Ctrl-C and SIGTERM: the step in hand ends, its state is saved, and the process exits with 130.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::processes::SUPERVISED;

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Without a handler the signal ends the process at once, and what was committed is kept.
        let _ = flag::register_conditional_shutdown(signal, 130, stop.clone());
        let _ = flag::register(signal, stop.clone());
    }
    stop
});

/// The flag that the signals set. A second signal ends the process at once: what was committed, and
/// the last checkpoint, are on disk already.
pub fn flag() -> &'static AtomicBool {
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
