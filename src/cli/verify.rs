//! `gimlet verify`: compares everything on disk with what was written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use gimlet_store::{Damage, path_of};
use serde_json::json;

use super::arguments::{JsonArgs, PipelineArgs};
use super::printer::Printer;
use super::render::Renderer;
use super::{inspect, interrupt, table};
use crate::stage::Reading;
use crate::stage::verify::{self, OfSource, Report};
use crate::{Error, Kind};

#[derive(Args)]
pub struct VerifyArgs {
    /// A pipeline file (TOML), or the folder of a run or of one dataset
    #[arg(value_parser = path_of)]
    target: PathBuf,

    /// Override a key of the pipeline file; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Directory of the run [default: runs/<pipeline name>]
    #[arg(long, value_name = "DIR", value_parser = path_of)]
    run_dir: Option<PathBuf>,

    /// Compare the files of the pipeline's source with those that were ingested, too: reads all of them
    #[arg(long)]
    source: bool,

    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: VerifyArgs, printer: &Printer) -> anyhow::Result<()> {
    let renderer = Renderer::new(printer);
    let mut of_source = None;
    let (folder, report) = if inspect::is_pipeline(&args.target) {
        let pipeline = PipelineArgs {
            pipeline: args.target,
            overrides: args.overrides,
            run_dir: args.run_dir,
            wait: false,
        };
        // Verification needs neither the settings nor the source.
        let loaded = pipeline.load()?;
        let dir = pipeline.run_dir(&loaded);
        if dir.owner().is_ok() {
            dir.check_owner(&loaded.name)?;
        }
        if args.source {
            let reading = Reading::new(&renderer, interrupt::stop());
            of_source = Some(verify::source(&loaded, &dir, &reading)?);
        }
        (dir.path().to_path_buf(), verify::run(&dir, &renderer)?)
    } else if args.source {
        let message =
            format!("`{}` is no pipeline file, so it names no source", args.target.display());
        return Err(Error::new(Kind::Usage, message)
            .hint("name the pipeline's file, or leave out `--source`")
            .into());
    } else {
        let report = verify::folder(&args.target, &renderer)?;
        (args.target, report)
    };
    drop(renderer);
    let files: HashSet<&Path> = report.checked.damage.iter().map(|it| it.file.as_path()).collect();
    let checked = &report.checked;
    if args.output.json {
        printer.json(&json!({
            "path": folder,
            "files": checked.files,
            "bytes": checked.bytes,
            "seconds": report.seconds,
            "damage": checked.damage,
            "unchecked": checked.unchecked.iter().map(|it| &it.what).collect::<Vec<_>>(),
            "source": of_source.as_ref().map(|it| {
                json!({ "files": it.files, "differences": it.differences })
            }),
        }))?;
    } else {
        if !checked.damage.is_empty() {
            printer.result(&damage_table(&checked.damage, &folder))?;
        }
        for it in &checked.unchecked {
            printer.warn(&format!("not checked: {}", it.what));
        }
        printer.result(&summary(&report, files.len()))?;
        if let Some(OfSource { files, differences }) = &of_source {
            differences.iter().try_for_each(|it| printer.result(it))?;
            let found = match differences.len() {
                0 => "all as they were ingested".to_owned(),
                some => format!("{some} differ from what was ingested"),
            };
            printer.result(&format!("{files} files of the source: {found}"))?;
        }
    }
    let count =
        |files: usize| if files == 1 { "1 file is".into() } else { format!("{files} files are") };
    if !files.is_empty() {
        let message = format!("{} damaged in `{}`", count(files.len()), folder.display());
        return Err(Error::new(Kind::Damaged, message)
            .hint(
                "`gimlet run` rebuilds what its settings need; what other settings made stays as \
                 it is until `gimlet gc` removes it",
            )
            .into());
    }
    if let Some(differ) = of_source.map(|it| it.differences.len()).filter(|it| *it > 0) {
        let message = format!("{differ} files of the source are not what was ingested");
        return Err(Error::failed(message).hint("`gimlet run` ingests them again").into());
    }
    if !checked.unchecked.is_empty() {
        let message = format!("{} places could not be looked at", checked.unchecked.len());
        return Err(Error::failed(message).hint("see above why").into());
    }
    Ok(())
}

fn summary(report: &Report, damaged: usize) -> String {
    let checked = &report.checked;
    let found = match (damaged, checked.unchecked.len()) {
        (0, 0) => "all as they were written".to_owned(),
        (damaged, 0) => format!("{damaged} damaged"),
        (damaged, unchecked) => format!("{damaged} damaged, {unchecked} not checked"),
    };
    let (files, bytes, seconds) = (checked.files, table::bytes(checked.bytes), report.seconds);
    format!("{files} files, {bytes}, in {seconds:.1} s: {found}")
}

/// The table with one line per damaged place.
fn damage_table(damage: &[Damage], folder: &Path) -> String {
    let number = |number: Option<usize>| number.map_or_else(|| "-".into(), |it| it.to_string());
    let rows = damage.iter().map(|it| {
        let rows = match (it.row, it.last_row) {
            (Some(row), Some(last)) if last > row => format!("{row}-{last}"),
            (row, _) => number(row),
        };
        vec![
            it.file.strip_prefix(folder).unwrap_or(&it.file).display().to_string(),
            number(it.row_group),
            rows,
            it.column.clone().unwrap_or_else(|| "-".into()),
            it.what.clone(),
        ]
    });
    table::plain(&["file", "row group", "row", "column", "damage"], rows.collect(), &[1, 2]) + "\n"
}
