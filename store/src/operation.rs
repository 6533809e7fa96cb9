//! The operations that change a disk, each one call of the system.

use serde::Deserialize;

/// An operation that changes the disk. Environment variables name it as in `remove-folder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A folder is made.
    CreateFolder,
    /// A file is made under a temporary name, or a lock file is made.
    Create,
    /// Bytes are appended to a file.
    Write,
    /// A file's bytes are made durable.
    Sync,
    /// A file is given a second name, which must be free.
    Link,
    /// A file is given another name, which must be free.
    Move,
    /// A file is given another name, taken or not.
    Rename,
    /// A file's name is removed.
    Remove,
    /// A folder is removed, if it is empty.
    RemoveFolder,
    /// The names in a folder are made durable.
    SyncFolder,
    /// A file is locked. This changes nothing: a fault can only take the operation away.
    Lock,
}
