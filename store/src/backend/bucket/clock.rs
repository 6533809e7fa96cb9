//! The server's clock. Ages of objects are reckoned by it alone, as the clocks of machines differ.

use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use object_store::ObjectStoreExt;

use super::connection::Clock;
use super::object::Object;

/// How often the server is asked: our clock does not count the time in which a machine sleeps.
const ASKED_AGAIN: Duration = Duration::from_secs(600);

/// The time by the server's clock; by ours where nothing may be written there.
/// It is asked once in a while, in the folder of `object`: credentials may allow no other.
pub(super) fn server_time(object: &Object) -> io::Result<SystemTime> {
    let mut clock = object.connection.clock.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(clock) = clock.as_ref().filter(|it| it.at.elapsed() < ASKED_AGAIN) {
        return Ok(clock.now());
    }
    match Clock::set_by(object) {
        Ok(set) => Ok(clock.insert(set).now()),
        // Who may write nothing removes nothing either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(SystemTime::now()),
        Err(error) => Err(error),
    }
}

impl Clock {
    /// Writes an object beside `object`, and looks when it was written.
    fn set_by(object: &Object) -> io::Result<Self> {
        let object = object.own("clock");
        let store = &object.connection.store;
        object.put(Vec::new().into())?;
        let at = Instant::now();
        let meta = object.ask(|| store.head(&object.key));
        // What stays is of no size.
        let _ = object.remove();
        Ok(Self { said: meta?.last_modified.into(), at })
    }

    fn now(&self) -> SystemTime {
        self.said.checked_add(self.at.elapsed()).unwrap_or(self.said)
    }
}
