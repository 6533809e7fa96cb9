//! Lays out tables and paragraphs for a width: text is wrapped, and columns that matter least are left out.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Spaces between two columns.
const BETWEEN: usize = 2;

/// Columns of text are wrapped to no fewer characters while other columns can be left out.
const READABLE: usize = 24;

/// The fewest characters that a column of text is wrapped to.
const NARROWEST: usize = 8;

/// A table without borders. Its first column names the rows, and is never left out.
pub struct Grid {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The columns of numbers, which are aligned to the right and never wrapped.
    numbers: Vec<usize>,
    /// Headings of the columns that are left out where the table is too wide, the first one first.
    spare: Vec<String>,
}

impl Grid {
    /// A table whose columns in `numbers` are aligned to the right.
    pub fn new(header: Vec<String>, rows: Vec<Vec<String>>, numbers: Vec<usize>) -> Self {
        Self { header, rows, numbers, spare: Vec::new() }
    }

    /// Lets go of columns, by their headings, where the table is too wide: of the first one first.
    pub fn sparing(mut self, headings: &[&str]) -> Self {
        self.spare = headings.iter().map(ToString::to_string).collect();
        self
    }

    /// The table with lines of at most `width` characters; with `None` as wide as it is. A last line names the columns
    /// that were left out. Columns of text in which every cell is empty are left out in any case.
    pub fn fit(self, width: Option<usize>) -> String {
        let mut shown: Vec<usize> = (0..self.header.len())
            .filter(|it| *it == 0 || self.is_number(*it) || self.has_text(*it))
            .collect();
        let Some(width) = width else { return self.table(&shown, None) };
        let least = |shown: &[usize], floor| total(shown.iter().map(|it| self.least(*it, floor)));
        let mut left_out = Vec::new();
        let mut spare = self.spare.iter();
        while least(&shown, READABLE) > width {
            let Some(heading) = spare.next() else { break };
            let place = shown.iter().position(|it| *it > 0 && self.header[*it] == *heading);
            left_out.extend(place.map(|place| shown.remove(place)));
        }
        let floor = if least(&shown, READABLE) > width { NARROWEST } else { READABLE };
        while shown.len() > 1 && least(&shown, floor) > width {
            left_out.extend(shown.pop());
        }
        let mut widths: Vec<usize> = shown.iter().map(|it| self.width(*it)).collect();
        while total(widths.iter().copied()) > width {
            let can = |place: &usize| widths[*place] > self.least(shown[*place], floor);
            let widest = (0..shown.len()).filter(can).max_by_key(|place| widths[*place]);
            // If even the names of the rows do not fit, they are wrapped.
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
        if let [only] = widths.as_mut_slice() {
            *only = (*only).min(width.max(1));
        }
        let mut text = self.table(&shown, Some(&widths));
        left_out.sort_unstable();
        let names: Vec<&str> = left_out.iter().map(|it| self.header[*it].as_str()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            let note = format!("not shown in {width} columns: {names}; `--json` has everything");
            text += &format!("\n{}", paragraph(&note, Some(width)));
        }
        text
    }

    /// The table as Markdown.
    pub fn markdown(self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(self.header).add_rows(self.rows);
        table.to_string()
    }

    fn is_number(&self, column: usize) -> bool {
        self.numbers.contains(&column)
    }

    fn has_text(&self, column: usize) -> bool {
        self.rows.is_empty()
            || self.rows.iter().any(|row| row.get(column).is_some_and(|it| !it.is_empty()))
    }

    /// The characters of the widest cell.
    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let cells = cells.chain([&self.header[column]]).flat_map(|it| it.lines());
        cells.map(console::measure_text_width).max().unwrap_or(0)
    }

    /// The fewest characters that a column can have, if text is wrapped to `floor` characters.
    fn least(&self, column: usize, floor: usize) -> usize {
        let width = self.width(column);
        if self.is_number(column) { width } else { width.min(floor) }
    }

    fn table(&self, shown: &[usize], widths: Option<&[usize]>) -> String {
        let pick = |cells: &[String]| -> Vec<String> {
            shown.iter().map(|it| cells.get(*it).cloned().unwrap_or_default()).collect()
        };
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(pick(&self.header));
        table.add_rows(self.rows.iter().map(|row| pick(row)));
        for (place, index) in shown.iter().enumerate() {
            let Some(column) = table.column_mut(place) else { continue };
            column.set_padding((0, BETWEEN as u16));
            if self.is_number(*index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if let Some(widths) = widths {
                let wide = (widths[place] + BETWEEN) as u16;
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(wide)));
            }
        }
        if let Some(widths) = widths {
            // The padding after the last column is cut off below.
            let all = total(widths.iter().copied()) + BETWEEN;
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(all as u16);
        }
        trimmed(&table)
    }
}

/// The characters of a line whose columns have these widths.
fn total(widths: impl Iterator<Item = usize>) -> usize {
    let (columns, all) = widths.fold((0, 0), |(columns, all), it| (columns + 1, all + it));
    all + BETWEEN * usize::saturating_sub(columns, 1)
}

/// Wraps each line of `text` to at most `width` characters.
pub fn paragraph(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_string() };
    let wrapped = text.lines().map(|line| {
        if console::measure_text_width(line) <= width {
            return line.to_string();
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).add_row([line]);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width as u16);
        if let Some(column) = table.column_mut(0) {
            column.set_padding((0, 0));
        }
        trimmed(&table)
    });
    wrapped.collect::<Vec<_>>().join("\n")
}

fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let header = ["stage", "rows", "bytes", "why"].map(String::from).to_vec();
        let why = "`encode a` is not done, and `train b` is not done; training.epochs: 2 -> 3";
        let rows = [["a", "72", "377.34 kB", why], ["untrained", "144", "70.36 kB", ""]];
        let rows = rows.map(|row| row.map(String::from).to_vec()).to_vec();
        Grid::new(header, rows, vec![1, 2]).sparing(&["bytes", "rows"])
    }

    #[test]
    fn no_line_is_longer_than_the_width() {
        for width in 20..120 {
            let text = grid().fit(Some(width));
            let longest = text.lines().map(|it| it.chars().count()).max().unwrap();
            assert!(longest <= width, "{longest} of {width}:\n{text}");
            // Whatever is left out is named, and text is kept to its last word where its column is.
            assert_eq!(text.contains("not shown"), !text.contains("377.34 kB"), "{text}");
        }
        assert_eq!(grid().fit(None).lines().count(), 3);
    }

    #[test]
    fn text_is_wrapped_before_a_column_is_left_out() {
        let text = grid().fit(Some(60));
        assert!(text.contains("377.34 kB") && !text.contains("not shown"), "{text}");
        let text = grid().fit(Some(44));
        assert!(text.contains("not shown in 44 columns: bytes;"), "{text}");
    }

    #[test]
    fn a_paragraph_is_wrapped_at_spaces() {
        let text = "seconds, memory: train and encode\nwaited: of training";
        let wrapped = paragraph(text, Some(20));
        assert_eq!(wrapped, "seconds, memory:\ntrain and encode\nwaited: of training");
        assert_eq!(paragraph(text, None), text);
    }
}
