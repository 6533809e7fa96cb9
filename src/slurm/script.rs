//! The bash script that submits all jobs or none. People may read and edit it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::job::own;
use super::{Array, Commands, Job};
use crate::pipeline::{DATA_ROOT_VARIABLE, Requests, Slurm};
use crate::stage::StepKind;
use crate::{Error, Kind, Result};

/// A script that submits jobs, before it is written as text.
#[derive(Debug, Clone)]
pub struct Script<'a> {
    /// The pipeline's or the sweep's name.
    pub name: &'a str,
    /// The words that start this program.
    pub program: Vec<OsString>,
    /// The folder where relative paths start.
    pub folder: PathBuf,
    /// The folder where relative paths of data start, if the environment names it.
    pub data_root: Option<PathBuf>,
    /// The folder for the jobs' output.
    pub logs: PathBuf,
    /// The pipeline's or the sweep's file, and the options of every command.
    pub arguments: Vec<OsString>,
    /// The options of commands that run modules.
    pub device: Vec<OsString>,
    /// The threads of a command, if the caller named a number.
    pub threads: Option<usize>,
    /// The requests to the cluster.
    pub slurm: &'a Slurm,
    /// The jobs, each after those it waits for.
    pub jobs: &'a [Job],
}

const HEAD: &str = "#!/bin/bash
# Written by `gimlet slurm`; edit it as need be. Run by bash, it submits jobs.
# What is done stands in the store: a job that is run again finds it there, and does the rest.
set -euo pipefail
";

