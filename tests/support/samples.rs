//! The samples of `deploy/samples`, for the demos.

use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    // The demos run in the folder of the Makefile.
    Path::new("deploy/samples").join(name)
}

/// The folder of the policies.
pub fn policies() -> PathBuf {
    folder("policies")
}

/// The workloads' files, by name.
pub fn workloads() -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder("workloads")).expect("run it in the folder of the Makefile");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A file's name.
pub fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether the demo should end by itself, as in CI.
pub fn once() -> bool {
    std::env::var("ONCE").is_ok_and(|it| it == "1")
}
