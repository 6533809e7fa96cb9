//! Tells from the first bytes of a file whether it is a sound that can be read, and if not, what it is and what to do.

use super::mp3_frame::Frame;

/// The number of first bytes that are looked at.
pub(super) const HEAD: u64 = 4096;

/// Kinds of sound files that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// WAV, RF64 and BW64. The last two are WAV for more than 4 GiB.
    Wav,
    Flac,
    Mp3,
    /// Ogg with Vorbis or FLAC; other content is refused when the file is opened.
    Ogg,
}

/// What to do about a sound of another kind.
pub(super) const CONVERT: &str = "convert it, as with `ffmpeg -i IN OUT.flac`";

/// Sounds of other kinds: the place of the bytes that tell them, the bytes, and the name.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF-C"),
    (8, b"8SVX", "8SVX"),
    (8, b"16SV", "16SV"),
    (0, b" paf", "PAF (Ensoniq)"),
    (0, b"fap ", "PAF (Ensoniq)"),
    (0, b"\x64\xa3\x01\0", "IRCAM"),
    (0, b"\x64\xa3\x02\0", "IRCAM"),
    (0, b"\x64\xa3\x03\0", "IRCAM"),
    (0, b"\0\x02\xa3\x64", "IRCAM"),
    (0, b"caff", "CAF (Core Audio)"),
    (0, b".snd", "AU (Sun)"),
    (0, b"dns.", "AU (Sun), little-endian"),
    (0, b"riff\x2e\x91\xcf\x11", "Wave64 (W64)"),
    (0, b"RIFX", "RIFX, WAV in big-endian"),
    (0, b"FFIR", "RIFX, WAV in big-endian"),
    (4, b"ftyp", "MP4 or M4A (AAC or ALAC, as a rule)"),
    (0, b"ADIF", "AAC"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF (WMA)"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "True Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"Creative Voice File", "VOC (Creative)"),
    (0, b"2BIT", "AVR"),
    (0, b"PVF1", "PVF"),
    (0, b"PVF2", "PVF"),
    (8, b"AVI ", "AVI"),
    (0, b"FLV", "FLV"),
    (0, b"#!SILK", "SILK"),
    (0, b"\x02#!SILK", "SILK"),
];

