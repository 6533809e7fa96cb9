//! What it was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Processor, cores, memory, file system, kernel, date; as much as can be found out.
pub fn describe(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let cpu = first_line("/proc/cpuinfo", "model name").unwrap_or("unknown CPU".into());
    let memory = first_line("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or(String::new(), |kilobytes| format!(", {:.0} GB of memory", kilobytes / 1e6));
    let folder = folder.display().to_string();
    let file_system = run("df", &["--output=fstype,source", &folder])
        .and_then(|text| text.lines().nth(1).map(String::from))
        .map_or(String::new(), |line| {
            let (kind, device) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            format!(", {kind} on {}", disk(device.trim()))
        });
    let system = run("uname", &["-sr"]).unwrap_or_default();
    let date = run("date", &["+%Y-%m-%d"]).unwrap_or_default();
    format!("{cores} cores of {cpu}{memory}{file_system}; {}; {}", system.trim(), date.trim())
}

fn disk(device: &str) -> String {
    let name = device.rsplit('/').next().unwrap_or_default();
    let spins = fs::read_to_string(format!("/sys/block/{name}/queue/rotational"));
    match spins.as_deref().map(str::trim) {
        _ if name.starts_with("vd") => "a virtual disk".into(),
        Ok("1") => "a hard disk".into(),
        Ok(_) => "an SSD".into(),
        Err(_) => "a disk".into(),
    }
}

fn first_line(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().into())
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()
}
