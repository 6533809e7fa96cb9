//! Makes texts equal that Unicode writes in several forms: `é` is one character, or `e` and an accent over it, as
//! macOS stores file names.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The text with characters composed where they can be: equal for all forms of one text.
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    match text.is_ascii() || is_nfc(text) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.nfc().collect()),
    }
}

/// The text with everything but ASCII as escapes, for messages about texts that look alike.
pub(super) fn escaped(text: &str) -> String {
    let shown = text.chars().map(|it| match it {
        ' '..='~' => it.to_string(),
        _ => it.escape_unicode().to_string(),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_text_are_equal_when_composed() {
        assert_eq!(composed("cafe\u{301}"), "caf\u{e9}");
        assert_eq!(composed("caf\u{e9}"), "caf\u{e9}");
        assert_eq!(composed("\u{1112}\u{1161}\u{11ab}"), "\u{d55c}");
        assert_ne!(composed("cafe"), composed("café"));
        assert_eq!(escaped("cafe\u{301} b"), "cafe\\u{301} b");
    }
}
