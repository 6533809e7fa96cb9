//! A request to stop, and its reason. Work checks it often; once asked, it saves its state and ends.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::{Error, Kind, Result};

/// Why a run has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Why {
    /// SIGINT: Ctrl-C.
    Interrupt = 1,
    /// SIGTERM.
    Terminate = 2,
    /// SIGUSR1: schedulers send it some time before a limit.
    User = 3,
    /// The time that `--max-runtime` gives is over.
    Runtime = 4,
    /// The process that started this one has ended.
    Alone = 5,
    /// SIGHUP: the terminal was closed, or its connection has ended.
    Hangup = 6,
    /// SIGUSR2: some tools that submit jobs send it some time before a limit.
    User2 = 7,
    /// SIGXCPU: the soft limit on processor time is over.
    ProcessorTime = 8,
}

impl Why {
    const ALL: [Self; 8] = [
        Self::Interrupt,
        Self::Terminate,
        Self::User,
        Self::Runtime,
        Self::Alone,
        Self::Hangup,
        Self::User2,
        Self::ProcessorTime,
    ];
}

/// A request to stop, which signals and limits set. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    why: Arc<AtomicUsize>,
    /// The limit that `--max-runtime` gives.
    limit: Arc<OnceLock<Duration>>,
}

impl Stop {
    /// A stop that has not been asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value that a signal handler sets to a [`Why`].
    pub fn place(&self) -> Arc<AtomicUsize> {
        self.why.clone()
    }

    /// Asks for a stop.
    pub fn ask(&self, why: Why) {
        let _ = self.why.compare_exchange(0, why as usize, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks for a stop once `limit` has passed, measured by a monotonic clock.
    pub fn ask_after(&self, limit: Duration) {
        let _ = self.limit.set(limit);
        let stop = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            stop.ask(Why::Runtime);
        });
    }

    /// Why a stop was asked for, if it was.
    pub fn why(&self) -> Option<Why> {
        let found = self.why.load(Ordering::Relaxed);
        Why::ALL.into_iter().find(|why| *why as usize == found)
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.why.load(Ordering::Relaxed) != 0
    }

    /// Fails when a stop was asked for. `so_far` says in the message what becomes of the work so far.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check(&self, so_far: &str) -> Result<()> {
        let Some(why) = self.why() else { return Ok(()) };
        let by = match why {
            Why::Interrupt => String::new(),
            Why::Terminate => " by SIGTERM".to_owned(),
            Why::User => " by SIGUSR1".to_owned(),
            Why::Hangup => " by SIGHUP".to_owned(),
            Why::User2 => " by SIGUSR2".to_owned(),
            Why::ProcessorTime => {
                " by SIGXCPU, the limit on processor time (`ulimit -t`)".to_owned()
            }
            Why::Runtime => {
                let limit = self.limit.get().copied().unwrap_or_default();
                format!(" after {}, `--max-runtime`", humantime::format_duration(limit))
            }
            Why::Alone => ", as the process that had started it is no more".to_owned(),
        };
        Err(Error::new(Kind::Interrupted, format!("stopped{by}; {so_far}"))
            .hint("run the same command again to go on"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_counts_and_says_where_it_came_from() {
        let stop = Stop::new();
        assert!(stop.check("kept").is_ok() && !stop.is_asked());
        stop.ask(Why::User);
        stop.ask(Why::Interrupt);
        let error = stop.check("what was done is kept").unwrap_err();
        assert_eq!(error.to_string(), "stopped by SIGUSR1; what was done is kept");
        assert_eq!(stop.why(), Some(Why::User));
    }

    #[test]
    fn a_reason_is_read_back_as_it_was_given() {
        for why in Why::ALL {
            let stop = Stop::new();
            stop.ask(why);
            assert_eq!(stop.why(), Some(why));
        }
    }

    #[test]
    fn the_time_is_told_as_it_was_given() {
        let stop = Stop::new();
        stop.limit.set(Duration::from_secs(55 * 60)).unwrap();
        stop.ask(Why::Runtime);
        let error = stop.check("kept").unwrap_err().to_string();
        assert_eq!(error, "stopped after 55m, `--max-runtime`; kept");
    }
}
