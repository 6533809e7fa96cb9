//! Reads labels from the names of files: `{digit}_{speaker}_{index}`.

/// A pattern for the names of files without their extension: fields in braces, and text between them. A field has
/// one character or more, and ends at the first occurrence of the text behind it; the last field takes the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// The text in front of the first field.
    start: String,
    /// Each field, and the text behind it. Only the text behind the last field may be empty.
    fields: Vec<(String, String)>,
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern; the text continues its key: "`names` …".
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let unmatched = || "has a brace without its other".to_owned();
        let mut parts = pattern.split('{');
        let start = parts.next().unwrap_or_default();
        let mut fields: Vec<(String, String)> = Vec::new();
        for part in parts {
            let (name, text) = part.split_once('}').ok_or_else(unmatched)?;
            if text.contains('}') {
                return Err(unmatched());
            }
            if name.is_empty() {
                return Err("has a field without a name".to_owned());
            }
            if fields.iter().any(|(other, _)| other == name) {
                return Err(format!("has the field `{name}` twice"));
            }
            if let Some((last, "")) = fields.last().map(|(last, text)| (last, text.as_str())) {
                return Err(format!("has nothing between `{last}` and `{name}`"));
            }
            fields.push((name.to_owned(), text.to_owned()));
        }
        if start.contains('}') {
            return Err(unmatched());
        }
        if fields.is_empty() {
            return Err("has no field in braces".to_owned());
        }
        Ok(Self { start: start.to_owned(), fields })
    }

    /// The names of the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The values of the fields in a name, in order; `None` when the name does not fit the pattern.
    pub fn read<'a>(&self, name: &'a str) -> Option<Vec<&'a str>> {
        let mut rest = name.strip_prefix(self.start.as_str())?;
        let mut values = Vec::with_capacity(self.fields.len());
        for (number, (_, text)) in self.fields.iter().enumerate() {
            let last = number + 1 == self.fields.len();
            let (value, after) = match last {
                true => (rest.strip_suffix(text.as_str())?, ""),
                false => rest.split_once(text.as_str())?,
            };
            if value.is_empty() {
                return None;
            }
            values.push(value);
            rest = after;
        }
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_the_text_between_fields() {
        let read =
            |pattern: &str, name: &'static str| NamePattern::parse(pattern).unwrap().read(name);
        assert_eq!(read("{digit}_{speaker}_{n}", "7_jackson_32"), Some(vec!["7", "jackson", "32"]));
        assert_eq!(read("{a}-{b}", "84-121123-0001"), Some(vec!["84", "121123-0001"]));
        assert_eq!(read("take {n}, {who}!", "take 3, Ann!"), Some(vec!["3", "Ann"]));
        assert_eq!(read("{n}", "é"), Some(vec!["é"]));
        for (pattern, name) in
            [("{a}_{b}", "7"), ("{a}_{b}", "_7"), ("{a}_{b}", "7_"), ("x{a}", "7"), ("{a}x", "7")]
        {
            assert_eq!(read(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_that_say_nothing_certain_are_refused() {
        for (pattern, told) in [
            ("digit", "no field"),
            ("{a}{b}", "nothing between `a` and `b`"),
            ("{a}_{a}", "twice"),
            ("{}", "without a name"),
            ("{a", "a brace"),
            ("a}{b}", "a brace"),
            ("{a}}", "a brace"),
            ("{{a}", "a brace"),
        ] {
            let error = NamePattern::parse(pattern).unwrap_err();
            assert!(error.contains(told), "{pattern}: {error}");
        }
    }
}
