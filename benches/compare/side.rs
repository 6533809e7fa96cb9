//! A process that takes a step for every line it is sent.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Result;

/// What a step took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Step {
    pub seconds: f64,
    /// Of the batch, before the update.
    pub loss: f64,
    /// The peak of the process's resident memory so far, in bytes.
    pub peak: u64,
}

pub struct Side {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Side {
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = child.stdin.take().ok_or("no way to a process")?;
        let from = BufReader::new(child.stdout.take().ok_or("no way from a process")?);
        Ok(Self { child, to, from })
    }

    pub fn step(&mut self) -> Result<Step> {
        writeln!(self.to, "step")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| format!("a process died: {line:?}").into())
    }
}

impl Side {
    /// The mean of so many steps, after one that is not counted: while a process rests, its caches go
    /// to others, and so do the pages that it has given back.
    pub fn turn(&mut self, count: usize) -> Result<Step> {
        let mut turn = Step { seconds: 0.0, ..self.step()? };
        for _ in 0..count {
            let step = self.step()?;
            turn = Step { seconds: turn.seconds + step.seconds, ..step };
        }
        Ok(Step { seconds: turn.seconds / count as f64, ..turn })
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
