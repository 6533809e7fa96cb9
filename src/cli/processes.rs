//! Runs other processes of this program, some at a time: the runs of a sweep, the workers of a run.
//!
//! Each process has its own process group, so that Ctrl-C reaches it only through us: a second signal would end
//! it without a checkpoint. If we are killed, the end of its stdin tells it to stop ([`SUPERVISED`]).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::bars::Shown;
use super::exit_code;
use crate::stop::Stop;
use crate::{Error, Kind, Result};

/// The time between checks for a stop.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The environment variable that makes a process stop when its stdin ends.
const SUPERVISED: &str = "GIMLET_SUPERVISED";

/// The value of [`SUPERVISED`] for a process whose progress is shown by a bar.
const BARS: &str = "bars";

/// The start of a line for the parent process only; JSON follows, as in JSON text sequences (RFC 7464).
const RECORD: char = '\u{1e}';

/// A message for the parent process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// The error that the process ends with.
    Error(String),
    /// How far it has come.
    Progress(Shown),
}

/// An event of a process. Processes have numbers.
#[derive(Debug)]
pub enum Event {
    /// The process wrote a line on stderr.
    Line(usize, String),
    /// The process has come on.
    Progress(usize, Shown),
    Ended(usize, Ended),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The error; `None` if the process succeeded.
    pub failure: Option<(Kind, String)>,
    /// Whether a signal ended it.
    pub killed: bool,
    /// How long it ran.
    pub seconds: f64,
}

/// A message from the thread that reads a process's stderr.
enum Said {
    Line(usize, String),
    /// There are no more lines.
    End(usize),
}

struct Running {
    number: usize,
    child: Child,
    began: Instant,
    /// The error that the process has reported, if any.
    error: Option<String>,
}

/// The running processes. When dropped after a failure, it asks them to stop, and waits for them.
#[derive(Default)]
struct Crew(Vec<Running>);

/// Runs `command(number)` for each number, `jobs` at once. When `stop` is set, asks all to stop and starts no
/// more. When a process has ended, `told` may return a pause after which it is started again. With `bars`, processes
/// tell how far they have come, instead of writing lines.
///
/// # Errors
/// [`Kind::Interrupted`] when `stop` was set; when a process cannot be started; the errors of `command` and
/// `told`. A process that fails is not an error.
pub fn work(
    numbers: &[usize],
    jobs: usize,
    bars: bool,
    stop: &Stop,
    command: impl Fn(usize) -> Result<Command>,
    mut told: impl FnMut(Event) -> Result<Option<Duration>>,
) -> Result<()> {
    let (say, hear) = mpsc::channel();
    let mut waiting: Vec<(Instant, usize)> =
        numbers.iter().map(|number| (Instant::now(), *number)).collect();
    let mut crew = Crew::default();
    let mut asked = false;
    loop {
        let stopping = stop.is_asked();
        if stopping && !asked {
            crew.ask_to_stop();
            asked = true;
        }
        let due = |(at, _): &(Instant, usize)| *at <= Instant::now();
        while !stopping
            && crew.0.len() < jobs
            && let Some(place) = waiting.iter().position(due)
        {
            let (_, number) = waiting.remove(place);
            crew.0.push(begin(number, command(number)?, bars, say.clone())?);
        }
        if crew.0.is_empty() && (stopping || waiting.is_empty()) {
            break;
        }
        match hear.recv_timeout(BETWEEN_LOOKS) {
            Ok(Said::Line(number, line)) => match line.strip_prefix(RECORD) {
                Some(record) => match serde_json::from_str(record) {
                    Ok(Record::Error(error)) => crew.keep_error(number, error),
                    Ok(Record::Progress(shown)) => {
                        told(Event::Progress(number, shown))?;
                    }
                    // It was cut off when the process was killed.
                    Err(_) => {}
                },
                None => {
                    told(Event::Line(number, line))?;
                }
            },
            Ok(Said::End(number)) => {
                if let Some(ended) = crew.end(number)?
                    && let Some(pause) = told(Event::Ended(number, ended))?
                {
                    waiting.push((Instant::now() + pause, number));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match asked {
        true => stop.check("what was done is kept"),
        false => Ok(()),
    }
}

fn begin(number: usize, mut command: Command, bars: bool, say: Sender<Said>) -> Result<Running> {
    // We hold the other end of stdin as long as we live.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env(SUPERVISED, if bars { BARS } else { "lines" });
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let cannot = |error| Error::failed(format!("could not start a process: {error}"));
    let mut child = command.spawn().map_err(cannot)?;
    let stderr = child.stderr.take();
    std::thread::spawn(move || {
        let lines = stderr.into_iter().flat_map(|it| BufReader::new(it).split(b'\n'));
        for line in lines.map_while(std::io::Result::ok) {
            // Fails only if `work` has failed and no longer receives.
            let _ = say.send(Said::Line(number, String::from_utf8_lossy(&line).into_owned()));
        }
        let _ = say.send(Said::End(number));
    });
    Ok(Running { number, child, began: Instant::now(), error: None })
}

/// Sends a message to the parent process, if this process has one.
pub fn tell(record: &Record) {
    if let (true, Ok(record)) = (is_supervised(), serde_json::to_string(record)) {
        // Not through `anstream`, which would remove its first character. If stderr is gone, so is the parent.
        let _ = writeln!(std::io::stderr(), "{RECORD}{record}");
    }
}

/// Whether the parent process shows how far this one has come.
pub fn is_shown_by_bars() -> bool {
    std::env::var_os(SUPERVISED).is_some_and(|it| it == BARS)
}

/// Whether this process was started by another process of this program.
pub fn is_supervised() -> bool {
    std::env::var_os(SUPERVISED).is_some()
}

impl Crew {
    fn ask_to_stop(&mut self) {
        self.0.iter_mut().for_each(|it| ask_to_stop(&mut it.child));
    }

    fn keep_error(&mut self, number: usize, error: String) {
        if let Some(running) = self.0.iter_mut().find(|it| it.number == number) {
            running.error = Some(error);
        }
    }

    /// Removes a process whose stderr has ended; returns how it ended.
    fn end(&mut self, number: usize) -> Result<Option<Ended>> {
        let Some(place) = self.0.iter().position(|it| it.number == number) else {
            return Ok(None);
        };
        let mut running = self.0.swap_remove(place);
        let cannot = |error| Error::failed(format!("could not wait for a process: {error}"));
        let status = running.child.wait().map_err(cannot)?;
        let seconds = running.began.elapsed().as_secs_f64();
        let failure = (!status.success()).then(|| {
            let kind = status.code().map_or(Kind::Failed, exit_code::kind);
            let why = running.error.unwrap_or_else(|| format!("its process ended with {status}"));
            (kind, why)
        });
        Ok(Some(Ended { failure, killed: status.code().is_none(), seconds }))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.ask_to_stop();
        for running in &mut self.0 {
            // Fails only if the process cannot be waited for.
            let _ = running.child.wait();
        }
    }
}

/// Asks a process to save its state and end.
#[cfg(unix)]
fn ask_to_stop(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process};
    // Fails if the process has ended already.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
}

/// Ends a process; what was committed, and the last checkpoint, are on disk.
#[cfg(not(unix))]
fn ask_to_stop(child: &mut Child) {
    let _ = child.kill();
}
