//! Writes the pipeline file: what was seen and chosen as a comment, then the tables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::fit::{Fit, Takes};
use super::images::ImagesChosen;
use super::seen::{SamplesSeen, Seen};
use super::sound::SoundsChosen;
use crate::folder::folder_of;
use crate::pipeline::OnBadSample;
use crate::quantity::{bytes_in_words, counted, time_in_words};

/// The longest line of a comment, with its mark.
const LINE: usize = 116;

/// Test samples below which an accuracy is worth little, in points of its standard error.
const COARSE: f64 = 2.5;

/// How samples are seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ViewChosen {
    /// A view of images.
    Images(ImagesChosen),
    /// A view of recordings.
    Sounds(SoundsChosen),
}

/// A pipeline file that is to be written.
pub struct Draft<'a> {
    /// What was seen of the data.
    pub seen: &'a Seen,
    /// How samples are seen.
    pub view: &'a ViewChosen,
    /// The name of the pipeline.
    pub name: &'a str,
    /// The file that is written.
    pub file: &'a Path,
}

/// A line of a summary: what it is about, and what is said.
pub type Said = (&'static str, String);

impl Draft<'_> {
    /// What was seen, line by line.
    pub fn seen_lines(&self) -> Vec<Said> {
        let Seen { rows, labels, samples, .. } = self.seen;
        let noun = match samples {
            SamplesSeen::Images(_) => "image",
            SamplesSeen::Sounds(_) => "recording",
        };
        let mut lines = Vec::new();
        let test = match (&self.seen.place.test, self.seen.files.hold_out) {
            (None, Some(every)) => format!(
                "{} for the test split: one of every {every}, drawn (`hold_out`); there is no test split",
                rows.test
            ),
            (test, _) => format!("{} for testing (`{}`)", rows.test, quoted(test)),
        };
        lines.push((
            "samples",
            format!("{} for training, {test}", counted(rows.train as usize, noun)),
        ));
        match samples {
            SamplesSeen::Images(seen) => {
                let ([h, w], [high, wide]) = (seen.smallest, seen.largest);
                let size = match seen.smallest == seen.largest {
                    true => format!("{h}x{w} pixels"),
                    false => format!("{h}x{w} to {high}x{wide} pixels"),
                };
                let colour = if seen.gray { "gray" } else { "in colour" };
                let looked_at = counted(seen.looked_at, noun);
                lines.push((
                    "sizes",
                    format!("{size} (height x width), {colour}; of {looked_at} looked at"),
                ));
            }
            SamplesSeen::Sounds(seen) => {
                let rates: Vec<String> = seen.rates.keys().map(u32::to_string).collect();
                lines.push((
                    "sizes",
                    format!(
                        "{:.2} to {:.2} s, half of them up to {:.2} s, at {} samples per second; of {} looked at",
                        seen.shortest,
                        seen.longest,
                        seen.median,
                        rates.join(", "),
                        counted(seen.looked_at, noun)
                    ),
                ));
            }
        }
        for label in labels {
            const SHOWN: usize = 6;
            let mut names: Vec<&str> =
                label.classes.iter().take(SHOWN).map(String::as_str).collect();
            if label.classes.len() > SHOWN {
                names.push("…");
            }
            let without = match label.without {
                0 => String::new(),
                rows => format!("; {rows} samples have none, and train all the same"),
            };
            let (classes, names) = (label.classes.len(), names.join(", "));
            lines.push((
                "labels",
                format!("`{}`: {classes} classes ({names}){without}", label.name),
            ));
        }
        if labels.is_empty() {
            lines.push(("labels", "none".to_owned()));
        }
        lines
    }

    /// What was chosen, line by line.
    pub fn chosen_lines(&self, fit: &Fit, takes: &Takes) -> Vec<Said> {
        let view = match self.view {
            ViewChosen::Images(it) => {
                let ImagesChosen { resize, crop, patch, grid, .. } = it;
                let crop =
                    crop.map_or(String::new(), |crop| format!(", a random {crop}x{crop} of it"));
                format!(
                    "{resize}x{resize} pixels{crop}, as {grid}x{grid} patches of {patch}x{patch}"
                )
            }
            ViewChosen::Sounds(it) => {
                let seconds = it.window as f64 / f64::from(it.rate);
                format!("{} samples per second, windows of {seconds:.2} s", it.rate)
            }
        };
        let rows = fit.rows(self.seen.rows);
        let subset = match (fit.subset, fit.test_subset) {
            (None, None) => String::new(),
            _ => format!(", of {} training and {} test samples (`subset`)", rows.train, rows.test),
        };
        let epochs = counted(fit.epochs as usize, "epoch");
        let width = fit.width;
        let channels = match self.view {
            ViewChosen::Images(_) => format!("{width}, {} and {}", 2 * width, 4 * width),
            ViewChosen::Sounds(_) => width.to_string(),
        };
        vec![
            ("view", view),
            (
                "training",
                format!(
                    "3 modules of {channels} channels, {epochs}{subset}, batches of {}",
                    fit.batch
                ),
            ),
            (
                "takes",
                format!(
                    "about {} (a guess for 2 cores; `gimlet plan --measure` times it), {} of memory, at most {} of disk",
                    time_in_words(takes.seconds),
                    bytes_in_words(takes.memory),
                    bytes_in_words(takes.bytes)
                ),
            ),
        ]
    }

    /// What may keep a module from being better than its untrained twin, and other things to know.
    pub fn notes(&self, fit: &Fit) -> Vec<String> {
        let mut notes = self.seen.notes.clone();
        let rows = fit.rows(self.seen.rows);
        if !self.seen.labels.is_empty() {
            // The largest standard error of a share.
            let points = 50.0 / (rows.test.max(1) as f64).sqrt();
            if points > COARSE {
                notes.push(format!(
                    "{} test samples are few: an accuracy has a standard error of up to {points:.1} points, and a \
                     module may be below its untrained twin by chance",
                    rows.test
                ));
            }
        }
        let steps = rows.train / fit.batch as u64 * fit.epochs;
        if steps < 500 {
            notes.push(format!(
                "{steps} training steps for each module are few: modules may not learn enough to be better than \
                 untrained ones; more samples, `--minutes` or `training.epochs` make more"
            ));
        }
        if rows.test < fit.batch as u64 {
            notes
                .push("the test split does not fill a batch: there is no held-out loss".to_owned());
        }
        if let Some(bytes) = fit.max_bytes {
            notes.push(format!(
                "what modules hand on is kept below {} of disk (`store.max_bytes`): what does not fit is computed \
                 again (`activations = \"auto\"`)",
                bytes_in_words(bytes)
            ));
        }
        notes
    }

    /// The text of the file; without the comment before `takes` are known.
    pub fn text(&self, fit: &Fit, takes: Option<&Takes>) -> String {
        let mut text = String::new();
        if let Some(takes) = takes {
            let file = self.file.display();
            let _ = writeln!(
                text,
                "# {}: written by `gimlet init`, which looked at the data. All of it may be changed.",
                self.name
            );
            let _ = writeln!(text, "#\n#   gimlet plan {file}\n#   gimlet run {file}\n#");
            let lines = [self.seen_lines(), self.chosen_lines(fit, takes)].concat();
            for (about, said) in lines {
                comment(&mut text, about, &said);
            }
            for note in self.notes(fit) {
                comment(&mut text, "note", &note);
            }
            text.push('\n');
        }
        let _ = writeln!(text, "name = {}\nseed = 1\n", string(self.name));
        text += &self.data(fit);
        text += &match (self.view, &self.seen.samples) {
            (ViewChosen::Images(view), SamplesSeen::Images(seen)) => view.tables(seen, fit.width),
            (ViewChosen::Sounds(view), SamplesSeen::Sounds(seen)) => view.tables(seen, fit.width),
            // A view is chosen by the samples.
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "[training]\nepochs = {}\nbatch = {}\nlearning_rate = 1e-3",
            fit.epochs, fit.batch
        );
        if let Some(bytes) = fit.max_bytes {
            let _ = writeln!(text, "\n[store]\nactivations = \"auto\"\nmax_bytes = {bytes}");
        }
        text
    }

    fn data(&self, fit: &Fit) -> String {
        let files = &self.seen.files;
        let root = root_from(self.file, &files.root);
        let mut text = String::from(
            "# Paths start from `root`, which itself starts from the folder of this file.\n[data]\n",
        );
        let _ = writeln!(text, "root = {}", string(&root.to_string_lossy()));
        let _ = writeln!(text, "train = {}", strings(&files.train));
        match files.hold_out {
            Some(every) => {
                let _ = writeln!(
                    text,
                    "# One of every {every} samples is of the test split.\nhold_out = {every}"
                );
            }
            None => {
                let _ = writeln!(text, "test = {}", strings(&files.test));
            }
        }
        let medium = files.medium;
        if files.column != medium.key() {
            let _ = writeln!(text, "{} = {}", medium.key(), string(&files.column));
        }
        let labels: Vec<String> = files.label_columns().cloned().collect();
        match labels.as_slice() {
            [] => text += "label = false\n",
            [label] if label == "label" => {}
            labels => {
                let _ = writeln!(text, "label = {}", strings(labels));
            }
        }
        for (key, rows) in [("subset", fit.subset), ("test_subset", fit.test_subset)] {
            if let Some(rows) = rows {
                let _ = writeln!(text, "{key} = {rows}");
            }
        }
        if self.seen.on_bad_sample == OnBadSample::Skip {
            text += "on_bad_sample = \"skip\"\n";
        }
        text.push('\n');
        text
    }
}

