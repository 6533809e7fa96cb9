//! What a cluster is asked for: `[slurm]`.

/// What `gimlet slurm` asks a cluster for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slurm {
    /// Of all jobs.
    pub all: Requests,
    /// What jobs that ingest ask for besides.
    pub ingest: Requests,
    /// What jobs that train ask for besides.
    pub train: Requests,
    /// Also of the stack as it was drawn.
    pub encode: Requests,
    /// What jobs that probe ask for besides.
    pub probe: Requests,
    /// Lines of bash before the work of every job.
    pub setup: Vec<String>,
    /// Seconds before its time limit at which a job is told to save its state.
    pub grace_seconds: Option<usize>,
}

/// Options of `sbatch`, in its own words; those that are `None` are left to the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// `--partition`.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--qos`.
    pub qos: Option<String>,
    /// `--time`.
    pub time: Option<String>,
    /// `--gres`.
    pub gres: Option<String>,
    /// `--cpus-per-task`.
    pub cpus_per_task: Option<usize>,
    /// `--mem`.
    pub mem: Option<String>,
    /// `--constraint`.
    pub constraint: Option<String>,
    /// Any others.
    pub extra: Vec<String>,
}
