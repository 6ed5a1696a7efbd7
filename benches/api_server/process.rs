//! CPU time and memory of a process.

use std::fs;
use std::path::PathBuf;

/// The CPU time of all threads so far, in seconds (`/proc/PID/task/TID/schedstat`).
pub fn cpu_seconds(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = |path: PathBuf| -> u64 {
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    tasks.map(|task| nanos(task.unwrap().path()) as f64 / 1e9).sum()
}

/// The resident memory, in MiB (`VmRSS`).
pub fn resident_mib(pid: u32) -> f64 {
    memory_mib(pid, "VmRSS:").unwrap()
}

/// A figure of `/proc/PID/status`, in MiB; `None` of a process that has ended.
pub fn memory_mib(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0)
}
