//! Finds and reads the files that are named on the command line.

mod ignore;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use self::ignore::Patterns;
use crate::findings::{Fault, PassedOver};
use crate::manifests::documents;

/// The largest file that is read, in bytes. A file is held in memory as a whole.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// A file, or stdin.
pub struct Input {
    /// The path as given on the command line, or the path below a given folder.
    pub name: String,
    pub origin: Origin,
    source: Source,
}

/// How an input came to be one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A person named it on the command line.
    Named,
    /// It was found in a folder, beside files of other programs.
    Folder,
    /// So was this, among the templates of a chart that is not rendered.
    Template,
    /// A program rendered it.
    Rendered(RenderedFrom),
}

/// What a text was rendered from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RenderedFrom {
    /// The Helm chart of a folder.
    Chart(PathBuf),
    /// A kustomization, by the name of its file.
    Kustomization(String),
}

enum Source {
    File(PathBuf),
    /// The content of stdin or of a pipe, which can be read only once, or what was rendered.
    Bytes(Vec<u8>),
}

impl Input {
    pub(crate) fn rendered(name: String, from: RenderedFrom, bytes: Vec<u8>) -> Self {
        Self { name, origin: Origin::Rendered(from), source: Source::Bytes(bytes) }
    }

    /// The path of a regular file; `None` for stdin and pipes.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Bytes(_) => None,
        }
    }

    /// Its size in bytes; 0 if that is unknown.
    pub fn size(&self) -> u64 {
        match &self.source {
            Source::File(path) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
            Source::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Calls `work` with the text.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or is not UTF-8 text.
    pub fn read<T>(&self, work: impl FnOnce(&str) -> T) -> Result<T, Fault> {
        let bytes = self.bytes()?;
        documents::text(&bytes).map(work).map_err(|error| error.in_file(&self.name))
    }

    /// Its content.
    ///
    /// # Errors
    /// The file cannot be read, or is too large.
    pub(crate) fn bytes(&self) -> Result<Cow<'_, [u8]>, Fault> {
        match &self.source {
            Source::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Source::File(_) if self.size() > MAX_FILE => Err(too_large(&self.name)),
            Source::File(path) => {
                fs::read(path).map(Cow::Owned).map_err(|error| unreadable(&self.name, &error))
            }
        }
    }
}

/// Finds the files of paths: a file, a folder with everything below it, or `-` for stdin. The order is that of the
/// paths; within a folder, files are sorted by name. Each file is found once.
pub fn find(paths: &[PathBuf]) -> (Vec<Input>, Vec<Fault>) {
    let mut found = Search::default();
    found.paths(paths);
    (found.inputs, found.faults)
}

/// What was found in a repository.
pub struct Found {
    pub inputs: Vec<Input>,
    pub faults: Vec<Fault>,
    pub passed_over: BTreeMap<PassedOver, u64>,
}

/// Finds the files of paths as [`find`] does, without those of folders that `.podgateignore` files or these patterns
/// name, and without folders of dependencies.
pub fn find_manifests(paths: &[PathBuf], exclude: &[String]) -> Found {
    let working = std::env::current_dir().ok();
    let mut found = Search { repository: true, working, ..Search::default() };
    match Patterns::parse(Path::new("."), exclude.iter().map(String::as_str)) {
        Ok(patterns) => found.excluded = Some(patterns),
        Err((_, message)) => found.faults.push(Fault::input("--exclude", message)),
    }
    found.paths(paths);
    Found { inputs: found.inputs, faults: found.faults, passed_over: found.passed_over }
}

/// Folders of other people's files, which nobody applies from there.
const DEPENDENCIES: [&str; 2] = ["node_modules", "vendor"];

