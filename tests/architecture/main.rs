//! What ARCHITECTURE.md says of rooms and arrows, held against what the sources import.

mod sources;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use sources::{Import, Sources, are_apart};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A row of the table: its rooms, and what they may import.
struct Row {
    rooms: Vec<String>,
    may: Vec<String>,
}

/// What every room may import without its row saying so.
const FREE: [&str; 3] = ["error", "folder", "quantity"];

fn table() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [rooms, _, may] = cells[..] else { panic!("not three cells: {line}") };
            let quoted =
                rooms.split('`').skip(1).step_by(2).filter(|it| !it.starts_with("gimlet-"));
            Row { rooms: quoted.map(room_of).collect(), may: names(may) }
        })
        .collect()
}

/// `loss (settings), error` without what is in brackets, as names.
fn names(cell: &str) -> Vec<String> {
    let plain = cell.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
    plain.collect::<String>().split(',').map(|it| it.trim().to_owned()).collect()
}

/// The room of a file: `stage` for `src/stage/plan.rs`, `error` for `src/error.rs`, `store` for the crate.
fn room_of(file: &str) -> String {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs").to_owned()
}

#[test]
fn rooms_import_what_the_table_says_they_may() {
    let table = table();
    let row_of = |room: &str| table.iter().position(|row| row.rooms.iter().any(|it| it == room));
    let mut wrong = Vec::new();
    let (mut used, mut roomless) = (BTreeSet::new(), BTreeSet::new());
    for Import { from, to, path } in Sources::read(root(), "src").imports() {
        let (room, other) = (room_of(&from), room_of(&to));
        if room == "lib" || room == other || FREE.contains(&other.as_str()) {
            continue;
        }
        let (Some(row), Some(above)) = (row_of(&room), row_of(&other)) else {
            let lost = if row_of(&room).is_none() { room } else { other };
            if roomless.insert(lost.clone()) {
                wrong.push(format!("`{lost}` is in no row ({from} imports {to})"));
            }
            continue;
        };
        let may = &table[row].may;
        let all = may.iter().any(|it| it == "all above") && above < row;
        used.insert((row, other.clone()));
        if above > row {
            wrong.push(format!("{from} imports {to} (`{path}`), which is below it in the table"));
        } else if row != above && !all && !may.contains(&other) {
            wrong.push(format!(
                "{from} imports {to} (`{path}`); the row of `{room}` says: {}",
                may.join(", ")
            ));
        }
    }
    for (place, row) in table.iter().enumerate() {
        for may in row.may.iter().filter(|it| !["–", "all above"].contains(&it.as_str())) {
            if !used.contains(&(place, may.clone())) && !FREE.contains(&may.as_str()) {
                wrong.push(format!("{} may import `{may}`, and does not", row.rooms.join(", ")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the table of ARCHITECTURE.md and the sources differ:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_circle_goes_through_two_folders() {
    let all: Vec<Import> = ["src", "store/src", "kernel/src", "signal/src", "thrift/src"]
        .iter()
        .flat_map(|it| Sources::read(root(), it).imports())
        .collect();
    let mut next: BTreeMap<&str, Vec<&Import>> = BTreeMap::new();
    for import in &all {
        next.entry(&import.from).or_default().push(import);
    }
    let apart = all.iter().filter(|it| are_apart(&it.from, &it.to));
    let mut circles: Vec<Vec<&Import>> = apart.filter_map(|it| circle(it, &next)).collect();
    circles.sort_by_key(Vec::len);
    // Of several through one file the shortest is told.
    let (mut told, mut lines) = (BTreeSet::new(), Vec::new());
    for circle in circles {
        if circle.iter().all(|it| !told.contains(&it.from)) {
            told.extend(circle.iter().map(|it| &it.from));
            let arrows =
                circle.iter().map(|it| format!("{} imports {} (`{}`)", it.from, it.to, it.path));
            lines.push(arrows.collect::<Vec<_>>().join(", "));
        }
    }
    assert!(lines.is_empty(), "circles go through two folders:\n{}", lines.join("\n"));
}

/// The shortest circle that `first` is part of.
fn circle<'a>(
    first: &'a Import,
    next: &BTreeMap<&str, Vec<&'a Import>>,
) -> Option<Vec<&'a Import>> {
    let mut came: BTreeMap<&str, &Import> = BTreeMap::new();
    let mut waiting = VecDeque::from([&*first.to]);
    while let Some(file) = waiting.pop_front() {
        for import in next.get(file).into_iter().flatten() {
            if import.to != first.to && !came.contains_key(&*import.to) {
                came.insert(&import.to, import);
                waiting.push_back(&import.to);
            }
        }
    }
    let mut circle = vec![];
    let mut file = &*first.from;
    while file != first.to {
        let import = came.get(file)?;
        circle.push(*import);
        file = &import.from;
    }
    circle.push(first);
    circle.reverse();
    Some(circle)
}