/// The folder that paths start from, as a file in another folder has to name it.
pub fn root_from(file: &Path, root: &Path) -> PathBuf {
    match root.is_absolute() || folder_of(file) == Path::new(".") {
        true => root.to_path_buf(),
        // A path that this process can open can be made absolute.
        false => std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf()),
    }
}

fn quoted(test: &Option<Vec<String>>) -> String {
    test.iter().flatten().cloned().collect::<Vec<_>>().join("`, `")
}

/// Adds a comment of several lines, which begins with what it is about.
fn comment(text: &mut String, about: &str, said: &str) {
    for line in wrapped(about, said, LINE - 2) {
        let _ = writeln!(text, "# {line}");
    }
}

/// Lines of at most `width` characters, of which the first begins with what they are about.
pub fn wrapped(about: &str, said: &str, width: usize) -> Vec<String> {
    const INDENT: usize = 10;
    let mut lines = vec![format!("{about:<INDENT$}")];
    let mut is_begun = false;
    for word in said.split_whitespace() {
        let length = lines.last().map_or(0, |it| it.chars().count());
        if is_begun && length + 1 + word.chars().count() > width {
            lines.push(" ".repeat(INDENT));
            is_begun = false;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if is_begun { " " } else { "" });
            line.push_str(word);
        }
        is_begun = true;
    }
    lines
}

/// Text as TOML has it.
pub fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn strings(all: &[String]) -> String {
    match all {
        [one] => string(one),
        all => format!("[{}]", all.iter().map(|it| string(it)).collect::<Vec<_>>().join(", ")),
    }
}
