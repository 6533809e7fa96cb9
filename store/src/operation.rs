//! What changes a disk, one call of the system at a time.

/// An operation that changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A folder is made.
    CreateFolder,
    /// A file is made, under a temporary name; or a lock.
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
    /// A folder is removed, if nothing is in it.
    RemoveFolder,
    /// The names in a folder are made durable.
    SyncFolder,
    /// A file is locked, which changes nothing: it can be lacking, and no more.
    Lock,
}
