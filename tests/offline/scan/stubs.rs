//! Programs that stand in for helm, kustomize and kubectl: each prints a hidden file of the folder that it is given,
//! and logs its words.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Folder};
use crate::support::binary;

/// A PATH with nothing but these programs.
pub(super) struct Programs(TempDir);

impl Programs {
    pub(super) fn with(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = Self(folder);
        for name in names {
            // The last word that is a folder is what helm and kustomize render.
            let script = format!(
                "echo \"{name} $*, kubeconfig $KUBECONFIG\" >> \"$STUB_LOG\"\nfor word; do [ -d \"$word\" ] && folder=$word; done\ncat \"$folder/.rendered\""
            );
            programs.add(name, &script);
        }
        programs
    }

    /// A PATH with this program alone.
    pub(super) fn only(name: &str, script: &str) -> Self {
        let programs = Self::with(&[]);
        programs.add(name, script);
        programs
    }

    fn add(&self, name: &str, script: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Scans on a terminal, until `shown` is on it; then tells the program, which waits for its log. Returns all that was
    /// on the terminal.
    pub(super) fn scan_on_a_terminal(&self, folder: &Folder, shown: &str) -> String {
        let scan = format!("{} scan", binary::path().display());
        // The program of util-linux, which runs a command on a terminal of its own.
        let mut script = Command::new("script")
            .args(["-qec", &scan, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .env("STUB_LOG", self.log_file())
            .env("PATH", std::env::join_paths([self.0.path(), Path::new("/usr/bin")]).unwrap())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut terminal, mut all, mut bytes) =
            (script.stdout.take().unwrap(), Vec::new(), [0; 4096]);
        loop {
            match terminal.read(&mut bytes).unwrap() {
                0 => break,
                count => all.extend_from_slice(&bytes[..count]),
            }
            if String::from_utf8_lossy(&all).contains(shown) {
                fs::write(self.log_file(), "").unwrap();
            }
        }
        script.wait().unwrap();
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Scans with this PATH; as text if `args` have an `-o`, else as JSON.
    pub(super) fn scan(&self, folder: &Folder, args: &[&str]) -> Answer {
        let mut command = binary::command();
        command.arg("scan").args(args).env("PATH", self.0.path()).env("STUB_LOG", self.log_file());
        if !args.contains(&"-o") {
            command.args(["-o", "json"]);
        }
        let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        let report = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        Answer { code: output.status.code().unwrap(), stdout, stderr, report }
    }

    fn log_file(&self) -> std::path::PathBuf {
        self.0.path().join("log")
    }

    /// What was run, in order of the words.
    pub(super) fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let mut lines: Vec<_> = log.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}
