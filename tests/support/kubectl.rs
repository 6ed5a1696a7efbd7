//! kubectl of the control plane's version, run as a user.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::ran::Ran;

/// A kubectl command that has not run yet; [`Self::run`] and the methods after it run it.
#[must_use = "kubectl runs by a verb, such as ok"]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    args: Vec<String>,
    stdin: String,
}

impl Kubectl {
    /// kubectl from this folder, as the user of this kubeconfig.
    pub(super) fn of(assets: &Path, kubeconfig: PathBuf, args: &[&str]) -> Self {
        Self {
            program: assets.join("kubectl"),
            kubeconfig,
            args: args.iter().map(|it| (*it).to_owned()).collect(),
            stdin: String::new(),
        }
    }

    /// Runs it in a namespace.
    pub fn within(mut self, namespace: &str) -> Self {
        self.args.splice(..0, ["--namespace".to_owned(), namespace.to_owned()]);
        self
    }

    /// Runs it as another user than the admin.
    pub fn by(mut self, kubeconfig: PathBuf) -> Self {
        self.kubeconfig = kubeconfig;
        self
    }

    /// Passes this on stdin, such as a manifest for `-f -`.
    pub fn given(mut self, stdin: &impl ToString) -> Self {
        self.stdin = stdin.to_string();
        self
    }

    /// Runs it and returns the result, whether it succeeds or not.
    pub fn run(&self) -> Ran {
        let mut stdin = tempfile::tempfile().unwrap();
        stdin.write_all(self.stdin.as_bytes()).unwrap();
        stdin.rewind().unwrap();
        let output = Command::new(&self.program)
            .env("KUBECONFIG", &self.kubeconfig)
            .args(&self.args)
            .stdin(Stdio::from(stdin))
            .output()
            .unwrap();
        Ran::of(&output)
    }

    /// The stdout if it succeeds, else the stderr.
    pub fn result(&self) -> Result<String, String> {
        let Ran { code, stdout, stderr } = self.run();
        if code == 0 { Ok(stdout) } else { Err(stderr) }
    }

    /// Whether it succeeded, and its stderr and stdout.
    pub fn output(&self) -> (bool, String) {
        let Ran { code, stdout, stderr } = self.run();
        (code == 0, stderr + &stdout)
    }

    /// Asserts that it succeeds; returns the stdout.
    pub fn ok(&self) -> String {
        let Ran { code, stdout, stderr } = self.run();
        assert_eq!(code, 0, "kubectl {:?}: {stderr}{stdout}", self.args);
        stdout
    }

    /// Asserts that it fails; returns the stderr.
    pub fn fails(&self) -> String {
        let Ran { code, stdout, stderr } = self.run();
        assert_ne!(code, 0, "kubectl {:?} succeeded: {stderr}{stdout}", self.args);
        stderr
    }

    /// Asserts that it succeeds; returns the printed JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}
