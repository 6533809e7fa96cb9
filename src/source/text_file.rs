//! Reads text files as programs save them: UTF-8, perhaps with a byte order mark in front.

/// The text in these bytes; `begins` says whether they are the first of a file.
///
/// # Errors
/// The reason, for people, with what to do: the bytes are UTF-16 or another encoding.
pub(super) fn text(bytes: &[u8], begins: bool) -> Result<&str, &'static str> {
    let bytes = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] if begins => rest,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if begins => {
            return Err(
                "it is UTF-16: save it as UTF-8, as with `iconv -f UTF-16 -t UTF-8 IN > OUT`",
            );
        }
        bytes => bytes,
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "it is not UTF-8: save it so, as with `iconv -f LATIN1 -t UTF-8 IN > OUT`")?;
    match text.contains('\0') {
        true => Err("it has zero bytes, so it is no text, or UTF-16: save it as UTF-8"),
        false => Ok(text),
    }
}
