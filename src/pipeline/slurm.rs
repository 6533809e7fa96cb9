//! The `[slurm]` table: what a cluster is asked for.

use toml::Spanned;

use super::origin::Fault;
use super::raw::{self, Optional};
use super::reference;
use super::settings::{GRACE_SECONDS, Requests, Slurm};

/// Options that the script itself sets: what a job does, and when.
const SCRIPTED: [&str; 9] = [
    "--array",
    "-a",
    "--dependency",
    "-d",
    "--kill-on-invalid-dep",
    "--ntasks",
    "-n",
    "--parsable",
    "--wrap",
];

pub fn resolve(raw: &raw::Slurm) -> Result<Slurm, Fault> {
    let of_kind = |kind: &Optional<Box<raw::Slurm>>| match kind {
        None => Ok(Requests::default()),
        Some(kind) => {
            check_is_of_one_kind(kind.get_ref())?;
            requests(kind.get_ref())
        }
    };
    let grace =
        raw::optional_whole(&raw.grace_seconds, &reference::slurm(), "slurm.grace_seconds")?;
    Ok(Slurm {
        all: requests(raw)?,
        ingest: of_kind(&raw.ingest)?,
        train: of_kind(&raw.train)?,
        encode: of_kind(&raw.encode)?,
        probe: of_kind(&raw.probe)?,
        setup: setup(raw.setup.as_deref().unwrap_or_default())?,
        grace_seconds: grace.unwrap_or(GRACE_SECONDS),
    })
}

/// Fails on keys in the table for one kind of job that hold for all kinds of jobs.
fn check_is_of_one_kind(raw: &raw::Slurm) -> Result<(), Fault> {
    let kinds = [
        ("ingest", &raw.ingest),
        ("train", &raw.train),
        ("encode", &raw.encode),
        ("probe", &raw.probe),
    ];
    let kinds = kinds.into_iter().map(|(key, kind)| (key, kind.as_ref().map(Spanned::span)));
    let grace = ("grace_seconds", raw.grace_seconds.as_ref().map(Spanned::span));
    let setup = raw.setup.as_deref().and_then(<[_]>::first);
    let setup = ("setup", setup.map(Spanned::span));
    for (key, span) in kinds.chain([grace, setup]) {
        if let Some(span) = span {
            let message = format!("`{key}` holds for all kinds of jobs");
            return Err(Fault::at(span, message).hint(format!("write it as `slurm.{key}`")));
        }
    }
    Ok(())
}

fn requests(raw: &raw::Slurm) -> Result<Requests, Fault> {
    Ok(Requests {
        partition: word(&raw.partition, "partition")?,
        account: word(&raw.account, "account")?,
        qos: word(&raw.qos, "qos")?,
        time: time(&raw.time)?,
        gres: word(&raw.gres, "gres")?,
        // A job computes with one thread per CPU.
        cpus_per_task: raw::optional_whole(
            &raw.cpus_per_task,
            &reference::slurm(),
            "slurm.cpus_per_task",
        )?,
        mem: mem(&raw.mem)?,
        constraint: word(&raw.constraint, "constraint")?,
        extra: extra(raw.extra.as_deref().unwrap_or_default())?,
    })
}

/// Reads a value that must be one line and not blank.
fn word(value: &Optional<String>, key: &str) -> Result<Option<String>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let text = value.get_ref();
    if text.trim().is_empty() || text.contains(char::is_control) {
        let message = format!("`{key}` must be a word that `sbatch --{key}` takes");
        return Err(Fault::at(value.span(), message));
    }
    Ok(Some(text.clone()))
}

/// Reads a time limit: `90`, `1:30:00`, `2-12`, `1-00:00:00`, or one of the words for no limit.
fn time(value: &Optional<String>) -> Result<Option<String>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let text = value.get_ref();
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(days), clock),
        None => (None, text.as_str()),
    };
    let parts = clock.split(':').count();
    let is_time = days.is_none_or(is_number) && parts <= 3 && clock.split(':').all(is_number);
    let unlimited = ["UNLIMITED", "INFINITE"].iter().any(|it| text.eq_ignore_ascii_case(it));
    if !is_time && !unlimited {
        let message = format!("`time` must be a time limit of Slurm, not {text:?}");
        return Err(Fault::at(value.span(), message)
            .hint("write minutes, \"90\", or \"H:MM:SS\", \"D-HH\", \"D-HH:MM:SS\""));
    }
    Ok(Some(text.clone()))
}

/// Reads an amount of memory: `4000`, `16G`.
fn mem(value: &Optional<String>) -> Result<Option<String>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let text = value.get_ref();
    let number = text.strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']).unwrap_or(text);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`mem` must be an amount of memory of Slurm, not {text:?}");
        return Err(Fault::at(value.span(), message)
            .hint("write a whole number of K, M, G or T, such as \"16G\""));
    }
    Ok(Some(text.clone()))
}

fn extra(options: &[Spanned<String>]) -> Result<Vec<String>, Fault> {
    let mut all = Vec::new();
    for option in options {
        let text = option.get_ref();
        if !text.starts_with('-') || text.contains(char::is_control) {
            let message = format!("{text:?} in `extra` is no option of `sbatch`");
            return Err(Fault::at(option.span(), message)
                .hint("write each as one string, with its value: \"--mail-type=END\""));
        }
        let name = text.split(['=', ' ']).next().unwrap_or(text);
        if SCRIPTED.contains(&name) {
            let message = format!("`{name}` is for the script to set");
            return Err(Fault::at(option.span(), message)
                .hint("print the script with `gimlet slurm`, and edit it there"));
        }
        all.push(text.clone());
    }
    Ok(all)
}

fn setup(lines: &[Spanned<String>]) -> Result<Vec<String>, Fault> {
    let line = |line: &Spanned<String>| match line.get_ref().contains('\0') {
        true => Err(Fault::at(line.span(), "no line of a script has a zero byte in it")),
        false => Ok(line.get_ref().clone()),
    };
    lines.iter().map(line).collect()
}
