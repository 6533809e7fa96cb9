//! The peak resident memory of a step.

/// Starts a new measurement and forgets the peak so far, where the system allows it (Linux).
pub fn reset_peak() {
    // Linux: "5" resets the peak resident size (proc(5)). Elsewhere, and where it is forbidden, the
    // peak stays that of the whole process, which is the larger number.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The peak resident memory since [`reset_peak`], in bytes; `None` where the system does not tell.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
