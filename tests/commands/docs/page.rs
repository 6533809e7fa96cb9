//! A page of Markdown: its blocks of code, links and headings.

use std::path::{Path, PathBuf};

/// A page of the README, the book, or another page at the root.
pub struct Page {
    /// Its path from the root of the repository.
    pub name: String,
    pub blocks: Vec<Block>,
    lines: Vec<Line>,
}

/// A fenced block of code, or a comment that tells the tests what to do (`<!-- before: gimlet … -->`).
pub struct Block {
    /// What stands behind the fence, such as `sh`; of a comment its first word, such as `before:`.
    pub kind: String,
    pub text: String,
    pub line: usize,
}

/// A line outside of blocks.
struct Line {
    number: usize,
    text: String,
}

/// A relative link.
pub struct Link {
    pub line: usize,
    /// The file it leads to; the page itself if the link has only an anchor.
    pub path: PathBuf,
    pub anchor: Option<String>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Page {
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        let (mut blocks, mut lines, mut open) = (Vec::new(), Vec::new(), None::<Block>);
        for (number, text) in (1..).zip(text.lines()) {
            let fence = text.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(text);
                    block.text.push('\n');
                }
                (None, Some(kind)) => {
                    open = Some(Block { kind: kind.into(), text: String::new(), line: number });
                }
                (None, None) => {
                    blocks.extend(comment(text, number));
                    lines.push(Line { number, text: text.into() });
                }
            }
        }
        assert!(open.is_none(), "{name}: a block is not closed");
        Self { name: name.into(), blocks, lines }
    }

    /// Where a finding is, for messages.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }

    pub fn links(&self) -> Vec<Link> {
        let here = root().join(&self.name);
        let mut links = Vec::new();
        for Line { number, text } in &self.lines {
            // Every other piece between backquotes is code.
            let prose: String = text.split('`').step_by(2).collect::<Vec<_>>().join("code");
            for rest in prose.split("](").skip(1) {
                let target = rest.split(')').next().unwrap();
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (path, anchor) = match target.split_once('#') {
                    Some((path, anchor)) => (path, Some(anchor.to_string())),
                    None => (target, None),
                };
                let path = if path.is_empty() { here.clone() } else { here.with_file_name(path) };
                links.push(Link { line: *number, path, anchor });
            }
        }
        links
    }

    /// The anchors of its headings, as forges and mdBook make them.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for Line { text, .. } in &self.lines {
            let Some(heading) = text.strip_prefix('#') else { continue };
            let heading = heading.trim_start_matches('#').trim();
            let kept = |it: &char| it.is_alphanumeric() || [' ', '-', '_'].contains(it);
            let slug: String = heading.to_lowercase().chars().filter(kept).collect();
            let slug = slug.replace(' ', "-");
            let again = anchors.iter().filter(|it| **it == slug).count();
            anchors.push(if again == 0 { slug } else { format!("{slug}-{again}") });
        }
        anchors
    }

    /// Code within prose that begins with `gimlet `.
    pub fn inline_commands(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for Line { number, text } in &self.lines {
            let code = text.split('`').skip(1).step_by(2);
            let commands = code.filter(|code| code.starts_with("gimlet "));
            found.extend(commands.map(|code| (*number, code.to_string())));
        }
        found
    }

    /// Lines of prose with more than 120 characters, except those that a benchmark has written.
    pub fn long_lines(&self) -> Vec<usize> {
        let mut generated = false;
        let prose = |text: &str| {
            !text.trim_start().starts_with(['|', '#', '!']) && !text.starts_with("<!--")
        };
        let mut long = Vec::new();
        for Line { number, text } in &self.lines {
            generated =
                (generated || text.ends_with(": begin -->")) && !text.ends_with(": end -->");
            if !generated && prose(text) && text.chars().count() > 120 {
                long.push(*number);
            }
        }
        long
    }
}

fn comment(text: &str, line: usize) -> Option<Block> {
    let inside = text.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    let (kind, text) = inside.split_once(": ")?;
    Some(Block { kind: format!("{kind}:"), text: format!("{text}\n"), line })
}
