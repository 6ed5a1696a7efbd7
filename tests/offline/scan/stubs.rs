//! Programs that stand in for helm, kustomize and kubectl: each prints a hidden file of the folder that it is given,
//! and logs its words.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

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
                "#!/bin/sh\nPATH=/usr/bin:/bin\necho \"{name} $*, kubeconfig $KUBECONFIG\" >> \"$STUB_LOG\"\nfor word; do [ -d \"$word\" ] && folder=$word; done\ncat \"$folder/.rendered\"\n"
            );
            let path = programs.0.path().join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        programs
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
