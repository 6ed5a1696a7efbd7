//! kubectl of the control plane's own version, as a user of it runs it.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::ran::Ran;

/// A call of kubectl that was not made yet; each verb that takes it makes it.
#[must_use = "kubectl runs by a verb, such as ok"]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    args: Vec<String>,
    stdin: String,
}

impl Kubectl {
    /// The one that is in this folder, as the user of this kubeconfig.
    pub(super) fn of(assets: &Path, kubeconfig: PathBuf, args: &[&str]) -> Self {
        Self {
            program: assets.join("kubectl"),
            kubeconfig,
            args: args.iter().map(|it| (*it).to_owned()).collect(),
            stdin: String::new(),
        }
    }

    /// In a namespace.
    pub fn within(mut self, namespace: &str) -> Self {
        self.args.splice(..0, ["--namespace".to_owned(), namespace.to_owned()]);
        self
    }

    /// As another user than the admin.
    pub fn by(mut self, kubeconfig: PathBuf) -> Self {
        self.kubeconfig = kubeconfig;
        self
    }

    /// With this on stdin, such as a manifest for `-f -`.
    pub fn given(mut self, stdin: &impl ToString) -> Self {
        self.stdin = stdin.to_string();
        self
    }

    /// Whatever comes of it.
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

    /// What it prints, if it succeeds; if not, what it says.
    pub fn result(&self) -> Result<String, String> {
        let Ran { code, stdout, stderr } = self.run();
        if code == 0 { Ok(stdout) } else { Err(stderr) }
    }

    /// Whether it succeeded, and all that a person reads.
    pub fn output(&self) -> (bool, String) {
        let Ran { code, stdout, stderr } = self.run();
        (code == 0, stderr + &stdout)
    }

    /// It succeeds; what it prints.
    pub fn ok(&self) -> String {
        let Ran { code, stdout, stderr } = self.run();
        assert_eq!(code, 0, "kubectl {:?}: {stderr}{stdout}", self.args);
        stdout
    }

    /// It fails; what it says.
    pub fn fails(&self) -> String {
        let Ran { code, stdout, stderr } = self.run();
        assert_ne!(code, 0, "kubectl {:?} succeeded: {stderr}{stdout}", self.args);
        stderr
    }

    /// It succeeds; the JSON that it prints.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}
