//! How many files the process may have open.

/// Raises the limit as far as it goes without asking anybody. A dataset that is read has all its
/// parts open, and the limit that a process begins with may be as low as 256.
#[cfg(unix)]
pub fn allow_as_many_as_possible() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // macOS says that it sets no limit, and takes no number above this.
    let most = limit.maximum.unwrap_or(10_240);
    // Where it is not to be had the limit stays, and whoever meets it says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
}

#[cfg(not(unix))]
pub fn allow_as_many_as_possible() {}