#[derive(Default)]
struct Search {
    inputs: Vec<Input>,
    faults: Vec<Fault>,
    /// How many manifests were found, including repeated and unreadable ones.
    manifests: usize,
    /// The real paths of visited files and folders, so that a repeated path or a loop of symbolic links is read once.
    visited: HashSet<PathBuf>,
    /// Whether folders are repositories, with files of other programs.
    repository: bool,
    /// The patterns of the command line.
    excluded: Option<Patterns>,
    /// The working directory, where paths below it may be given in full.
    working: Option<PathBuf>,
    /// The patterns of the folders that the search is in, the outermost first.
    patterns: Vec<Patterns>,
    passed_over: BTreeMap<PassedOver, u64>,
}

impl Search {
    fn paths(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.path(path);
        }
    }

    fn path(&mut self, path: &Path) {
        if path.as_os_str() == "-" {
            self.stream(path, std::io::stdin().lock());
        } else if path.is_dir() {
            let before = self.manifests;
            self.patterns = self.outer_patterns(path);
            self.folder(path);
            if self.manifests == before {
                self.faults.push(empty(path));
            }
        } else {
            self.file(path, Origin::Named);
        }
    }

    /// A path from the working directory, if it is below it.
    fn below_working<'p>(&self, path: &'p Path) -> &'p Path {
        let below = self.working.as_deref().and_then(|working| path.strip_prefix(working).ok());
        below.unwrap_or(path)
    }

    /// The patterns of the folders between the working directory and a folder, the outermost first.
    fn outer_patterns(&mut self, folder: &Path) -> Vec<Patterns> {
        let below = self.below_working(folder);
        let simple =
            below.components().all(|it| matches!(it, Component::CurDir | Component::Normal(_)));
        let outside = folder.components().count() - below.components().count();
        // `./a` is below both `.` and nothing, which are one folder.
        let twice = |it: &Path| it.as_os_str().is_empty() && folder.starts_with(".");
        let inside = |it: &Path| it.components().count() >= outside;
        let outer = folder.ancestors().skip(1).filter(|it| simple && inside(it) && !twice(it));
        let mut outer: Vec<_> = outer.collect();
        outer.reverse();
        outer.iter().filter_map(|folder| self.patterns_in(folder)).collect()
    }

    /// The patterns of a folder's own file.
    fn patterns_in(&mut self, folder: &Path) -> Option<Patterns> {
        let path = folder.join(ignore::FILE_NAME);
        if !self.repository || !path.is_file() {
            return None;
        }
        let text =
            fs::read_to_string(&path).map_err(|error| self.unreadable(&path, &error)).ok()?;
        let patterns = Patterns::parse(folder, text.lines());
        patterns
            .map_err(|(line, message)| {
                self.faults.push(Fault::input(format!("{}:{line}", name(&path)), message));
            })
            .ok()
    }

    /// What an entry of a folder is passed over as.
    fn passed_over(&self, path: &Path, is_folder: bool) -> Option<PassedOver> {
        let name = path.file_name().unwrap_or_default();
        if self.repository && is_folder && DEPENDENCIES.iter().any(|it| name == *it) {
            return Some(PassedOver::Dependencies);
        }
        let excluded = self.excluded.as_ref();
        let decided = excluded.and_then(|it| it.ignores(self.below_working(path), is_folder));
        let mut inner = self.patterns.iter().rev();
        let decided = decided.or_else(|| inner.find_map(|it| it.ignores(path, is_folder)));
        decided.unwrap_or(false).then_some(PassedOver::Excluded)
    }

    fn is_new(&mut self, path: &Path) -> bool {
        match path.canonicalize() {
            Ok(real) => self.visited.insert(real),
            Err(error) => {
                self.unreadable(path, &error);
                false
            }
        }
    }

    fn file(&mut self, path: &Path, origin: Origin) {
        self.manifests += 1;
        match fs::metadata(path) {
            Err(error) => self.unreadable(path, &error),
            Ok(metadata) if metadata.is_file() => {
                if self.is_new(path) {
                    let (name, source) = (name(path), Source::File(path.to_owned()));
                    self.inputs.push(Input { name, origin, source });
                }
            }
            // A pipe, such as a shell's <(helm template …).
            Ok(_) => match fs::File::open(path) {
                Ok(file) => self.stream(path, file),
                Err(error) => self.unreadable(path, &error),
            },
        }
    }

    fn folder(&mut self, path: &Path) {
        if !self.is_new(path) {
            self.manifests += 1;
            return;
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect::<Vec<_>>(),
            Err(error) => {
                self.manifests += 1;
                return self.unreadable(path, &error);
            }
        };
        entries.sort();
        let own = self.patterns_in(path);
        let outer = self.patterns.len();
        self.patterns.extend(own);
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            let is_folder = entry.is_dir();
            let kustomization = self.repository && name == "Kustomization";
            if !(is_folder || kustomization || is_manifest(&entry)) {
                continue;
            }
            if let Some(what) = self.passed_over(&entry, is_folder) {
                self.manifests += 1;
                *self.passed_over.entry(what).or_default() += 1;
            } else if is_folder {
                self.folder(&entry);
            } else {
                self.file(&entry, Origin::Folder);
            }
        }
        self.patterns.truncate(outer);
    }

    /// Reads stdin or a pipe, which can be read only once.
    fn stream(&mut self, path: &Path, reader: impl Read) {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        match reader.take(MAX_FILE + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > MAX_FILE => self.faults.push(too_large(&name)),
            Ok(_) => {
                self.inputs.push(Input {
                    name,
                    origin: Origin::Named,
                    source: Source::Bytes(bytes),
                });
            }
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.faults.push(unreadable(&path.display().to_string(), error));
    }
}

