//! Policies from YAML files: files, folders with their subfolders and, unless they are watched, `-` for stdin.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Policies;
use crate::findings::Fault;
use crate::inputs;
use crate::manifests::policy_file::{self, ParseOptions, PolicyDocument};
use crate::metrics::PolicyMetrics;
use crate::policy::compile::Policy;
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;
use crate::policy::text::{printable, quote};

/// How often the files are read. They are read whole each time: modification times miss the changes of a ConfigMap
/// mount, which swaps links.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Why policies cannot be read from files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// All files that cannot be read, and folders without policy files.
    #[error("{}", lines(.0))]
    Unreadable(Vec<Fault>),
    #[error("{place}:{fault}")]
    Policy { place: String, fault: crate::manifests::error::ManifestError },
    #[error("{place}: policy {} is defined twice, first in {first}", quote(.label))]
    Twice { place: String, label: String, first: String },
    /// The paths, with commas between them.
    #[error("{0}: there is no policy in it; name a policy file or a folder of them")]
    Empty(String),
    #[error("policies that are watched cannot come from stdin; name a file or a folder of them")]
    Stdin,
}

fn lines(faults: &[Fault]) -> String {
    let line = |it: &Fault| {
        format!("{}: {}; name a policy file or a folder of them", it.place, it.message)
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A policy with its place in a file.
pub struct PlacedPolicy {
    /// `FILE:LINE:COLUMN`.
    pub place: String,
    pub document: PolicyDocument,
}

/// Reads the policies of files. Names must be unique.
///
/// # Errors
/// All files that cannot be read, or else the first fault of the first file with one.
pub fn read(paths: &[PathBuf], reading: ParseOptions<'_>) -> Result<Vec<PlacedPolicy>, FilesError> {
    some(parse(&texts(paths)?, reading)?, paths)
}

/// Reads and compiles the policies of files; an empty list without paths.
///
/// # Errors
/// As [`read`].
pub fn load(paths: &[PathBuf]) -> Result<Vec<Arc<Policy>>, FilesError> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    some(compile(&texts(paths)?)?, paths)
}

/// The name and text of each file, in the order in which they were found.
type FileTexts = Vec<(String, String)>;

fn texts(paths: &[PathBuf]) -> Result<FileTexts, FilesError> {
    let (inputs, mut faults) = inputs::find(paths);
    let mut texts = FileTexts::new();
    for input in inputs {
        match input.read(str::to_owned) {
            Ok(text) => texts.push((input.name, text)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(texts) } else { Err(FilesError::Unreadable(faults)) }
}

fn parse(texts: &FileTexts, reading: ParseOptions<'_>) -> Result<Vec<PlacedPolicy>, FilesError> {
    let mut first = BTreeMap::new();
    let mut policies = Vec::new();
    for (name, text) in texts {
        let documents = policy_file::parse(text, reading)
            .map_err(|fault| FilesError::Policy { place: name.clone(), fault })?;
        for document in documents {
            let place = format!("{name}:{}", document.at);
            let label = document.policy.label.clone();
            if let Some(first) = first.insert(label.clone(), place.clone()) {
                return Err(FilesError::Twice { place, label, first });
            }
            policies.push(PlacedPolicy { place, document });
        }
    }
    Ok(policies)
}

fn some<T>(policies: Vec<T>, paths: &[PathBuf]) -> Result<Vec<T>, FilesError> {
    if policies.is_empty() {
        let paths: Vec<_> = paths.iter().map(|it| printable(&it.display().to_string())).collect();
        return Err(FilesError::Empty(paths.join(", ")));
    }
    Ok(policies)
}

fn compile(texts: &FileTexts) -> Result<Vec<Arc<Policy>>, FilesError> {
    Ok(parse(texts, ParseOptions::default())?.into_iter().map(|it| it.document.policy).collect())
}

/// Watched files and folders of policies, with their last contents.
#[derive(Clone)]
pub struct Files {
    paths: Vec<PathBuf>,
    protected: Protected,
    last: Result<FileTexts, String>,
}

impl Files {
    /// Reads and compiles the policies.
    ///
    /// # Errors
    /// As [`read`]; and if a path is stdin.
    pub fn open(
        paths: Vec<PathBuf>,
        protected: Protected,
    ) -> Result<(Self, PolicySet), FilesError> {
        if paths.iter().any(|path| path.as_os_str() == "-") {
            return Err(FilesError::Stdin);
        }
        let texts = texts(&paths)?;
        let set = set(&texts, &protected)?;
        Ok((Self { paths, protected, last: Ok(texts) }, set))
    }

    /// Publishes every change, until the caller drops it. Files with a fault are logged once, and the last good
    /// policies stay in force.
    pub async fn watch(mut self, policies: Policies, metrics: PolicyMetrics) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let now = texts(&self.paths).map_err(|error| error.to_string());
            if now == self.last {
                continue;
            }
            let compiled = match &now {
                Ok(texts) => set(texts, &self.protected).map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            match compiled {
                Ok(set) => {
                    tracing::info!(policies = set.len(), "policies reloaded");
                    metrics.loaded(&set, 0);
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
            self.last = now;
        }
    }
}

fn set(texts: &FileTexts, protected: &Protected) -> Result<PolicySet, FilesError> {
    Ok(PolicySet::new(compile(texts)?, Arc::default()).protecting(protected.clone()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

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
    fn a_folder_gives_the_policies_of_all_manifests_below_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), policy("a") + "---\n" + &policy("b")).unwrap();
        fs::write(dir.path().join("c.yml"), policy("c")).unwrap();
        fs::write(dir.path().join("README.md"), "no policy").unwrap();
        fs::create_dir_all(dir.path().join("teams/shop")).unwrap();
        fs::write(dir.path().join("teams/shop/d.yaml"), policy("d")).unwrap();
        assert_eq!(load(dir.path()).unwrap().len(), 4);
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
