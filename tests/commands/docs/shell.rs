//! The commands in lines for a shell: as much of a shell's language as the pages use.

use std::collections::BTreeMap;

use super::page::Block;

/// The commands of a block, each as words: `gimlet …` (also where `cargo run` starts it) and `cargo …`.
pub fn commands(block: &Block) -> Vec<Vec<String>> {
    let mut variables = BTreeMap::new();
    let mut found = Vec::new();
    for line in block.text.replace("\\\n", " ").lines() {
        let line = line.trim();
        if let Some(loops) = line.strip_prefix("for ") {
            // Each variable has its first value.
            let loops = loops.split("; do").map(|part| part.trim().trim_start_matches("for "));
            for (name, values) in loops.filter_map(|part| part.split_once(" in ")) {
                let first = values.split(' ').next().unwrap_or_default();
                variables.insert(name.to_string(), first.to_string());
            }
            continue;
        }
        let mut line = line.trim_start_matches("$ ").to_string();
        for (name, value) in &variables {
            line = line.replace(&format!("${name}"), value);
        }
        let Some(words) = shlex::split(&line) else { continue };
        if let [word] = words.as_slice()
            && let Some((name, value)) = assignment(word)
        {
            variables.insert(name.into(), value.into());
            continue;
        }
        for command in words.split(|word| word == "&&" || word == ";") {
            let started = command.iter().skip_while(|it| assignment(it).is_some() || *it == "time");
            let ended = started.take_while(|word| !["|", ">", "2>", "<"].contains(&word.as_str()));
            found.extend(of_ours(ended.cloned().collect()));
        }
    }
    found
}

fn of_ours(words: Vec<String>) -> Option<Vec<String>> {
    match words.first().map(String::as_str) {
        Some("cargo") if words.get(1).is_some_and(|it| it == "run") => {
            let own = words.iter().position(|word| word == "--")?;
            Some(std::iter::once("gimlet".into()).chain(words[own + 1..].iter().cloned()).collect())
        }
        Some("gimlet" | "cargo") => Some(words),
        _ => None,
    }
}

/// The name and value of `NAME=value`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let upper = |it: char| it.is_ascii_uppercase() || it == '_';
    (!name.is_empty() && name.chars().all(upper)).then_some((name, value))
}
