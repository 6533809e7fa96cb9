//! What the system holds of files in memory.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use crate::side::Result;

/// Reads files through, so that the system holds them.
pub fn warm(files: &[PathBuf]) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    for path in files {
        let mut file = File::open(path)?;
        while file.read(&mut buffer)? > 0 {}
    }
    Ok(())
}

/// Has the system drop what it holds of files, and checks that it did. `Err` inside: why it cannot
/// be told that they are cold.
#[cfg(target_os = "linux")]
pub fn drop_files(files: &[PathBuf]) -> Result<std::result::Result<(), String>> {
    use rustix::fs::{Advice, fadvise};
    let mut held = 0;
    // Pages that were read a moment ago can still be on a processor's list, and stay.
    for _ in 0..20 {
        for path in files {
            let file = File::open(path)?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
        held = match bytes_held(files) {
            Ok(held) => held,
            Err(why) => return Ok(Err(why)),
        };
        if held < 1 << 20 {
            return Ok(Ok(()));
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(Err(format!("the system still holds {held} bytes")))
}

#[cfg(not(target_os = "linux"))]
pub fn drop_files(_files: &[PathBuf]) -> Result<std::result::Result<(), String>> {
    Ok(Err("files can be made cold on Linux only".into()))
}

/// By `fincore` of util-linux.
#[cfg(target_os = "linux")]
fn bytes_held(files: &[PathBuf]) -> std::result::Result<u64, String> {
    let arguments = ["--bytes", "--noheadings", "--output", "RES"];
    let output = Command::new("fincore").args(arguments).args(files).output();
    let output = output.map_err(|error| format!("fincore: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let held = text.split_whitespace().map(str::parse::<u64>).sum::<std::result::Result<u64, _>>();
    held.ok().filter(|_| output.status.success()).ok_or_else(|| "fincore failed".into())
}
