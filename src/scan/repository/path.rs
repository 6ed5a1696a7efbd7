//! Paths as they are compared: by their words, without asking the file system.

use std::path::{Component, Path, PathBuf};

/// A path without `.` and, as far as that is possible, without `..`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// A path for people: below the working directory without `./`.
pub(super) fn shown(path: &Path) -> String {
    let below = path.strip_prefix(".").unwrap_or(path);
    let shown = if below.as_os_str().is_empty() { path } else { below };
    shown.display().to_string()
}

/// A path that no program takes for a flag or for a name in a registry.
pub(super) fn argument(path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    Path::new(".").join(path.strip_prefix(".").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_path_has_no_detours() {
        for (path, expected) in [
            ("./a/./b", "a/b"),
            ("a/../b", "b"),
            ("a/b/../../../c", "../c"),
            ("../../a", "../../a"),
            ("/a/../b", "/b"),
            (".", ""),
        ] {
            assert_eq!(normal(Path::new(path)), Path::new(expected), "{path}");
        }
        for (path, expected) in [("-a", "./-a"), ("./a", "./a"), (".", "./"), ("/a", "/a")] {
            assert_eq!(argument(Path::new(path)).to_str(), Some(expected));
        }
        assert_eq!((shown(Path::new("./a")), shown(Path::new("."))), ("a".into(), ".".into()));
    }
}
