//! The person's own helm and kustomize. They are run without a shell, a terminal or a kubeconfig, with a time limit and
//! bounded output; never with a flag that loosens what they may read or run (`--enable-helm`, `--enable-alpha-plugins`,
//! `--load-restrictor`, `--post-renderer`).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::chart::Chart;
use super::path::argument;
use crate::policy::text::brief;
use crate::process::{self, Limits};

const LIMITS: Limits = Limits { time: Duration::from_mins(1), output: 256 << 20 };
/// The most bytes of a program's own error that are shown.
const MAX_MESSAGE: usize = 1000;

/// A program that was found on the PATH.
pub(super) struct Program {
    path: PathBuf,
    name: &'static str,
    /// The words before the folder.
    words: &'static [&'static str],
    limits: Limits,
}

impl Program {
    pub(super) fn helm() -> Option<Self> {
        Self::find("helm", &["template"])
    }

    /// kustomize, else the one in kubectl.
    pub(super) fn kustomize() -> Option<Self> {
        Self::find("kustomize", &["build"]).or_else(|| Self::find("kubectl", &["kustomize"]))
    }

    /// Finds a program in the PATH's absolute folders: one in the repository that is scanned is not the person's own.
    fn find(name: &'static str, words: &'static [&'static str]) -> Option<Self> {
        let folders = env::var_os("PATH")?;
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        let paths = env::split_paths(&folders).filter(|folder| folder.is_absolute());
        let path = paths.map(|folder| folder.join(&file)).find(|path| path.is_file())?;
        Some(Self { path, name, words, limits: LIMITS })
    }

    /// Renders a chart.
    ///
    /// # Errors
    /// A sentence with the program's own error.
    pub(super) fn template(
        &self,
        chart: &Chart,
        values: &[PathBuf],
        namespace: Option<&str>,
    ) -> Result<Vec<u8>, String> {
        let mut command = self.command();
        command.args(&chart.release).arg(argument(&chart.folder));
        for file in values {
            command.arg("--values").arg(argument(file));
        }
        if let Some(namespace) = namespace {
            command.arg(format!("--namespace={namespace}"));
        }
        self.run(&mut command)
    }

    /// Builds a kustomization.
    ///
    /// # Errors
    /// As [`Self::template`].
    pub(super) fn build(&self, folder: &Path) -> Result<Vec<u8>, String> {
        let mut command = self.command();
        self.run(command.arg(argument(folder)))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // What is rendered does not depend on a cluster, and a remote base that needs a password fails at once.
        command.args(self.words).env("KUBECONFIG", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    fn run(&self, command: &mut Command) -> Result<Vec<u8>, String> {
        let ran =
            process::run(command, self.limits).map_err(|error| format!("{} {error}", self.name))?;
        if ran.status.success() {
            return Ok(ran.output);
        }
        let errors = String::from_utf8_lossy(&ran.errors);
        let lines: Vec<_> = errors.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
        let errors = if lines.is_empty() { ran.status.to_string() } else { lines.join(" ") };
        Err(brief(format!("{} cannot render it: {errors}", self.name), MAX_MESSAGE))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_that_prints_too_much_or_never_ends_is_a_fault_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let built = |script: &str, limits: Limits| {
            let path = folder.path().join("kustomize");
            fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            Program { path, name: "kustomize", words: &["build"], limits }.build(folder.path())
        };
        let forever = Limits { time: Duration::from_millis(50), ..LIMITS };
        let error = built("exec sleep 1000", forever).unwrap_err();
        assert_eq!(error, "kustomize gave no answer within 50ms");
        let little = Limits { output: 2 << 20, ..LIMITS };
        let error = built("exec head -c 2097153 /dev/zero", little).unwrap_err();
        assert_eq!(error, "kustomize printed more than 2 MiB");
        let whole = built("exec head -c 2097152 /dev/zero", little).unwrap();
        assert_eq!(whole.len(), 2 << 20);
    }
}
