//! How fast this machine writes and reads our files, beside plain files of the same bytes and beside
//! what others make of the same values:
//!
//! ```text
//! cargo bench --bench store -- --write docs/benchmarks.md
//! ```
//!
//! `docs/benchmarks.md` says how it measures. It needs Linux for what is read cold, and Python for
//! the others; what is missing is said in the table.

mod arguments;
mod cache;
mod data;
mod machine;
mod others;
mod ours;
mod place;
mod plain;
mod report;
mod rounds;
mod side;

use std::fs;
use std::path::Path;

use gimlet_store::{Compression, CompressionSetting, DType};

use arguments::Arguments;
use data::Data;
use others::{Other, Python};
use ours::Ours;
use plain::Plain;
use report::Report;
use rounds::Group;
use side::{Operation, Result, Side};

/// Activations of a fully connected block, and of a convolution over 49 patches.
const SHAPES: [&[usize]; 2] = [&[128, 512], &[49, 64, 16, 16]];

fn main() -> Result<()> {
    let Some(arguments) = Arguments::parse()? else { return Ok(()) };
    let folder = arguments.folder.join(format!("gimlet-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let report = run(&arguments, &folder);
    fs::remove_dir_all(&folder)?;
    let report = report?;
    println!("{report}");
    if let Some(path) = &arguments.write {
        report.write_into(path)?;
    }
    Ok(())
}

fn run(arguments: &Arguments, folder: &Path) -> Result<Report> {
    let python = Python::find()?;
    let mut report = Report::new(arguments, machine::describe(folder), python.versions());
    for shape in SHAPES {
        let data = Data::create(shape, arguments.bytes, folder)?;
        let groups = groups(&data, &python);
        for group in groups.into_iter().filter(|group| arguments.wants(group.sides())) {
            report.add(&data, group.run(&data, arguments)?);
        }
        fs::remove_file(data.path())?;
    }
    Ok(report)
}

/// What is measured side by side. A plain file is on every first place: ratios are to it.
fn groups(data: &Data, python: &Python) -> Vec<Group> {
    use Operation::*;
    let plain = || Box::new(Plain::new(data, false)) as Box<dyn Side>;
    let none = CompressionSetting::Fixed(Compression::None);
    let mut groups = vec![Group::new(
        vec![
            plain(),
            Box::new(Ours::new(data, "ours, as halves", DType::F16, none).in_halves()),
            Box::new(Plain::new(data, true)),
            Box::new(Ours::new(data, "ours, as f32", DType::F16, none)),
        ],
        &[
            (Write, 1),
            (ScanWarm, 1),
            (ScanWarm, 2),
            (RandomWarm, 1),
            (RandomWarm, 2),
            (ScanCold, 1),
            (RandomCold, 1),
            (RandomCold, 2),
            (RandomColdAdvised, 1),
            (RandomColdAdvised, 2),
        ],
    )];
    let beside_plain = |side: Box<dyn Side>| {
        let operations = [Write, ScanWarm, RandomWarm, ScanCold, RandomCold];
        Group::new(vec![plain(), side], &operations.map(|operation| (operation, 1)))
    };
    let fixed = CompressionSetting::Fixed;
    for (name, dtype, compression) in [
        ("ours, lz4", DType::F16, fixed(Compression::Lz4)),
        ("ours, zstd", DType::F16, fixed(Compression::Zstd)),
        ("ours, auto", DType::F16, CompressionSetting::Auto),
        ("ours, int8", DType::I8, none),
    ] {
        groups.push(beside_plain(Box::new(Ours::new(data, name, dtype, compression))));
    }
    for format in others::FORMATS {
        groups.push(beside_plain(Box::new(Other::new(data, python, format))));
    }
    groups
}
