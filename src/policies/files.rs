//! The policies of YAML files, for podgate without a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Policies;
use crate::manifests::documents::{self, Fault};
use crate::manifests::node::Position;
use crate::manifests::policy_file::{self, PolicyDocument, Reading};
use crate::metrics::PolicyMetrics;
use crate::policy::compile::Policy;
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;

/// How often the files are looked at. They are read whole each time: modified
/// times miss changes that a ConfigMap mount makes by swapping links.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Why policies cannot be read from files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("cannot read {path}: {source}; name a policy file or a folder of them")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} has no .yaml, .yml or .json file; name a policy file or a folder of them")]
    Empty { path: PathBuf },
    #[error("{path}:{source}")]
    Policy { path: PathBuf, source: Fault },
    #[error("{path}:{at}: policy {name:?} is defined twice, first in {first}")]
    Twice { path: PathBuf, at: Position, name: String, first: String },
}

/// The text of each file, by path, in a stable order.
type Texts = BTreeMap<PathBuf, String>;

/// Files and folders of policies, and what they held when last looked at.
#[derive(Clone)]
pub struct Files {
    paths: Vec<PathBuf>,
    protected: Protected,
    seen: Result<Texts, String>,
}

impl Files {
    /// Reads and compiles the policies.
    ///
    /// # Errors
    /// Names the file, and the line and column where there is one.
    pub fn open(
        paths: Vec<PathBuf>,
        protected: Protected,
    ) -> Result<(Self, PolicySet), FilesError> {
        let texts = read(&paths)?;
        let set = compile(&texts, &protected)?;
        Ok((Self { paths, protected, seen: Ok(texts) }, set))
    }

    /// Publishes every change since, until its caller drops it. A state with a
    /// fault is told once, and the last good one stays in force.
    pub async fn watch(mut self, policies: Policies, metrics: PolicyMetrics) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let now = read(&self.paths).map_err(|error| error.to_string());
            if now == self.seen {
                continue;
            }
            let compiled = match &now {
                Ok(texts) => compile(texts, &self.protected).map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            match compiled {
                Ok(set) => {
                    tracing::info!(policies = set.len(), "policies reloaded");
                    metrics.loaded(set.len(), 0);
                    policies.store(Some(Arc::new(set)));
                }
                Err(error) => {
                    metrics.load_failed();
                    tracing::error!(
                        error,
                        "policies not reloaded; the last good ones stay in force"
                    );
                }
            }
            self.seen = now;
        }
    }
}

fn read(paths: &[PathBuf]) -> Result<Texts, FilesError> {
    let mut texts = Texts::new();
    for path in paths {
        let fault = |source| FilesError::Read { path: path.clone(), source };
        if !fs::metadata(path).map_err(fault)?.is_dir() {
            texts.insert(path.clone(), text(path)?);
            continue;
        }
        let before = texts.len();
        for entry in fs::read_dir(path).map_err(fault)? {
            let file = entry.map_err(fault)?.path();
            if is_manifest(&file) && file.is_file() {
                let text = text(&file)?;
                texts.insert(file, text);
            }
        }
        if texts.len() == before {
            return Err(FilesError::Empty { path: path.clone() });
        }
    }
    Ok(texts)
}

fn text(path: &Path) -> Result<String, FilesError> {
    let bytes =
        fs::read(path).map_err(|source| FilesError::Read { path: path.to_owned(), source })?;
    let text = documents::text(&bytes)
        .map_err(|source| FilesError::Policy { path: path.to_owned(), source })?;
    Ok(text.to_owned())
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json")
}

/// The policies of files and folders, once.
///
/// # Errors
/// Names the file, and the line and column where there is one.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Arc<Policy>>, FilesError> {
    policies(&read(paths)?)
}

fn compile(texts: &Texts, protected: &Protected) -> Result<PolicySet, FilesError> {
    Ok(PolicySet::new(policies(texts)?, Arc::default()).protecting(protected.clone()))
}

fn policies(texts: &Texts) -> Result<Vec<Arc<Policy>>, FilesError> {
    let mut first = BTreeMap::new();
    let mut policies = Vec::new();
    for (path, text) in texts {
        let documents = policy_file::parse(text, Reading::default())
            .map_err(|source| FilesError::Policy { path: path.clone(), source })?;
        for PolicyDocument { policy, at, .. } in documents {
            let place = format!("{}:{at}", path.display());
            if let Some(first) = first.insert(policy.label.clone(), place) {
                let (path, name) = (path.clone(), policy.name.clone());
                return Err(FilesError::Twice { path, at, name, first });
            }
            policies.push(policy);
        }
    }
    Ok(policies)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str) -> String {
        format!(
            "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata:\n  name: {name}\n"
        )
    }

    fn load(path: &Path) -> Result<PolicySet, FilesError> {
        Files::open(vec![path.to_owned()], Protected::default()).map(|(_, set)| set)
    }

    #[tokio::test]
    async fn a_change_between_the_first_look_and_the_watch_is_not_missed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), policy("a")).unwrap();
        let (files, _) = Files::open(vec![dir.path().to_owned()], Protected::default()).unwrap();
        fs::write(dir.path().join("b.yaml"), policy("b")).unwrap();

        let policies = Policies::default();
        let metrics = crate::metrics::Metrics::new().unwrap().policies;
        let watching = tokio::spawn(files.watch(policies.clone(), metrics));
        let published = async {
            while policies.load().as_ref().is_none_or(|set| set.len() != 2) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), published).await.unwrap();
        watching.abort();
    }

    #[test]
    fn a_folder_gives_the_policies_of_its_manifests() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), policy("a") + "---\n" + &policy("b")).unwrap();
        fs::write(dir.path().join("c.yml"), policy("c")).unwrap();
        fs::write(dir.path().join("README.md"), "no policy").unwrap();
        assert_eq!(load(dir.path()).unwrap().len(), 3);
    }

    #[test]
    fn one_name_in_two_files_is_an_error_that_names_both() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), policy("same")).unwrap();
        fs::write(dir.path().join("b.yaml"), policy("same")).unwrap();
        let error = load(dir.path()).err().unwrap().to_string();
        assert!(error.contains("b.yaml:4:3: policy \"same\" is defined twice"), "{error}");
        assert!(error.ends_with("a.yaml:4:3"), "{error}");
    }

    #[test]
    fn a_fault_is_named_by_file_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.yaml");
        fs::write(&path, policy("a") + "spec: {forbidLatestTag: often}\n").unwrap();
        let error = load(&path).err().unwrap().to_string();
        assert_eq!(
            error,
            format!(
                "{}:5:25: spec.forbidLatestTag: invalid type: string \"often\", expected a boolean",
                path.display()
            )
        );
    }

    #[test]
    fn a_path_without_policies_is_an_error_that_says_what_to_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).err().unwrap().to_string();
        assert!(error.contains("has no .yaml"), "{error}");
        let error = load(&dir.path().join("absent.yaml")).err().unwrap().to_string();
        assert!(error.contains("cannot read") && error.contains("absent.yaml"), "{error}");
    }
}
