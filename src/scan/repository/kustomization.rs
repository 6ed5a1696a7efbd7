//! The kustomizations of a repository, and the files that they list.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::path::normal;
use crate::inputs::{Input, Origin};

/// The names that kustomize looks for, its own constant `RecognizedKustomizationFileNames`.
pub(crate) const FILE_NAMES: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The fields that list whole objects, or folders of them.
const RESOURCES: [&str; 3] = ["resources", "bases", "components"];
/// The fields that list files which are no objects of their own: patches, and the settings of kustomize.
const PARTS: [&str; 10] = [
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "replacements",
    "configurations",
    "crds",
    "generators",
    "transformers",
    "validators",
    "openapi",
];

/// A folder with a kustomization.
#[derive(Debug)]
pub(super) struct Kustomization {
    pub folder: PathBuf,
    pub file: PathBuf,
    pub normal: PathBuf,
    component: bool,
    /// The normal paths of the files and folders whose objects it has.
    resources: Vec<PathBuf>,
    parts: Vec<PathBuf>,
}

#[derive(Default)]
pub(super) struct Kustomizations {
    all: Vec<Kustomization>,
    /// Folders that another kustomization lists.
    listed: HashSet<PathBuf>,
    /// Files that are no manifests: kustomizations, patches, settings.
    parts: HashSet<PathBuf>,
}

impl Kustomizations {
    pub(super) fn of(inputs: &[Input]) -> Self {
        let mut found = Self::default();
        for input in inputs.iter().filter(|it| it.origin == Origin::Folder) {
            let Some(kustomization) = kustomization(input) else { continue };
            found.listed.extend(kustomization.resources.iter().cloned());
            found.parts.extend(kustomization.parts.iter().cloned());
            found.parts.insert(normal(&kustomization.file));
            found.all.push(kustomization);
        }
        found
    }

    /// The kustomizations that no other one lists. Components are parts of others.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Kustomization> {
        self.all.iter().filter(|it| !it.component && !self.listed.contains(&it.normal))
    }

    /// Whether a file is no manifest of its own.
    pub(super) fn is_part(&self, file: &Path) -> bool {
        self.parts.contains(file)
    }

    /// The files whose objects are in these kustomizations, by the folders that they list.
    pub(super) fn files_of(&self, rendered: &HashSet<PathBuf>) -> HashSet<PathBuf> {
        let by_folder: HashMap<_, _> = self.all.iter().map(|it| (&it.normal, it)).collect();
        let mut files = HashSet::new();
        let mut next: Vec<PathBuf> = rendered.iter().cloned().collect();
        while let Some(path) = next.pop() {
            if files.insert(path.clone())
                && let Some(kustomization) = by_folder.get(&path)
            {
                next.extend(kustomization.resources.iter().cloned());
            }
        }
        files
    }
}

/// The kustomization that a file is. Flux has a kind of this name too, of another group.
fn kustomization(input: &Input) -> Option<Kustomization> {
    let file = input.path()?;
    FILE_NAMES.iter().find(|name| file.file_name().is_some_and(|it| it == **name))?;
    let value: Value = input.read(|text| serde_saphyr::from_str(text).ok()).ok()??;
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (field("apiVersion"), field("kind"));
    let own = api_version.is_empty() || api_version.starts_with("kustomize.config.k8s.io/");
    if !own || !["", "Kustomization", "Component"].contains(&kind) {
        return None;
    }
    let folder = file.parent()?;
    let paths = |fields: &[&str]| -> Vec<PathBuf> {
        let listed = fields.iter().filter_map(|field| value.get(*field)).flat_map(listed);
        listed.map(|path| normal(&folder.join(path))).collect()
    };
    Some(Kustomization {
        folder: folder.to_owned(),
        file: file.to_owned(),
        normal: normal(folder),
        component: kind == "Component",
        resources: paths(&RESOURCES),
        parts: paths(&PARTS),
    })
}

/// The paths of a field: texts, or maps with a `path`. A patch that is written out is a path that no file has.
fn listed(field: &Value) -> Vec<&str> {
    let items = match field {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(|it| it.as_str().or_else(|| it.get("path")?.as_str())).collect()
}
