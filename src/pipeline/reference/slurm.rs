//! The keys of `[slurm]`.

use super::super::bounds::MOST_THREADS;
use super::super::settings::GRACE_SECONDS;
use crate::setting::{Form, Setting};

/// The longest `grace_seconds`: a day.
const DAY: usize = 24 * 3600;

/// The keys of `[slurm]`.
pub fn slurm() -> Vec<Setting> {
    const CLUSTER: &str = "what the cluster takes";
    let text = |name: &str| Setting::new(format!("slurm.{name}"), Form::Text).or(CLUSTER);
    let kind = |name: &str, jobs: &str| {
        Setting::new(format!("slurm.{name}"), Form::AnyKeys)
            .or("what `[slurm]` says")
            .example("{ time = \"1-00:00:00\" }")
            .doc(format!(
                "The keys of `[slurm]` for {jobs} alone.\n\nThey replace those of `[slurm]`; `extra` is added. `setup` and \
                 `grace_seconds` hold for all kinds of jobs, and cannot stand here."
            ))
    };
    vec![
        Setting::table("slurm", "What `gimlet slurm` asks a cluster for, in the words of `sbatch`."),
        text("partition").example("\"gpu\"").doc("`sbatch --partition`."),
        text("account").example("\"lab\"").doc("`sbatch --account`."),
        text("qos").example("\"normal\"").doc("`sbatch --qos`."),
        text("time")
            .example("\"4:00:00\"")
            .doc("`sbatch --time`: minutes, `H:MM:SS`, `D-HH`, `D-HH:MM:SS` and so on, as a string."),
        text("gres").example("\"gpu:1\"").doc("`sbatch --gres`."),
        Setting::new("slurm.cpus_per_task", Form::whole(1..=MOST_THREADS))
            .or("the value of `--threads`, else what the cluster takes")
            .unit("CPUs")
            .example(8)
            .doc("`sbatch --cpus-per-task`; a job computes with as many threads, unless `--threads` is given."),
        text("mem").example("\"16G\"").doc("`sbatch --mem`: a whole number of K, M, G or T, as a string."),
        text("constraint").example("\"a100\"").doc("`sbatch --constraint`."),
        Setting::new("slurm.extra", Form::Texts)
            .default("[]")
            .example("[\"--mail-type=END\"]")
            .doc("Any other options of `sbatch`, each with its value as one string."),
        Setting::new("slurm.setup", Form::Texts)
            .default("[]")
            .example("[\"module load cuda\"]")
            .doc("Lines of bash before the work of every job."),
        Setting::new("slurm.grace_seconds", Form::whole(1..=DAY))
            .default(GRACE_SECONDS)
            .unit("seconds")
            .example(300)
            .doc("How long before its time limit a job saves its state and queues again."),
        kind("ingest", "jobs that ingest"),
        kind("train", "jobs that train"),
        kind("encode", "jobs that encode, with trained and untrained modules,"),
        kind("probe", "jobs that probe"),
    ]
}
