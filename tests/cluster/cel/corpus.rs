//! The files of `tests/cel`: expressions, policies, pods, namespaces.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::cel::judge::{Unit, Variable};

/// A policy of the corpus.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// A description for the reader.
    #[serde(rename = "name")]
    _name: String,
    #[serde(default)]
    variables: Vec<Variable>,
    validations: Vec<String>,
    /// Whether it is evaluated with each namespace, instead of with none.
    #[serde(default)]
    namespaced: bool,
    /// Whether one pod is enough, because it costs much and does not depend on the pod.
    #[serde(default)]
    dear: bool,
}

impl Policy {
    /// The units to evaluate, with this number of namespaces.
    pub fn units(&self, namespaces: usize) -> Vec<Unit> {
        let unit = |namespace| Unit {
            variables: self.variables.clone(),
            validations: self.validations.clone(),
            namespace,
            pods: self.dear.then(|| vec![0]),
            runs: if self.dear { 1 } else { 3 },
            ..Unit::default()
        };
        if self.namespaced {
            (0..namespaces).map(|it| unit(Some(it))).collect()
        } else {
            vec![unit(None)]
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cel")
}

/// The files of a folder in order of their names, each with its text.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// The expressions, each with its place. One is a line, and the lines behind it that begin with a space; `#` begins a
/// comment.
pub fn expressions() -> Vec<(String, String)> {
    let mut expressions: Vec<(String, String)> = Vec::new();
    for (name, text) in files(&folder().join("corpus")) {
        for (number, line) in text.split('\n').enumerate() {
            if line.starts_with(' ') {
                let (_, last) =
                    expressions.last_mut().expect("a continuation line follows an expression");
                last.push('\n');
                last.push_str(line);
            } else if !line.is_empty() && !line.starts_with('#') {
                expressions.push((format!("{name}:{}", number + 1), line.to_owned()));
            }
        }
    }
    expressions
}

pub fn policies() -> Vec<Policy> {
    let files = files(&folder().join("policies"));
    files.iter().flat_map(|(name, text)| documents(name, text)).collect()
}

pub fn pods() -> Vec<Value> {
    let files = files(&folder().join("pods"));
    files.iter().flat_map(|(name, text)| documents(name, text)).collect()
}

pub fn namespaces() -> Vec<Value> {
    documents("namespaces.yaml", &fs::read_to_string(folder().join("namespaces.yaml")).unwrap())
}

fn documents<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Vec<T> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}
