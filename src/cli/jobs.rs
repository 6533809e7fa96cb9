//! The jobs that were submitted for a run or a sweep, and their state in the queue.

use serde::Serialize;

use crate::Result;
use crate::slurm::{Queue, Submission, Waiting};
use crate::stage::RunDir;

/// A job of a sweep that is in the queue.
#[derive(Serialize)]
pub struct SweepJob {
    id: u64,
    title: String,
    queue: Waiting,
}

impl SweepJob {
    /// The job in words: `job 101, runs: 2 running, 6 pending (Resources)`.
    pub fn in_words(&self) -> String {
        format!("job {}, {}: {}", self.id, self.title, self.queue.in_words())
    }
}

/// The submissions, newest first. Damaged records are skipped.
pub fn submissions(dir: &RunDir) -> Result<Vec<Submission>> {
    let mut all = Vec::new();
    for record in dir.jobs().readable::<Submission>()? {
        all.push(record?.1);
    }
    Ok(all)
}

/// The jobs that work on the sweep in `dir`, and the jobs of the newest submission that have just ended.
pub fn jobs_at(dir: &RunDir) -> Result<Vec<SweepJob>> {
    let submissions = submissions(dir)?;
    let Some(queue) = Queue::ask(&submissions) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (place, submission) in submissions.iter().enumerate() {
        for job in &submission.jobs {
            let waiting = queue.job(job.id).filter(|it| place == 0 || it.is_at_work()).cloned();
            let of = |queue| SweepJob { id: job.id, title: job.title.clone(), queue };
            found.extend(waiting.map(of));
        }
    }
    Ok(found)
}
