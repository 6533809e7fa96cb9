//! The folder in which this machine keeps data of object storage: blocks it has read, and parts being written.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The folder for data of object storage: `GIMLET_CACHE_DIR`, or `gimlet` in the user's cache folder. You may remove
/// all of it while no process of this program runs.
pub fn cache_folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let named = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let in_home = || named("HOME").map(|home| home.join(".cache"));
        let caches = || named("XDG_CACHE_HOME").or_else(in_home).unwrap_or_else(std::env::temp_dir);
        named("GIMLET_CACHE_DIR").unwrap_or_else(|| caches().join("gimlet"))
    });
    &FOLDER
}
