//! Asks Slurm's queue about jobs, where there is one. Nothing depends on the answer: the store knows what is done.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use serde::Serialize;

use super::cluster::{answer, cluster};
use super::submission::Submission;

/// The states that a job does not leave by itself.
const ENDED: [&str; 11] = [
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "SPECIAL_EXIT",
    "TIMEOUT",
];

/// The jobs that the queue knows: those that wait or run, and for some minutes those that have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    jobs: HashMap<u64, Waiting>,
}

/// The state of a job, or of each task if it is an array.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// How many tasks are in each state, in Slurm's words: `PENDING`, `RUNNING`, `COMPLETED`.
    pub states: BTreeMap<String, usize>,
    /// Why tasks are pending, in Slurm's words: `Dependency`, `Resources`.
    pub reason: Option<String>,
}

impl Waiting {
    /// Whether the job, or a task of it, waits or runs.
    pub fn is_at_work(&self) -> bool {
        self.states.keys().any(|state| !ENDED.contains(&state.as_str()))
    }

    /// Describes the state in words: `2 running, 6 pending (Resources)`.
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        for (state, count) in &self.states {
            let mut state = state.to_lowercase().replace('_', " ");
            if let ("pending", Some(reason)) = (state.as_str(), &self.reason) {
                state = format!("pending ({reason})");
            }
            words.push(match self.states.values().sum() {
                1 => state,
                _ => format!("{count} {state}"),
            });
        }
        words.join(", ")
    }
}

impl Queue {
    /// Asks the queue about the jobs of `submissions`. `None` when it cannot be asked: there is no `squeue`, it does
    /// not answer, or the jobs belong to another cluster.
    pub fn ask(submissions: &[Submission]) -> Option<Self> {
        let here = cluster();
        let asked = submissions.iter().filter(|it| it.cluster.is_none() || it.cluster == here);
        let ids: Vec<String> =
            asked.flat_map(|it| &it.jobs).map(|job| job.id.to_string()).collect();
        if ids.is_empty() {
            return None;
        }
        let mut squeue = Command::new("squeue");
        squeue.args(["--noheader", "--states=all", "--array", "--format=%F|%T|%r"]);
        squeue.arg(format!("--jobs={}", ids.join(",")));
        match answer(squeue)? {
            (true, text, _) => Some(Self::of(&text)),
            // If only one job was asked for and is unknown, `squeue` fails with this message.
            (false, _, error) if error.contains("Invalid job id") => Some(Self::default()),
            (false, ..) => None,
        }
    }

    /// Reads lines of `id|STATE|reason`.
    fn of(text: &str) -> Self {
        let mut jobs = HashMap::<u64, Waiting>::new();
        for line in text.lines() {
            let mut fields = line.trim().splitn(3, '|');
            let (Some(id), Some(state)) =
                (fields.next().and_then(|it| it.parse().ok()), fields.next())
            else {
                continue;
            };
            let job = jobs.entry(id).or_default();
            *job.states.entry(state.to_string()).or_default() += 1;
            if state == "PENDING" && job.reason.is_none() {
                job.reason = fields.next().filter(|it| *it != "None").map(String::from);
            }
        }
        Self { jobs }
    }

    /// The state of a job; `None` when the queue does not know it.
    pub fn job(&self, id: u64) -> Option<&Waiting> {
        self.jobs.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_an_array_are_counted() {
        let queue = Queue::of(
            "4|FAILED|NonZeroExitCode\n4|PENDING|JobArrayTaskLimit\n4|RUNNING|None\n\
             4|PENDING|JobArrayTaskLimit\n7|PENDING|None\n8|COMPLETED|None\nnothing of this\n",
        );
        let words = |id| queue.job(id).map(Waiting::in_words);
        assert_eq!(words(4).unwrap(), "1 failed, 2 pending (JobArrayTaskLimit), 1 running");
        assert_eq!((words(7).unwrap(), words(8).unwrap()), ("pending".into(), "completed".into()));
        assert_eq!(words(9), None);
        assert!(queue.job(4).unwrap().is_at_work());
        assert!(!queue.job(8).unwrap().is_at_work());
    }
}
