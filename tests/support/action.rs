//! Runs the steps of `action.yml` in a repository, as GitHub's runner does for what the action uses: inputs, conditions,
//! outputs, the summary and the PATH. A step that uses another action is recorded instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::control_plane::text;

/// A job with the action as its only step.
pub struct Job<'r> {
    repository: &'r Path,
    /// The values of contexts, such as `inputs.paths`.
    contexts: BTreeMap<String, String>,
    variables: Vec<(&'r str, String)>,
    /// Whether actions that this one uses fail.
    refuses: bool,
    folder: TempDir,
}

/// A job that has ended.
pub struct Ended {
    pub failed: bool,
    /// Stdout and stderr of all steps.
    pub log: String,
    pub outputs: BTreeMap<String, String>,
    pub summary: String,
    /// The actions that this one used, with their inputs.
    pub used: Vec<(String, BTreeMap<String, String>)>,
    /// Kept for the files that the outputs name.
    _folder: TempDir,
}

fn action() -> Value {
    serde_saphyr::from_str(include_str!("../../action.yml")).unwrap()
}

impl<'r> Job<'r> {
    /// With these inputs; the others have their defaults.
    pub fn with(repository: &'r Path, inputs: &[(&str, &str)]) -> Self {
        let action = action();
        let known = action["inputs"].as_object().unwrap();
        let default = |value: &Value| match &value["default"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let key = |name: &str| format!("inputs.{name}");
        let mut contexts: BTreeMap<_, _> =
            known.iter().map(|(name, it)| (key(name), default(it))).collect();
        for (name, value) in inputs {
            let replaced = contexts.insert(key(name), (*value).to_owned());
            assert!(replaced.is_some(), "the action has no input {name}");
        }
        let folder = tempfile::tempdir().unwrap();
        Self { repository, contexts, variables: Vec::new(), refuses: false, folder }
    }

    /// With a variable of the job's environment.
    pub fn variable(mut self, name: &'r str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The actions that this one uses fail.
    pub fn refuses_other_actions(mut self) -> Self {
        self.refuses = true;
        self
    }

    pub fn run(mut self) -> Ended {
        let action = action();
        let mut path = std::env::var("PATH").unwrap();
        let (mut log, mut summary) = (String::new(), String::new());
        let (mut failed, mut used) = (false, Vec::new());
        for step in action["runs"]["steps"].as_array().unwrap() {
            // A condition without a function of the status is one more beside success().
            if failed || !step["if"].as_str().is_none_or(|condition| self.holds(condition)) {
                continue;
            }
            let id = step["id"].as_str().unwrap_or("unnamed");
            let succeeded = if let Some(other) = step["uses"].as_str() {
                used.push((other.to_owned(), self.values(&step["with"])));
                !self.refuses
            } else {
                let (succeeded, said) = self.runs(step, id, &mut path, &mut summary);
                log += &said;
                succeeded
            };
            let outcome = if succeeded { "success" } else { "failure" };
            self.contexts.insert(format!("steps.{id}.outcome"), outcome.to_owned());
            failed = !succeeded && step["continue-on-error"] != true;
        }
        let outputs = action["outputs"].as_object().unwrap().iter();
        let outputs = outputs
            .map(|(name, it)| (name.clone(), self.resolved(it["value"].as_str().unwrap())))
            .collect();
        Ended { failed, log, outputs, summary, used, _folder: self.folder }
    }

    /// Runs a script by the runner's bash; whether it succeeded, and what it printed.
    fn runs(
        &mut self,
        step: &Value,
        id: &str,
        path: &mut String,
        summary: &mut String,
    ) -> (bool, String) {
        assert_eq!(step["shell"], "bash");
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "a value in the text of a script is code: {script}");
        let file = |name: &str| -> PathBuf {
            let file = self.folder.path().join(name);
            fs::write(&file, "").unwrap();
            file
        };
        let files = ["GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"];
        let [outputs, paths, page] = files.map(file);
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(self.repository)
            .env("PATH", &*path)
            .env("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR"))
            .env("RUNNER_TEMP", self.folder.path())
            .envs(files.into_iter().zip([&outputs, &paths, &page]))
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .envs(self.values(&step["env"]))
            .output()
            .unwrap();
        for line in fs::read_to_string(outputs).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            self.contexts.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
        }
        for line in fs::read_to_string(paths).unwrap().lines() {
            *path = format!("{line}:{path}");
        }
        *summary += &fs::read_to_string(page).unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    fn values(&self, map: &Value) -> BTreeMap<String, String> {
        let map = map.as_object().into_iter().flatten();
        map.map(|(name, it)| (name.clone(), self.resolved(it.as_str().unwrap()))).collect()
    }

    fn resolved(&self, text: &str) -> String {
        let mut parts = text.split("${{");
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |resolved, part| {
            let (name, rest) = part.split_once("}}").unwrap();
            resolved + &self.value(name.trim()) + rest
        })
    }

    /// Whether comparisons of a value with a text, joined by `&&`, all hold.
    fn holds(&self, condition: &str) -> bool {
        condition.split(" && ").all(|comparison| {
            let equal = comparison.split_once(" == ").map(|sides| (sides, true));
            let unequal = || comparison.split_once(" != ").map(|sides| (sides, false));
            let ((name, text), equal) = equal.or_else(unequal).unwrap();
            (self.value(name) == text.trim_matches('\'')) == equal
        })
    }

    /// The value of a name; empty where it has none, as on GitHub.
    fn value(&self, name: &str) -> String {
        self.contexts.get(name).cloned().unwrap_or_default()
    }
}

impl Ended {
    /// The lines that GitHub takes for commands.
    pub fn commands(&self) -> Vec<&str> {
        let is_one = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
        self.log.lines().filter(is_one).collect()
    }

    pub fn sarif(&self) -> Value {
        serde_json::from_slice(&fs::read(&self.outputs["sarif"]).unwrap()).unwrap()
    }
}
