//! Signals, and `--max-runtime`: the step in hand ends, its state is saved, and the process exits with 130
//! after Ctrl-C, with 75 ("run me again") after anything else.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::{exit_code, processes};
use crate::stop::{Stop, Why};

/// Signals that somebody sends, who may do so again to have an end at once.
#[cfg(unix)]
const SIGNALS: [(i32, Why); 4] = [
    (SIGINT, Why::Interrupt),
    (SIGTERM, Why::Terminate),
    (signal_hook::consts::SIGUSR1, Why::User),
    (signal_hook::consts::SIGUSR2, Why::User2),
];
#[cfg(not(unix))]
const SIGNALS: [(i32, Why); 2] = [(SIGINT, Why::Interrupt), (SIGTERM, Why::Terminate)];

/// Signals that come by themselves, and may come again while state is saved: a terminal that is closed sends SIGHUP,
/// and so may its shell; SIGXCPU comes with every second of processor time beyond the limit.
#[cfg(unix)]
const BY_THEMSELVES: [(i32, Why); 2] = [
    (signal_hook::consts::SIGHUP, Why::Hangup),
    (signal_hook::consts::SIGXCPU, Why::ProcessorTime),
];
#[cfg(not(unix))]
const BY_THEMSELVES: [(i32, Why); 0] = [];

/// What comes so soon after a signal is the same.
const ONE_SIGNAL: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

static STOP: LazyLock<Stop> = LazyLock::new(|| {
    let stop = Stop::new();
    // Of signals alone: the first after `--max-runtime` is over must not end a checkpoint.
    let seen = Arc::new(AtomicBool::new(false));
    // Some who send signals, such as `timeout`, send them to a process and to its group: that is one.
    let armed = Arc::new(AtomicBool::new(false));
    for (signal, why) in SIGNALS {
        // Without a handler the signal ends the process at once, and what was committed is kept.
        let code = i32::from(exit_code::of_stop(Some(why)));
        let second = if why == Why::Interrupt { &seen } else { &armed };
        let _ = flag::register_conditional_shutdown(signal, code, second.clone());
        let _ = flag::register(signal, seen.clone());
        let _ = flag::register_usize(signal, stop.place(), why as usize);
    }
    for (signal, why) in BY_THEMSELVES {
        if !is_ignored(signal) {
            let _ = flag::register_usize(signal, stop.place(), why as usize);
        }
    }
    std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            std::thread::sleep(BETWEEN_LOOKS);
        }
        std::thread::sleep(ONE_SIGNAL);
        armed.store(true, Ordering::Relaxed);
    });
    stop
});

/// Whether this process was started to ignore a signal, as `nohup` does it with SIGHUP.
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    mask.is_some_and(|it| it >> (signal - 1) & 1 == 1)
}

/// Elsewhere the system is not asked. A process that has a terminal was not started by `nohup`; one that has none is
/// ended by SIGHUP, if it does not ignore it.
#[cfg(not(target_os = "linux"))]
fn is_ignored(_signal: i32) -> bool {
    use std::io::IsTerminal;
    !(std::io::stdout().is_terminal() || std::io::stderr().is_terminal())
}

/// Has a write beyond the file-size limit (`ulimit -f`) be an error, and not the end of the process.
pub fn without_death_by_file_size() {
    // A signal that is handled leaves the error to the write. Nobody looks at the flag.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// What the signals set. A second signal, or Ctrl-C after any, ends the process at once: what was committed, and the last
/// checkpoint, are on disk already.
pub fn stop() -> &'static Stop {
    &STOP
}

/// Has a process that another one of this program has started stop when that is no more.
pub fn with_supervisor() {
    if !processes::is_supervised() {
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
    /// 75. SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 do the same; leave some seconds before a scheduler's limit
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
