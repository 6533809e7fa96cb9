//! All that lies in a folder, to compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below `folder` and its bytes; of manifests all but when they were made.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let bytes = fs::read(&path).unwrap();
            let timeless = match serde_json::from_slice::<serde_json::Value>(&bytes) {
                Ok(mut json) if json.get("created").is_some() => {
                    json["created"] = 0.into();
                    // A seal is over the time, too.
                    json["seal"] = "".into();
                    json.to_string().into_bytes()
                }
                _ => bytes,
            };
            files.insert(name, timeless);
        }
    }
    files
}
