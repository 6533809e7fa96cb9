//! The record of what was submitted: the store knows which jobs are at work on the run.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::cluster::cluster;
use super::job::Job;
use crate::{Error, Kind, Result};

/// One run of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The time by the clock of the submitting machine (RFC 3339).
    pub time: String,
    /// The cluster's name, if Slurm told it: job ids mean nothing to another cluster.
    pub cluster: Option<String>,
    /// The jobs, in the order of the script.
    pub jobs: Vec<Submitted>,
    /// The script that was run.
    pub script: String,
}

/// A job of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The job's id; for an array, the id of the whole.
    pub id: u64,
    /// The job's name in messages.
    pub title: String,
    /// The titles of its steps.
    pub steps: Vec<String>,
}

impl Submission {
    /// Runs `script`, which submits `jobs`.
    ///
    /// # Errors
    /// [`Kind::Failed`] when there is no `sbatch`, or when the script fails: then no job remains submitted.
    pub fn submit(script: String, jobs: &[Job]) -> Result<Self> {
        check_sbatch()?;
        let cannot = |error: std::io::Error| Error::failed(format!("could not run bash: {error}"));
        let mut bash = Command::new("bash")
            .arg("-s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        if let Some(mut stdin) = bash.stdin.take() {
            // Bash may have ended before it read everything; its exit status says more.
            let _ = stdin.write_all(script.as_bytes());
        }
        let output = bash.wait_with_output().map_err(cannot)?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let message = "the script failed, and cancelled what it had submitted";
            return Err(Error::failed(message).hint(
                "see above what `sbatch` says; `[slurm]` in the pipeline says what is asked for",
            ));
        }
        let submitted = jobs.iter().map(|job| {
            let id = told.lines().filter_map(|line| line.split_once('\t'));
            let id =
                id.filter(|(_, title)| *title == job.title).find_map(|(id, _)| id.parse().ok());
            let unknown =
                || Error::failed(format!("`sbatch` did not tell the id of `{}`", job.title));
            Ok(Submitted {
                id: id.ok_or_else(unknown)?,
                title: job.title.clone(),
                steps: job.steps.clone(),
            })
        });
        Ok(Self {
            jobs: submitted.collect::<Result<_>>()?,
            time: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            cluster: cluster(),
            script,
        })
    }

    /// The job that does the step with this title.
    pub fn job_of(&self, step: &str) -> Option<&Submitted> {
        self.jobs.iter().find(|job| job.steps.iter().any(|it| it == step))
    }
}

fn check_sbatch() -> Result<()> {
    let asked = Command::new("sbatch").arg("--version").stdout(Stdio::null()).status();
    match asked {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::failed("`sbatch --version` fails: Slurm does not work here")
            .hint("submit from a machine where it does, such as a login node of the cluster")),
        Err(error) => {
            let message = format!("there is no `sbatch` to submit with: {error}");
            Err(Error::new(Kind::Failed, message).hint(
                "submit from a login node of the cluster; without `--submit` the script is only printed",
            ))
        }
    }
}
