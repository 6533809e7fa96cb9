//! The limit on open files.

/// Raises the limit as far as a process may on its own. A dataset that is read has all its parts open, and the
/// initial limit may be as low as 256.
#[cfg(unix)]
pub fn allow_as_many_as_possible() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // macOS reports no limit, but rejects numbers above this.
    let most = limit.maximum.unwrap_or(10_240);
    // If this fails, the limit stays, and opening too many files gives an error.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
}

#[cfg(not(unix))]
pub fn allow_as_many_as_possible() {}
