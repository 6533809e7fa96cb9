//! Runs commands of Slurm, where they are installed, and reads their answers.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The name of the cluster here, if Slurm tells it.
pub fn cluster() -> Option<String> {
    let mut scontrol = Command::new("scontrol");
    scontrol.args(["show", "config"]);
    let (true, text, _) = answer(scontrol)? else { return None };
    let line = text.lines().find_map(|line| line.trim().strip_prefix("ClusterName"))?;
    Some(line.trim_start_matches([' ', '=']).trim().to_string()).filter(|name| !name.is_empty())
}

/// Runs a command: whether it ended well, and its stdout and stderr. `None` when there is no such command, or it takes
/// too long.
pub fn answer(mut command: Command) -> Option<(bool, String, String)> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
    // Read both streams meanwhile: a full pipe would block the command while we wait for it.
    let stdout = std::thread::spawn(move || text_of(stdout));
    let stderr = std::thread::spawn(move || text_of(stderr));
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                let (stdout, stderr) = (stdout.join().ok()?.ok()?, stderr.join().ok()?.ok()?);
                return Some((status.success(), stdout, stderr));
            }
            Ok(None) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn text_of(mut stream: impl Read) -> std::io::Result<String> {
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
