//! Signals, and `--max-runtime`: the step in hand ends, its state is saved, and the process exits with 130
//! after Ctrl-C, with 75 ("run me again") after anything else.

use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::processes::SUPERVISED;
use crate::stop::{AGAIN, Stop, Why};

#[cfg(unix)]
const SIGNALS: [(i32, Why); 3] = [
    (SIGINT, Why::Interrupt),
    (SIGTERM, Why::Terminate),
    (signal_hook::consts::SIGUSR1, Why::User),
];
#[cfg(not(unix))]
const SIGNALS: [(i32, Why); 2] = [(SIGINT, Why::Interrupt), (SIGTERM, Why::Terminate)];

static STOP: LazyLock<Stop> = LazyLock::new(|| {
    let stop = Stop::new();
    // Of signals alone: the first after `--max-runtime` is over must not end a checkpoint.
    let seen = Arc::new(AtomicBool::new(false));
    for (signal, why) in SIGNALS {
        // Without a handler the signal ends the process at once, and what was committed is kept.
        let code = i32::from(why.exit_code());
        let _ = flag::register_conditional_shutdown(signal, code, seen.clone());
        let _ = flag::register(signal, seen.clone());
        let _ = flag::register_usize(signal, stop.place(), why as usize);
    }
    stop
});

/// What the signals set. A second signal ends the process at once: what was committed, and the last
/// checkpoint, are on disk already.
pub fn stop() -> &'static Stop {
    &STOP
}

/// The exit code of a command that was interrupted; where it was not asked itself, its processes were.
pub fn exit_code() -> u8 {
    STOP.why().map_or(AGAIN, Why::exit_code)
}

/// Has a process that another one of this program has started stop when that is no more.
pub fn with_supervisor() {
    if std::env::var_os(SUPERVISED).is_none() {
        return;
    }
    std::thread::spawn(|| {
        // Nothing is ever written there.
        let _ = std::io::stdin().read(&mut [0]);
        STOP.ask(Why::Alone);
    });
}

/// For commands that work for long.
#[derive(Args)]
pub struct RuntimeArgs {
    /// Stop after this time, such as "55m" or "1h 30m": end the step in hand, save its state, and exit with
    /// 75. SIGTERM and SIGUSR1 do the same; leave some seconds before a scheduler's limit
    #[arg(long, value_name = "DURATION", value_parser = positive)]
    max_runtime: Option<Duration>,
}

impl RuntimeArgs {
    /// Has the time begin.
    pub fn begin(&self) {
        if let Some(limit) = self.max_runtime {
            STOP.ask_after(limit);
        }
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("no time at all".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it as \"55m\" or \"1h 30m\"")),
    }
}
