//! Walks a page: does in a folder what the page says, and compares what is printed.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::page::{Block, Page, root};
use super::shell;
use crate::sound_files::{Coding, wav};
use crate::tiny::{self, gimlet, text};

/// Does what a page says: saves its pipelines, runs the commands of its `console` blocks, and its Python. A line below
/// a command has to be among what the command prints, whatever its numbers, and in the order of the page.
pub fn walk(page: &Page) {
    let folder = tempfile::tempdir().unwrap();
    tiny::copy(&root().join("pipelines"), &folder.path().join("pipelines"));
    let mut script = String::new();
    for block in &page.blocks {
        match block.kind.as_str() {
            "toml" => save(block, &folder),
            "before:" => run(page, block, folder.path()),
            "console" => run(page, block, folder.path()),
            "images:" => images(&folder.path().join(block.text.trim())),
            "sounds:" => sounds(&folder.path().join(block.text.trim())),
            "python" => script += &block.text,
            _ => {}
        }
    }
    python(page, &script, folder.path());
}

/// Saves a pipeline that begins with its name, `# NAME.toml`.
fn save(block: &Block, folder: &TempDir) {
    let name = block.text.lines().next().and_then(|line| line.strip_prefix("# "));
    if let Some(name) = name.filter(|name| name.ends_with(".toml")) {
        std::fs::write(folder.path().join(name), &block.text).unwrap();
    }
}

fn run(page: &Page, block: &Block, folder: &Path) {
    let mut rest = block.text.as_str();
    while let Some(start) = rest.find(|it: char| !it.is_whitespace()) {
        let command = &rest[start..];
        let end = command.find("\n$ ").map_or(command.len(), |end| end + 1);
        rest = &command[end..];
        let (line, printed) = command[..end].split_once('\n').unwrap_or((command, ""));
        let one = Block { kind: String::new(), text: line.into(), line: block.line };
        let words = shell::commands(&one)
            .pop()
            .unwrap_or_else(|| panic!("{}: {line}", page.at(block.line)));
        let output = gimlet(folder).args(&words[1..]).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        let fails = printed.starts_with("error: ");
        assert_eq!(output.status.success(), !fails, "{}: {line}\n{said}", page.at(block.line));
        let mut lines = said.lines().map(masked);
        for expected in printed.lines().filter(|line| !line.trim().is_empty() && *line != "…") {
            let found = lines.any(|line| line == masked(expected));
            assert!(
                found,
                "{}: `{line}` does not print `{expected}` there, but:\n{said}",
                page.at(block.line)
            );
        }
    }
}

/// A line without its numbers and the widths of its columns, which differ between machines.
fn masked(line: &str) -> String {
    let digit = |it: char| if it.is_ascii_digit() { ' ' } else { it };
    let line: String = line.chars().map(digit).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs the Python of a page as one script, where its packages are there.
fn python(page: &Page, script: &str, folder: &Path) {
    if script.is_empty() {
        return;
    }
    let python = std::env::var("GIMLET_PYTHON").unwrap_or_else(|_| "python3".into());
    let imports: Vec<&str> = script
        .lines()
        .filter_map(|line| line.strip_prefix("import ").or(line.strip_prefix("from ")))
        .filter_map(|line| line.split([' ', '.']).next())
        .collect();
    let import = format!("import {}", imports.join(", "));
    let found = Command::new(&python).args(["-c", &import]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        // Past the test harness, which swallows what a test prints that passes.
        let skipped = format!("skipped: the Python of {}: {python} cannot `{import}`\n", page.name);
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let binary = assert_cmd::cargo::cargo_bin!("gimlet");
    let ours = binary.parent().unwrap().to_path_buf();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(ours).chain(std::env::split_paths(&others));
    let output = Command::new(&python)
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}:\n{}", page.name, text(&output.stderr));
}

/// For both splits two classes of twelve files each, made by `file` from the class and the number.
fn folders(of: &Path, extension: &str, file: impl Fn(usize, usize, &Path)) {
    for split in ["train", "test"] {
        for (class, name) in ["bright", "dark"].into_iter().enumerate() {
            let folder = of.join(split).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for number in 0..12 {
                file(class, number, &folder.join(format!("{number}.{extension}")));
            }
        }
    }
}

fn images(folder: &Path) {
    folders(folder, "png", |class, number, path| {
        let image = image::RgbImage::from_fn(80, 64, |x, y| {
            let wave = (x as usize * (3 + class) + y as usize * (1 + number)) % 256;
            image::Rgb([wave as u8, (wave / 2) as u8, (255 - wave) as u8])
        });
        image.save(path).unwrap();
    });
}

fn sounds(folder: &Path) {
    folders(folder, "wav", |class, number, path| {
        let pitch = 0.05 * (1 + class) as f32 + 0.001 * number as f32;
        let samples: Vec<f32> = (0..8000).map(|at| 0.5 * (at as f32 * pitch).sin()).collect();
        std::fs::write(path, wav(8000, 1, Coding::I16, &samples)).unwrap();
    });
}
