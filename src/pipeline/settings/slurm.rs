//! What a cluster is asked for: `[slurm]`.

/// What `gimlet slurm` asks a cluster for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slurm {
    /// Of all jobs.
    pub all: Requests,
    pub ingest: Requests,
    pub train: Requests,
    /// Also of the stack as it was drawn.
    pub encode: Requests,
    pub probe: Requests,
    /// Lines of bash before the work of every job.
    pub setup: Vec<String>,
    /// Seconds before its time limit at which a job is told to save its state.
    pub grace_seconds: Option<usize>,
}

/// Options of `sbatch`, in its own words; those that are `None` are left to the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub time: Option<String>,
    pub gres: Option<String>,
    pub cpus_per_task: Option<usize>,
    pub mem: Option<String>,
    pub constraint: Option<String>,
    /// Any others.
    pub extra: Vec<String>,
}