const ASKED: &str = "# What is asked for: of every job, and of those of each kind besides.
all=(";

/// The part of the script that defines what every job does, and how a job is submitted.
const WORK: &str = r#"
# What a job does: the command, in each of its tasks. Some time before its time limit Slurm tells the
# command, which saves its state and ends with 75; then the job goes back into the queue.
work() {
    local code=0 job=$SLURM_JOB_ID
    if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
        job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID # and not the whole array
    fi
    if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then
        export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
    fi
    srun --kill-on-bad-exit=0 "$@" || code=$?
    if [ "$code" = 75 ] && scontrol requeue "$job"; then
        sleep 60 # until Slurm ends this script
    fi
    exit "$code"
}

# submit STEP OPTION... -- COMMAND...: submits a job, and prints its id and its step.
declare -A job
submitted=()
submit() {
    local step=$1 title=${1//, /,} options=() id
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    id=$(
        {
            printf '%s\n' '#!/bin/bash' "$setup"
            declare -f work
            printf 'work'
            printf ' %q' "$@"
            echo
        } | sbatch "${all[@]}" --job-name="$name.${title// /-}" "${options[@]}"
    )
    id=${id%%;*}
    job[$step]=$id
    submitted+=("$id")
    printf '%s\t%s\n' "$id" "$step"
}

# All jobs, or none.
complete=no
trap '[ "$complete" = yes ] || [ ${#submitted[@]} = 0 ] || scancel "${submitted[@]}"' EXIT
"#;

impl Script<'_> {
    /// Writes the script as text.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a word cannot be written in a script: it contains a zero byte, or is a path that is not
    /// UTF-8.
    pub fn text(&self) -> Result<String> {
        let mut lines = vec![
            HEAD.to_string(),
            format!("name={}", quoted(self.name)?),
            format!("cd {}", path(&self.folder)?),
        ];
        if let Some(root) = &self.data_root {
            lines.push(format!("export {DATA_ROOT_VARIABLE}={}", path(root)?));
        }
        lines.push(format!("logs={}\nmkdir -p \"$logs\"", path(&self.logs)?));
        lines.push(format!("gimlet=({})", words(&texts(&self.program)?)?));
        lines.push(format!("run=({})\n", words(&texts(&self.arguments)?)?));
        lines.push(ASKED.to_string());
        for option in self.all() {
            lines.push(format!("    {}", quoted(&option)?));
        }
        lines.push("    --output=\"${logs//%/%%}/%j-%x.out\"\n)".to_string());
        for kind in StepKind::ALL {
            if self.jobs.iter().any(|job| job.kind == kind) {
                lines.push(format!("{}=({})", kind.name(), words(&self.of_kind(kind))?));
            }
        }
        lines.push("\n# Lines of bash before the work of every job.".to_string());
        lines.push(format!("setup={}", quoted(&self.slurm.setup.join("\n"))?));
        lines.push(WORK.to_string());
        for job in self.jobs {
            lines.push(self.submit(job)?);
        }
        lines.push("\ncomplete=yes\n".to_string());
        Ok(lines.join("\n"))
    }

    /// The options of every job.
    fn all(&self) -> Vec<String> {
        let grace = self.slurm.grace_seconds;
        let mut options: Vec<String> =
            ["--parsable", "--kill-on-invalid-dep=yes", "--requeue", "--open-mode=append"]
                .map(String::from)
                .to_vec();
        options.push(format!("--signal=USR1@{grace}"));
        options.extend(requested(&self.slurm.all));
        options
    }

    fn of_kind(&self, kind: StepKind) -> Vec<String> {
        let mut options = vec!["--ntasks=1".to_string()];
        options.extend(self.cores(kind).map(|cores| format!("--cpus-per-task={cores}")));
        options.extend(requested(own(kind, self.slurm)));
        options
    }

    /// The cores per task.
    fn cores(&self, kind: StepKind) -> Option<usize> {
        let own = own(kind, self.slurm).cpus_per_task;
        own.or(self.slurm.all.cpus_per_task).or(self.threads)
    }

    fn submit(&self, job: &Job) -> Result<String> {
        let mut text = format!("submit {} \"${{{}[@]}}\"", quoted(&job.title)?, job.kind.name());
        if job.runs.tasks() > 1 {
            text += &format!(" --ntasks={}", job.runs.tasks());
        }
        if let Some(Array { tasks, throttle }) = job.array {
            text += &format!(" --array=0-{}", tasks.saturating_sub(1));
            if let Some(throttle) = throttle {
                text += &format!("%{throttle}");
            }
        }
        let before = job.after.iter().filter_map(|place| self.jobs.get(*place));
        let ids: Vec<String> = before.map(|it| format!("${{job[{}]}}", it.title)).collect();
        if !ids.is_empty() {
            text += &format!(" --dependency=\"afterok:{}\"", ids.join(":"));
        }
        text += " -- \\\n    ";
        let (command, arguments) = match &job.runs {
            Commands::One { command, arguments } => (*command, arguments.clone()),
            Commands::Workers { modules } => {
                // Each task is a worker of the module that its number stands for.
                let each = format!(
                    "modules=({}); exec \"$@\" --module \"${{modules[SLURM_PROCID]}}\"",
                    modules.join(" ")
                );
                text += &format!("bash -c {} worker ", quoted(&each)?);
                ("worker", vec!["--wait".to_string()])
            }
        };
        let mut options = Vec::new();
        if job.kind != StepKind::Ingest {
            options.extend(texts(&self.device)?);
        }
        if let Some(threads) = self.threads.or_else(|| self.cores(job.kind)) {
            options.extend(["--threads".to_string(), threads.to_string()]);
        }
        options.extend(arguments);
        text += &format!("\"${{gimlet[@]}}\" {command} \"${{run[@]}}\" {}", words(&options)?);
        Ok(text.trim_end().to_string())
    }
}

/// Writes requests as options, without cores, which go with threads.
fn requested(requests: &Requests) -> Vec<String> {
    let Requests { partition, account, qos, time, gres, cpus_per_task: _, mem, constraint, extra } =
        requests;
    let named = [
        ("partition", partition),
        ("account", account),
        ("qos", qos),
        ("time", time),
        ("gres", gres),
        ("mem", mem),
        ("constraint", constraint),
    ];
    let option =
        |(key, value): (&str, &Option<String>)| Some(format!("--{key}={}", value.as_ref()?));
    named.into_iter().filter_map(option).chain(extra.iter().cloned()).collect()
}

/// Quotes a word for bash, where that is needed.
fn quoted(word: &str) -> Result<String> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_@%+=:,./-".contains(it);
    // Easier to read: `shlex` would quote `--time=60`.
    if !word.is_empty() && word.chars().all(is_plain) {
        return Ok(word.to_string());
    }
    // Bash uses these characters as marks, and garbles them in arrays, quoted or not.
    if word.contains(['\u{1}', '\u{7f}']) {
        let message = format!("{word:?} cannot stand in a script: bash cannot read all of it");
        return Err(Error::new(Kind::Usage, message));
    }
    match shlex::try_quote(word) {
        Ok(quoted) => Ok(quoted.into_owned()),
        Err(error) => {
            Err(Error::new(Kind::Usage, format!("{word:?} cannot stand in a script: {error}")))
        }
    }
}

fn words(words: &[String]) -> Result<String> {
    let quoted = words.iter().map(|word| quoted(word)).collect::<Result<Vec<_>>>()?;
    Ok(quoted.join(" "))
}

fn texts(words: &[OsString]) -> Result<Vec<String>> {
    words.iter().map(|word| utf8(Path::new(word)).map(str::to_string)).collect()
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let message = format!("`{}` cannot stand in a script: it is not UTF-8", path.display());
        Error::new(Kind::Usage, message).hint("rename it, or link to it by another name")
    })
}

fn path(path: &Path) -> Result<String> {
    quoted(utf8(path)?)
}
