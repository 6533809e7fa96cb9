//! Shows the progress while the files of a source are read and hashed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::progress::{Progress, Unit};
use crate::Result;
use crate::quantity::bytes_in_words;
use crate::source::known_files::Watch;
use crate::stop::Stop;

/// Of what takes no longer, no progress is shown.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Shows the reading of files whose content is not known, and stops it.
pub struct Reading<'a> {
    progress: &'a dyn Progress,
    stop: &'a Stop,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: Option<Instant>,
    /// Bytes to be read.
    bytes: u64,
    told: bool,
}

impl<'a> Reading<'a> {
    /// Reports to `progress`, and ends the reading when `stop` is set.
    pub fn new(progress: &'a dyn Progress, stop: &'a Stop) -> Self {
        Self { progress, stop, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Reading<'_> {
    fn begin(&self, bytes: u64) {
        *self.state() = State { started: Some(Instant::now()), bytes, told: false };
    }

    fn advance(&self, bytes: u64) -> Result<()> {
        let mut state = self.state();
        let long = state.started.is_some_and(|it| it.elapsed() >= WORTH_TELLING);
        if long && !std::mem::replace(&mut state.told, true) {
            // Counted from here, so the rate leaves out the first second.
            self.progress.begin("read the data", Unit::Bytes, state.bytes, bytes);
        } else if state.told {
            self.progress.advance(bytes, "");
        }
        drop(state);
        self.stop.check("nothing was begun")
    }

    fn end(&self) {
        let state = std::mem::take(&mut *self.state());
        if state.told {
            self.progress.end(&format!("{}, to know them again", bytes_in_words(state.bytes)));
        }
    }
}
