//! The server's clock. Only this clock gives ages of objects, as the clocks of machines differ.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use object_store::ObjectStoreExt;

use super::connection::Clock;
use super::object::Object;

/// How long an answer is used before the server is asked again: our clock does not count time while a machine sleeps.
const ASKED_AGAIN: Duration = Duration::from_secs(600);

/// The time by the server's clock; by our clock where the credentials allow no writes. It asks now and then, in the
/// folder of `object`, because the credentials may allow no other folder.
pub(super) fn server_time(object: &Object) -> io::Result<SystemTime> {
    let mut clock = object.connection.clock.lock();
    if let Some(clock) = clock.as_ref().filter(|it| it.at.elapsed() < ASKED_AGAIN) {
        return Ok(clock.now());
    }
    match Clock::set_by(object) {
        Ok(set) => Ok(clock.insert(set).now()),
        // Without the right to write, this process removes nothing either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(SystemTime::now()),
        Err(error) => Err(error),
    }
}

impl Clock {
    /// Sets the clock: writes an object beside `object`, and reads the time of that object.
    fn set_by(object: &Object) -> io::Result<Self> {
        let object = object.own("clock");
        let store = &object.connection.store;
        object.put(Vec::new().into())?;
        let at = Instant::now();
        let meta = object.ask(|| store.head(&object.key));
        // An object that stays takes no room.
        let _ = object.remove();
        Ok(Self { said: meta?.last_modified.into(), at })
    }

    fn now(&self) -> SystemTime {
        self.said.checked_add(self.at.elapsed()).unwrap_or(self.said)
    }
}
