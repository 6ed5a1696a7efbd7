//! The files of an export: `NAME.yaml` for a `ClusterDevOpsPolicy`, `NAMESPACE/NAME.yaml` for a `DevOpsPolicy`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::policy::key::PolicyKey;

/// The path of a policy's file, relative to the folder.
///
/// # Errors
/// The name or namespace is not valid in a path; Kubernetes allows no such names.
pub fn path(key: &PolicyKey) -> io::Result<PathBuf> {
    let namespace = key.namespace.as_deref();
    for part in namespace.into_iter().chain([key.name.as_str()]) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if part.is_empty() || part.starts_with('.') || !part.chars().all(plain) {
            return Err(io::Error::other(format!("{part:?} is not valid as a file name")));
        }
    }
    let file = format!("{}.yaml", key.name);
    Ok(namespace.map_or_else(PathBuf::new, PathBuf::from).join(file))
}

/// Writes a file atomically. Returns whether it wrote: a file that already has this text is left alone.
///
/// # Errors
/// The file or its folder cannot be written.
pub fn write(dir: &Path, below: &Path, text: &str) -> io::Result<bool> {
    let path = dir.join(below);
    if fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(dir);
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map(|()| true)
}

/// The `.yaml` files in the folders of an export (of one namespace, or of everything) that the export did not write.
///
/// # Errors
/// The folder cannot be read.
pub fn others(
    dir: &Path,
    namespace: Option<&str>,
    exported: &BTreeSet<PathBuf>,
) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    match namespace {
        Some(namespace) => {
            files(dir, Path::new(namespace), &mut found)?;
        }
        None => {
            for folder in files(dir, Path::new(""), &mut found)? {
                files(dir, &folder, &mut found)?;
            }
        }
    }
    // kustomization.yaml is Kustomize's file, not a policy.
    found.retain(|it| {
        !exported.contains(it) && it.file_name().is_none_or(|it| it != "kustomization.yaml")
    });
    found.sort();
    Ok(found)
}

/// Adds the `.yaml` files of a folder to `found`, and returns its subfolders. Hidden entries are skipped.
fn files(dir: &Path, below: &Path, found: &mut Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    let folder = dir.join(below);
    if !folder.exists() {
        return Ok(folders);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|it| it == "yaml") {
            found.push(path);
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: Option<&str>, name: &str) -> PolicyKey {
        PolicyKey { namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_an_error() {
        assert_eq!(path(&key(None, "a.b")).unwrap(), Path::new("a.b.yaml"));
        assert_eq!(path(&key(Some("shop"), "a")).unwrap(), Path::new("shop/a.yaml"));
        for (namespace, name) in [
            (None, "../a"),
            (None, ""),
            (Some(".."), "a"),
            (Some("shop"), "/etc/a"),
            (Some(""), "a"),
        ] {
            assert!(path(&key(namespace, name)).is_err(), "{namespace:?} {name}");
        }
    }

    #[test]
    fn a_file_with_the_same_text_is_left_alone_and_other_files_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| PathBuf::from(path);
        for file in ["a.yaml", "shop/a.yaml", "shop/old.yaml", "kustomization.yaml", "notes.txt"] {
            assert!(write(dir.path(), Path::new(file), "a: 1\n").unwrap());
        }
        assert!(!write(dir.path(), Path::new("a.yaml"), "a: 1\n").unwrap());
        assert!(write(dir.path(), Path::new("a.yaml"), "a: 2\n").unwrap());
        assert_eq!(fs::read_to_string(dir.path().join("a.yaml")).unwrap(), "a: 2\n");
        let exported = [at("shop/a.yaml")].into();
        let all = others(dir.path(), None, &exported).unwrap();
        assert_eq!(all, [at("a.yaml"), at("shop/old.yaml")]);
        assert_eq!(others(dir.path(), Some("shop"), &exported).unwrap(), [at("shop/old.yaml")]);
        assert!(others(dir.path(), Some("lab"), &exported).unwrap().is_empty());
    }
}
