//! Signals, and `--max-runtime`: the current step ends, its state is saved, and the process exits with 130
//! after Ctrl-C, otherwise with 75 ("run me again").

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::{exit_code, processes};
use crate::stop::{Stop, Why};

/// Signals sent on purpose. A second one ends the process at once.
#[cfg(unix)]
const SIGNALS: [(i32, Why); 4] = [
    (SIGINT, Why::Interrupt),
    (SIGTERM, Why::Terminate),
    (signal_hook::consts::SIGUSR1, Why::User),
    (signal_hook::consts::SIGUSR2, Why::User2),
];
#[cfg(not(unix))]
const SIGNALS: [(i32, Why); 2] = [(SIGINT, Why::Interrupt), (SIGTERM, Why::Terminate)];

/// Signals that the system sends, and may send again while state is saved: a closed terminal sends SIGHUP, and
/// so may its shell; SIGXCPU comes with every second of processor time beyond the limit.
#[cfg(unix)]
const BY_THEMSELVES: [(i32, Why); 2] = [
    (signal_hook::consts::SIGHUP, Why::Hangup),
    (signal_hook::consts::SIGXCPU, Why::ProcessorTime),
];
#[cfg(not(unix))]
const BY_THEMSELVES: [(i32, Why); 0] = [];

/// A signal within this time after the first counts as the same one.
const ONE_SIGNAL: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

static STOP: LazyLock<Stop> = LazyLock::new(|| {
    let stop = Stop::new();
    // Set by signals only: after `--max-runtime`, the first signal must not end the process during a
    // checkpoint.
    let seen = Arc::new(AtomicBool::new(false));
    // `timeout` and others send a signal to a process and to its group: that counts as one.
    let armed = Arc::new(AtomicBool::new(false));
    for (signal, why) in SIGNALS {
        // If no handler can be set, the signal ends the process at once; what was committed is kept.
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

/// Whether this process was started with the signal ignored, as `nohup` does with SIGHUP.
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    mask.is_some_and(|it| it >> (signal - 1) & 1 == 1)
}

/// Whether this process was started with the signal ignored, guessed without asking the system: yes if it has
/// no terminal, since `nohup` redirects output. Without a handler, SIGHUP ends a process unless it is ignored.
#[cfg(not(target_os = "linux"))]
fn is_ignored(_signal: i32) -> bool {
    use std::io::IsTerminal;
    !(std::io::stdout().is_terminal() || std::io::stderr().is_terminal())
}

/// Makes a write beyond the file-size limit (`ulimit -f`) an error instead of the end of the process.
pub fn without_death_by_file_size() {
    // If the signal has a handler, the write returns an error. The flag itself is not used.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// The stop that signals set. A second signal, or Ctrl-C after any signal, ends the process at once: what was
/// committed, and the last checkpoint, are on disk already.
pub fn stop() -> &'static Stop {
    &STOP
}

/// Makes this process stop when the process of this program that started it has ended.
pub fn with_supervisor() {
    if !processes::is_supervised() {
        return;
    }
    std::thread::spawn(|| {
        // Nothing is written to stdin: the read returns when the other process ends.
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
    /// Starts the clock.
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
