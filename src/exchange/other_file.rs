//! Recognises files without weights by their first bytes. Most come from a download that brought something
//! else.

use super::fault::{Fault, STATE_DICT};

/// Bytes from the start that are enough to tell.
pub const ENOUGH: u64 = 1 << 10;

/// The most bytes before the first tag of an HTML page.
const BEFORE_TAG: usize = 256;

/// Says why a file that starts with `start` holds no weights.
pub fn fault(start: &[u8]) -> Fault {
    let text: String = String::from_utf8_lossy(&start[..start.len().min(BEFORE_TAG)])
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    let (why, hint) = match start {
        [] => ("it is empty", "fetch it again, or save it again"),
        _ if text.starts_with("version https://git-lfs.github.com/spec/") => (
            "it is a pointer of Git LFS, which stands for the file",
            "run `git lfs pull` in its repository, or download the file itself",
        ),
        _ if text.starts_with("<!doctype") || text.starts_with("<html") => (
            "it is a web page (HTML)",
            "download the file itself: on Hugging Face its link has `resolve` where that of the page has \
             `blob`",
        ),
        _ if text.starts_with('<') => {
            ("it is XML, such as a server sends in place of a file", "download it again")
        }
        _ if text.starts_with('{') || text.starts_with('[') => {
            ("it is JSON, such as a server sends in place of a file", "download it again")
        }
        [0x1f, 0x8b, ..] => ("it is compressed with gzip", "unpack it: `gunzip FILE`"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("it is compressed with zstd", "unpack it: `zstd -d FILE`"),
        [0x89, b'H', b'D', b'F', ..] => ("it is HDF5, such as Keras writes", STATE_DICT),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => ("it is an array of NumPy", STATE_DICT),
        [b'G', b'G', b'U', b'F', ..] => ("it is GGUF", STATE_DICT),
        [0x80, 2..=5, ..] => ("it is a pickle, but no checkpoint of PyTorch", STATE_DICT),
        _ => ("it is neither safetensors nor a checkpoint of PyTorch", STATE_DICT),
    };
    Fault { why: why.to_string(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_download_brought_is_named() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n";
        let cases: [(&[u8], &str, &str); 6] = [
            (b"", "empty", "again"),
            (pointer, "Git LFS", "git lfs pull"),
            (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "web page", "resolve"),
            (b"<?xml version='1.0'?><Error>", "XML", "download"),
            (b"{\"error\": \"Invalid username\"}", "JSON", "download"),
            (b"\x1f\x8b\x08", "gzip", "gunzip"),
        ];
        for (start, why, hint) in cases {
            let fault = fault(start);
            assert!(fault.why.contains(why) && fault.hint.contains(hint), "{fault:?}");
        }
    }
}
