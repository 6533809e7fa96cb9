//! Wraps paragraphs to a width.

/// Wraps `text`, with `indent` spaces before each line, to lines of at most `width` letters where words allow it. Empty
/// lines divide paragraphs; a line that begins with `- ` begins an item of a list.
pub fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (place, paragraph) in text.split("\n\n").enumerate() {
        if place > 0 {
            lines.push(String::new());
        }
        for item in paragraph.split('\n') {
            let hang = if item.starts_with("- ") { indent + 2 } else { indent };
            let mut line = " ".repeat(indent);
            let mut is_empty = true;
            for word in item.split_whitespace() {
                let room = width.saturating_sub(line.chars().count() + 1);
                if !is_empty && word.chars().count() > room {
                    lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
                    is_empty = true;
                }
                if !is_empty {
                    line.push(' ');
                }
                line.push_str(word);
                is_empty = false;
            }
            lines.push(line.trim_end().to_owned());
        }
    }
    lines.join("\n")
}
