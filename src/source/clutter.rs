//! Names of files and folders that systems and programs leave among data.

/// Clutter that is not hidden: macOS's twin folder in a ZIP archive, Synology's previews, Windows's previews and
/// folder settings.
const CLUTTER: [&str; 4] = ["__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"];

/// Whether a file or folder of this name is skipped wherever it lies. All hidden ones are, such as
/// `.DS_Store`, `._photo.jpg` or `.ipynb_checkpoints`.
pub fn is_clutter(name: &str) -> bool {
    name.starts_with('.') || CLUTTER.iter().any(|it| it.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_names_and_known_ones_are_clutter() {
        for name in
            [".DS_Store", "._0.png", ".ipynb_checkpoints", "__MACOSX", "@eaDir", "thumbs.db"]
        {
            assert!(is_clutter(name), "{name}");
        }
        for name in ["cat", "__macos", "eaDir", "Thumbs", "0.png", "_", "__pycache"] {
            assert!(!is_clutter(name), "{name}");
        }
    }
}
