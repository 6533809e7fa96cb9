//! What can go wrong, in the kinds a caller can act on.

use std::fmt;
use std::path::Path;

use gimlet_store::ErrorKind;

use crate::quantity::bytes_in_words;

/// The result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The command line or the pipeline file is wrong: change it.
    Usage,
    /// Committed data does not read back as it was written: restore or recompute it.
    Damaged,
    /// A stage's input has not been made yet: run the stage before it.
    NotReady,
    /// The run was asked to stop and has saved its state: run it again to go on.
    Interrupted,
    /// A disk or object storage refuses; the [`ErrorKind`] says why, for example because it is full.
    Storage(ErrorKind),
    /// Anything else: the message and its hint say what to do.
    Failed,
}

impl Kind {
    /// The kind for an error of storage or of the system: [`Kind::Storage`] unless its kind is unknown.
    fn of_storage(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Failed => Self::Failed,
            other => Self::Storage(other),
        }
    }
}

/// An error: its kind, what went wrong and where, and what to do next.
///
/// Its text is complete: it includes the text of its [`source`](std::error::Error::source).
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` says what is wrong and where.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// An error of [`Kind::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// An error for a failed operation on a file: `doing` reads as "could not {doing} `{path}`".
    pub fn io(doing: &str, path: &Path, error: std::io::Error) -> Self {
        let message = format!("could not {doing} `{}`: {error}", path.display());
        let kind = ErrorKind::of(&error);
        let hint = hint_on(kind, None, None);
        Self { kind: Kind::of_storage(kind), message, hint, source: Some(error.into()) }
    }

    /// Keeps `source` as the cause; the message must already include its text.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what to do next; printed after `hint:`.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The kind: what a caller can do about the error.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which file is damaged, and where in it, as far as that is known; only for [`Kind::Damaged`].
    pub fn damage(&self) -> Option<&gimlet_store::Damage> {
        self.source.as_ref()?.downcast_ref::<gimlet_store::Error>()?.damage()
    }

    /// The hint: what to do next, where that is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|it| it as _)
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::failed(format!("tensor operation failed: {error}")).because(error)
    }
}

impl From<gimlet_store::Error> for Error {
    fn from(error: gimlet_store::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Damaged | ErrorKind::Differs => Kind::Damaged,
            ErrorKind::NotFound => Kind::NotReady,
            other => Kind::of_storage(other),
        };
        let hint = hint_on(error.kind(), error.needed(), error.free());
        Self { kind, message: error.to_string(), hint, source: Some(error.into()) }
    }
}

/// What to do about an error of storage or of the system. `needed` and `free` are bytes.
fn hint_on(kind: ErrorKind, needed: Option<u64>, free: Option<u64>) -> Option<String> {
    const AGAIN: &str = "and run the same command again; what was committed stays";
    Some(match (kind, needed, free.unwrap_or(0)) {
        (ErrorKind::NoSpace, Some(needed), free) if needed > free => {
            format!("free {} there {AGAIN}", bytes_in_words(needed - free))
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
        (ErrorKind::Differs, ..) => DIFFERS.to_string(),
        _ => return None,
    })
}

impl From<gimlet_store::Damage> for Error {
    fn from(damage: gimlet_store::Damage) -> Self {
        gimlet_store::Error::from(damage).into()
    }
}

/// What to do when recomputed data differ from the data that were lost.
pub(crate) const DIFFERS: &str = "another processor, another number of threads or another version of \
     gimlet may compute other values: run it where it was made, restore the file from a copy, or \
     begin a new run with `--run-dir DIR`";

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    #[test]
    fn what_storage_refuses_is_told_apart_and_kept() {
        let path = Path::new("there");
        let full = Error::io("write", path, io::ErrorKind::StorageFull.into());
        let refused = Error::io("write", path, io::ErrorKind::PermissionDenied.into());
        assert_eq!(full.kind(), Kind::Storage(ErrorKind::NoSpace));
        assert_eq!(refused.kind(), Kind::Storage(ErrorKind::Denied));
        let beneath = full.source().and_then(|it| it.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(full.to_string(), format!("could not write `there`: {beneath}"));
        let damage = gimlet_store::Damage::of(path, "a page is gone");
        let damaged = Error::from(damage);
        assert_eq!(damaged.kind(), Kind::Damaged);
        assert!(
            damaged.source().unwrap().is::<gimlet_store::Error>() && damaged.damage().is_some()
        );
        assert!(Error::failed("alone").source().is_none());
    }
}
