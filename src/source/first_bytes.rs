//! Tells from the first bytes of an unreadable file what kind of file it is.

/// A kind of file, and advice on what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Completes the sentence "it is {what}".
    pub what: &'static str,
    pub advice: &'static str,
}

/// The number of bytes that [`tell`] needs.
pub const ENOUGH: usize = 512;

/// The first bytes of every Git LFS pointer.
pub const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

const CONVERT: &str = "convert it to PNG or JPEG";
const UNPACK: &str = "unpack it, and name what was in it";
/// What to do about an image or sound that was named alone.
pub const ALONE: &str = "images and sounds in files of their own are named by their folder";
const REWRITE: &str = "write its rows as Parquet, encoded images or sounds in a column of binary";

/// Kinds of files by their first bytes. More specific ones come first.
const BEGINNINGS: &[(&[u8], &str, &str)] = &[
    (LFS, "a Git LFS pointer, not the data", "fetch the data: `git lfs pull`"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", ALONE),
    (b"\xff\xd8\xff", "a JPEG image", ALONE),
    (b"GIF8", "a GIF image", ALONE),
    (b"II*\0", "a TIFF image", ALONE),
    (b"MM\0*", "a TIFF image", ALONE),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image, which is not read", CONVERT),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image, which is not read", CONVERT),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image, which is not read", CONVERT),
    (b"\xff\x0a", "a JPEG XL image, which is not read", CONVERT),
    (b"8BPS", "a Photoshop file, which is not read", CONVERT),
    (b"\0\0\x01\0", "an icon (ICO), which is not read", CONVERT),
    (b"v/1\x01", "an OpenEXR image, which is not read", CONVERT),
    (b"#?RADIANCE", "a Radiance HDR image, which is not read", CONVERT),
    (b"qoif", "a QOI image, which is not read", CONVERT),
    (b"DDS ", "a DDS texture, which is not read", CONVERT),
    (b"%PDF", "a PDF document", CONVERT),
    (b"fLaC", "a FLAC sound", ALONE),
    (b"OggS", "an Ogg sound", ALONE),
    (b"ID3", "an MP3 sound", ALONE),
    (b"PAR1", "a Parquet file", "name it in `data.train` or `data.test`: its ending is `.parquet`"),
    (b"PARE", "an encrypted Parquet file", "decrypt it"),
    (b"ARROW1", "an Arrow (Feather) file", REWRITE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", REWRITE),
    (b"\x93NUMPY", "a NumPy array", REWRITE),
    (b"SQLite format 3", "an SQLite database", REWRITE),
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (
        b"\x1f\x8b",
        "compressed by gzip",
        "decompress it: `gunzip FILE`; a `.tar` has to be unpacked, too",
    ),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "decompress it: `zstd -d FILE`"),
    (b"\xfd7zXZ\0", "compressed by xz", "decompress it: `xz -d FILE`"),
    (b"BZh", "compressed by bzip2", "decompress it: `bzip2 -d FILE`"),
    (
        b"\0\0\x08\x03",
        "an IDX file of images, as MNIST's",
        "let its name end in `images-idx3-ubyte`, and that of its labels in `labels-idx1-ubyte`",
    ),
    (
        b"\0\0\x08\x01",
        "an IDX file of labels, as MNIST's",
        "name the file of the images, which ends in `images-idx3-ubyte`",
    ),
];

/// Tells a kind of file from its first bytes.
pub fn tell(bytes: &[u8]) -> Option<Told> {
    let told = |what, advice| Some(Told { what, advice });
    if let Some((_, what, advice)) = BEGINNINGS.iter().find(|(it, ..)| bytes.starts_with(it)) {
        return told(what, advice);
    }
    if let (Some(b"RIFF"), Some(kind)) = (bytes.get(..4), bytes.get(8..12)) {
        return match kind {
            b"WEBP" => told("a WebP image", ALONE),
            b"WAVE" => told("a WAV sound", ALONE),
            _ => None,
        };
    }
    if let (Some(b"ftyp"), Some(brand)) = (bytes.get(4..8), bytes.get(8..12)) {
        return match brand {
            b"avif" | b"avis" => told("an AVIF image, which is not read", CONVERT),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
                told("a HEIC image, which is not read", CONVERT)
            }
            _ => told("a video, which is not read", "take images or sounds out of it"),
        };
    }
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return told("a Python pickle, which is not read", REWRITE);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return told("a tar archive", UNPACK);
    }
    if bytes.get(128..132) == Some(b"DICM") {
        return told("a DICOM image, which is not read", CONVERT);
    }
    if matches!(bytes, [b'P', b'1'..=b'7', b'\n' | b' ' | b'\r' | b'\t', ..]) {
        return told("a PNM image, which is not read", CONVERT);
    }
    if matches!(bytes, [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..]) {
        return told("a BMP image", ALONE);
    }
    markup(bytes)
}

/// Tells web pages and drawings, which are text.
fn markup(bytes: &[u8]) -> Option<Told> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(ENOUGH)]).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let told = |what, advice| Some(Told { what, advice });
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        let advice = "look at it in a browser: it says why there was no data; then download the data \
                      file itself";
        return told("an HTML page, not the data", advice);
    }
    if text.starts_with("<svg") || text.starts_with("<?xml") && text.contains("<svg") {
        return told("an SVG drawing, which is not read", CONVERT);
    }
    if text.starts_with("<?xml") {
        let advice =
            "look at it: a server may have answered with an error; then download the data again";
        return told("an XML document, not the data", advice);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_from_their_beginnings() {
        let what = |bytes: &[u8]| tell(bytes).map(|it| it.what);
        assert_eq!(what(b"\0\0\0\x1cftypavif"), Some("an AVIF image, which is not read"));
        assert_eq!(what(b"\0\0\0\x18ftypheic"), Some("a HEIC image, which is not read"));
        assert_eq!(what(b"\n<!DOCTYPE html><html>"), Some("an HTML page, not the data"));
        assert_eq!(
            what(b"<?xml version='1.0'?>\n<svg>"),
            Some("an SVG drawing, which is not read")
        );
        assert_eq!(what(b"RIFF\0\0\0\0WAVEfmt "), Some("a WAV sound"));
        assert_eq!(what(b"\x80\x02}q\0"), Some("a Python pickle, which is not read"));
        assert_eq!(what(b"plain text"), None);
        assert_eq!(what(b""), None);
    }
}
