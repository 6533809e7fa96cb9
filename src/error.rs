//! What can go wrong, in the kinds a caller can act on.

use std::fmt;
use std::path::{Path, PathBuf};

use gimlet_store::ErrorKind;
use indicatif::DecimalBytes;

/// The result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`]. The command line turns each into its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line or the pipeline file is wrong: change it. Exit code 2.
    Usage,
    /// Committed data does not read back as it was written: restore or recompute it. Exit code 4.
    Damaged,
    /// A stage's input has not been made yet: run the stage before it. Exit code 5.
    NotReady,
    /// The run was asked to stop and has saved its state: run it again to go on. Exit code 130, or 75 of a
    /// process that somebody else than Ctrl-C stopped ([`crate::stop::Why::exit_code`]).
    Interrupted,
    /// Anything else: the message and its hint say what to do. Exit code 1.
    Failed,
}

impl Kind {
    /// The exit code of a process that ends with this kind of error.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Damaged => 4,
            Kind::NotReady => 5,
            Kind::Interrupted => 130,
        }
    }

    /// The kind of error that a process of ours ended with; [`Kind::Failed`] for all other codes.
    pub fn of_exit_code(exit_code: i32) -> Self {
        if exit_code == i32::from(crate::stop::AGAIN) {
            return Kind::Interrupted;
        }
        let all = [Kind::Usage, Kind::Damaged, Kind::NotReady, Kind::Interrupted];
        let same = |kind: &Kind| i32::from(kind.exit_code()) == exit_code;
        all.into_iter().find(same).unwrap_or(Kind::Failed)
    }
}

/// An error: its kind, what went wrong and where, and what to do next.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    damage: Option<Box<gimlet_store::Damage>>,
}

impl Error {
    /// An error of `kind`; `message` says what is wrong and where.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, damage: None }
    }

    /// An error of [`Kind::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// A failed operation on a file: `doing` reads as "could not {doing} `{path}`".
    pub fn io(doing: &str, path: &Path, error: std::io::Error) -> Self {
        let message = format!("could not {doing} `{}`: {error}", path.display());
        let hint = hint_on(ErrorKind::of(&error), None, None);
        Self { hint, ..Self::failed(message) }
    }

    /// Adds what to do next; printed after `hint:`.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Of [`Kind::Damaged`]: which file, and where in it, as far as that is known.
    pub fn damage(&self) -> Option<&gimlet_store::Damage> {
        self.damage.as_deref()
    }

    /// What to do next, where that is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::failed(format!("tensor operation failed: {error}"))
    }
}

impl From<gimlet_store::Error> for Error {
    fn from(error: gimlet_store::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Damaged => Kind::Damaged,
            ErrorKind::Differs => {
                return Self::new(Kind::Damaged, error.to_string()).hint(DIFFERS);
            }
            ErrorKind::NotFound => Kind::NotReady,
            ErrorKind::NoSpace
            | ErrorKind::FileLimit
            | ErrorKind::NoLocks
            | ErrorKind::Denied
            | ErrorKind::Unauthorized
            | ErrorKind::NoBucket
            | ErrorKind::Unreachable
            | ErrorKind::Unfit
            | ErrorKind::TooManyFiles
            | ErrorKind::Failed => Kind::Failed,
        };
        let hint = hint_on(error.kind(), error.needed(), error.free());
        let message = error.to_string();
        let damage = error.into_damage().ok().map(Box::new);
        Self { kind, message, hint, damage }
    }
}

/// What to do about a disk or a system that will not do as it is told. `needed` and `free` are bytes.
fn hint_on(kind: ErrorKind, needed: Option<u64>, free: Option<u64>) -> Option<String> {
    const AGAIN: &str = "and run the same command again; what was committed stays";
    Some(match (kind, needed, free.unwrap_or(0)) {
        (ErrorKind::NoSpace, Some(needed), free) if needed > free => {
            format!("free {} there {AGAIN}", DecimalBytes(needed - free))
        }
        (ErrorKind::NoSpace, Some(_), _) => format!(
            "there is room on the disk, so a quota or a limit on the number of files is in the way: raise it \
             {AGAIN}"
        ),
        (ErrorKind::NoSpace, None, _) => format!("make room there {AGAIN}"),
        (ErrorKind::FileLimit, ..) => match gimlet_store::file_size_limit() {
            Some(limit) => {
                format!("raise the file-size limit (`ulimit -f`), which is {limit} bytes, {AGAIN}")
            }
            None => format!(
                "there is no file-size limit (`ulimit -f`), so the file system holds no file that large: name a \
                 directory on another one with `--run-dir DIR`, or make smaller files by a smaller \
                 `store.rows_per_part`, {AGAIN}"
            ),
        },
        (ErrorKind::NoLocks, ..) => {
            "the file system knows no locks, so nothing would keep two processes from the same step: mount it with \
             locks (Lustre: `-o flock`), or name a directory on another one with `--run-dir DIR`"
                .to_string()
        }
        (ErrorKind::Denied, ..) => {
            "check the permissions of that path and of its folder, and whether the file system is \
             mounted read-only"
                .to_string()
        }
        (ErrorKind::TooManyFiles, ..) => format!(
            "raise the limit on open files (`ulimit -n`) {AGAIN}; a larger `store.rows_per_part` \
             makes fewer files"
        ),
        (ErrorKind::Unauthorized, ..) => {
            "set them in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION of s3://, \
             GOOGLE_APPLICATION_CREDENTIALS of gs://, AZURE_STORAGE_ACCOUNT_NAME and \
             AZURE_STORAGE_ACCOUNT_KEY of az://; to write they have to allow get, put, list and delete"
                .to_string()
        }
        (ErrorKind::NoBucket, ..) => {
            "make it with the tools of its provider, or name another in `store.url`; \
             AWS_ENDPOINT_URL says which server of S3 is asked"
                .to_string()
        }
        (ErrorKind::Unreachable, ..) => format!("see that it can be reached {AGAIN}"),
        (ErrorKind::Unfit, ..) => {
            "use a server that honours conditional puts, as Amazon S3, Google Cloud Storage, Azure and \
             MinIO do, or a file system that all machines share"
                .to_string()
        }
        _ => return None,
    })
}

impl From<gimlet_store::Damage> for Error {
    fn from(damage: gimlet_store::Damage) -> Self {
        gimlet_store::Error::from(damage).into()
    }
}

/// What to do when what was made again is not what was lost.
pub(crate) const DIFFERS: &str = "another processor, another number of threads or another version of \
     gimlet may compute other values: run it where it was made, restore the file from a copy, or \
     begin a new run with `--run-dir DIR`";

/// "1 row", "2 rows".
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// The folder that `path` lies in, `.` for a bare file name.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
