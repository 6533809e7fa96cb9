//! What a cluster is asked for: `[slurm]`.

/// Seconds before its time limit at which a job is told to save its state, unless a pipeline says otherwise.
/// Slurm may send this up to a minute earlier.
pub const GRACE_SECONDS: usize = 90;

/// What `gimlet slurm` asks a cluster for. An option for one kind of job replaces that of all jobs; `extra` is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slurm {
    /// What all jobs ask for.
    pub all: Requests,
    /// What jobs that ingest ask for.
    pub ingest: Requests,
    /// What jobs that train ask for.
    pub train: Requests,
    /// What jobs that encode ask for, also those that encode with untrained modules.
    pub encode: Requests,
    /// What jobs that probe ask for.
    pub probe: Requests,
    /// Lines of bash before the work of every job.
    pub setup: Vec<String>,
    /// Seconds before its time limit at which a job is told to save its state.
    pub grace_seconds: usize,
}

impl Default for Slurm {
    fn default() -> Self {
        Self {
            all: Requests::default(),
            ingest: Requests::default(),
            train: Requests::default(),
            encode: Requests::default(),
            probe: Requests::default(),
            setup: vec![],
            grace_seconds: GRACE_SECONDS,
        }
    }
}

/// Options of `sbatch`, in the syntax of `sbatch`. Those that are `None` are left to the cluster.
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
    /// Any other options.
    pub extra: Vec<String>,
}