/// Files that are not sounds: the place of the bytes that tell them, the bytes, the name, and what to do.
const NO_SOUNDS: &[(usize, &[u8], &str, &str)] = &[
    (0, b"MThd", "MIDI, notes and no sound", "play it into a sound file"),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it with `gunzip`"),
    (0, b"PK\x03\x04", "a ZIP archive", "unpack it with `unzip`"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with `7z x`"),
    (0, b"BZh", "compressed by bzip2", "unpack it with `bunzip2`"),
    (0, b"\xfd7zXZ\0", "compressed by xz", "unpack it with `unxz`"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with `unzstd`"),
    (257, b"ustar", "a tar archive", "unpack it with `tar -xf`"),
    (0, b"\x93NUMPY", "a NumPy array", "write its samples as WAV, with their rate"),
    (0, b"MATLAB 5.0", "a MATLAB file", "write its samples as WAV, with their rate"),
    (0, b"\x89HDF", "an HDF5 file", "write its samples as WAV, with their rate"),
    (0, b"\x89PNG", "an image (PNG)", IMAGE),
    (0, b"\xff\xd8\xff", "an image (JPEG)", IMAGE),
    (0, b"GIF8", "an image (GIF)", IMAGE),
    (8, b"WEBP", "an image (WebP)", IMAGE),
    (0, b"%PDF", "a PDF", "remove it"),
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer, not the file",
        "fetch it with `git lfs pull`",
    ),
];

const IMAGE: &str = "set `data.image` instead of `data.audio` where the data are images";

/// The kind of a sound file with these first bytes.
///
/// # Errors
/// What the file is if it is not a sound or cannot be read, and what to do about it.
pub(super) fn of(head: &[u8]) -> Result<Kind, String> {
    let at = |place: usize, magic: &[u8]| head.get(place..).is_some_and(|it| it.starts_with(magic));
    if head.len() < 4 {
        return Err("the sound has no bytes, or next to none; get the file again".to_owned());
    }
    if at(0, b"RIFF") && (head.len() < 12 || at(8, b"WAVE")) {
        return Ok(Kind::Wav);
    }
    if at(0, b"RF64") || at(0, b"BW64") {
        return Ok(Kind::Wav);
    }
    if at(0, b"fLaC") {
        return Ok(Kind::Flac);
    }
    if at(0, b"OggS") {
        return Ok(Kind::Ogg);
    }
    if at(0, b"NIST_1A") {
        return Err(
            "the sound is NIST SPHERE, whatever its name ends in (TIMIT and much of the LDC); \
                    convert it, as with `sph2pipe -f wav IN OUT.wav` or `sox -t sph IN OUT.wav`"
                .to_owned(),
        );
    }
    if at(0, b"ajkg") {
        return Err("the sound is compressed by Shorten; unpack it with `shorten -x`".to_owned());
    }
    if let Some((.., what, advice)) = NO_SOUNDS.iter().find(|it| at(it.0, it.1)) {
        return Err(format!("it is {what}; {advice}"));
    }
    if let Some((.., what)) = OTHERS.iter().find(|it| at(it.0, it.1)) {
        return Err(format!("the sound is {what}, which is not read; {CONVERT}"));
    }
    if head.iter().all(|byte| *byte == 0) {
        return Err(
            "it holds only zeros, as a file whose download stopped; get it again".to_owned()
        );
    }
    of_mpeg(head).unwrap_or_else(|| Err(of_text(head)))
}

/// The kind of an MPEG audio file; `None` for other files.
fn of_mpeg(head: &[u8]) -> Option<Result<Kind, String>> {
    let [0xff, second, third, fourth, ..] = *head else { return of_cut_mpeg(head) };
    let refused = |what| Some(Err(format!("the sound is {what}, which is not read; {CONVERT}")));
    if second & 0xf6 == 0xf0 {
        return refused("AAC");
    }
    if second & 0xe0 != 0xe0
        || second & 0x18 == 0x08
        || third & 0xf0 == 0xf0
        || third & 0x0c == 0x0c
    {
        return of_cut_mpeg(head);
    }
    if (second, fourth) == (0xfe, 0) {
        return None;
    }
    match second & 0x06 {
        0x02 => Some(Ok(Kind::Mp3)),
        0x04 => refused("MPEG audio of layer II (MP2)"),
        0x06 => refused("MPEG audio of layer I"),
        _ => None,
    }
}

/// The error of MP3 frames that begin after other bytes: three frames in a row are enough.
fn of_cut_mpeg(head: &[u8]) -> Option<Result<Kind, String>> {
    let frame = |at: usize| {
        let header = head.get(at..at + 4)?.try_into().ok()?;
        Frame::parse(header).ok().map(|frame| at + frame.bytes)
    };
    let begins = |at: &usize| frame(*at).and_then(frame).and_then(frame).is_some();
    let at = (1..head.len()).find(begins)?;
    Some(Err(format!(
        "the sound is MP3, and its first frame begins {at} bytes late: its beginning is cut off or \
         damaged; get it again, or {CONVERT}"
    )))
}

/// The message for a text file, or a file of unknown kind.
fn of_text(head: &[u8]) -> String {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |with: &str| {
        text.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with.as_bytes()))
    };
    if begins("<!doctype html") || begins("<html") {
        return "it is an HTML page, as of a download that failed; get the file again".to_owned();
    }
    if begins("<?xml") {
        return "it is an XML page, as of a download that failed; get the file again".to_owned();
    }
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if head.iter().all(printable) {
        let begin = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        let begin = begin.lines().next().unwrap_or_default().trim_end();
        return format!("it is text (`{begin}`), not a sound; get the file again, or remove it");
    }
    "the sound is neither WAV, FLAC, MP3 nor Ogg (Vorbis or FLAC); convert it, as with `ffmpeg -i IN \
     OUT.flac`; samples without a header need their coding named, as with \
     `sox -t raw -e signed -b 16 -c 1 -r 16000 IN OUT.wav`"
        .to_owned()
}