/// A path for people; below the working directory without `./`.
fn name(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json")
}

/// A folder without manifests is a fault: a scan that judges nothing must not look like one without violations.
fn empty(path: &Path) -> Fault {
    Fault::input(path.display().to_string(), "it has no .yaml, .yml or .json file")
}

fn too_large(name: &str) -> Fault {
    Fault::input(name, format!("it is larger than {} MiB; split it", MAX_FILE >> 20))
}

fn unreadable(name: &str, error: &std::io::Error) -> Fault {
    let message = format!("cannot read it: {error}");
    Fault::cluster(name, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path, paths: &[&str]) -> (Vec<String>, Vec<String>) {
        let paths: Vec<_> = paths.iter().map(|path| dir.join(path)).collect();
        let (inputs, faults) = find(&paths);
        let below = |name: &str| name.replace(&format!("{}/", dir.display()), "");
        (
            inputs.iter().map(|input| below(&input.name)).collect(),
            faults.iter().map(|fault| below(&fault.place)).collect(),
        )
    }

    #[test]
    fn a_folder_is_every_manifest_below_it_in_order_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["b.yaml", "a/z.yml", "a/y.json", "notes.txt", ".git/x.yaml", "c.yaml"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "kind: A\n").unwrap();
        }
        let all = ["a/y.json", "a/z.yml", "b.yaml", "c.yaml"].map(str::to_owned);
        assert_eq!(names(dir.path(), &["a", "b.yaml", "c.yaml", "b.yaml"]).0, all);
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        assert_eq!(names(dir.path(), &["."]).0.len(), all.len());
        // A file given by name is read whatever its extension.
        assert_eq!(names(dir.path(), &["notes.txt"]).0, ["notes.txt"]);
    }

    #[test]
    fn a_missing_file_is_a_fault_and_the_others_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), "").unwrap();
        let (found, faults) = names(dir.path(), &["missing.yaml", "a.yaml"]);
        assert_eq!((found, faults), (vec!["a.yaml".to_owned()], vec!["missing.yaml".to_owned()]));
        fs::create_dir_all(dir.path().join("empty/.hidden")).unwrap();
        assert_eq!(names(dir.path(), &["empty"]).1, ["empty"]);
        assert_eq!(names(dir.path(), &[".", "."]).1, Vec::<String>::new());
    }
}
