//! Reads kubeconfig files as kubectl does, but entry by entry: an invalid entry does not affect the others.
//!
//! [`paths`] finds the files, [`read`] reads each, and [`merge`] merges them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf, is_separator};

use kube::config::{self, AuthInfo, Cluster, Context};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An entry of a kubeconfig, or why it is invalid.
pub type Entry<T> = Result<T, String>;

/// The entries of one file, or of several merged files.
#[derive(Clone, Debug, Default)]
pub struct Kubeconfig {
    /// In the order of the files.
    pub contexts: Vec<(String, Entry<Context>)>,
    pub clusters: BTreeMap<String, Entry<Cluster>>,
    pub users: BTreeMap<String, Entry<AuthInfo>>,
    pub current: Option<String>,
}

/// A file that could not be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    pub path: PathBuf,
    pub cause: String,
}

impl Unreadable {
    /// The file does not exist.
    pub fn missing(path: &Path) -> Self {
        Self { path: path.to_owned(), cause: "there is no such file".to_owned() }
    }
}

/// The file of `--kubeconfig`, else the files of `$KUBECONFIG`, else `.kube/config` in the home folder.
pub fn paths(flag: Option<&Path>, variable: Option<&OsStr>, home: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = flag {
        return vec![path.to_owned()];
    }
    let named: Vec<_> = variable
        .into_iter()
        .flat_map(std::env::split_paths)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if !named.is_empty() {
        return named;
    }
    home.map(|home| home.join(".kube").join("config")).into_iter().collect()
}

/// Reads a file; `None` if it does not exist.
///
/// # Errors
/// The file cannot be read, or is no kubeconfig.
pub fn read(path: &Path) -> Result<Option<Kubeconfig>, Unreadable> {
    let unread = |cause: String| Unreadable { path: path.to_owned(), cause };
    let text = match fs::read(path) {
        Ok(bytes) => decode(&bytes).ok_or_else(|| unread("it is no text".to_owned()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(error.to_string())),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, folder).map(Some).map_err(unread)
}

/// Merges files. Of several entries with one name, the first counts.
pub fn merge(files: impl IntoIterator<Item = Kubeconfig>) -> Kubeconfig {
    let mut all = Kubeconfig::default();
    for file in files {
        for (name, context) in file.contexts {
            if all.contexts.iter().all(|(known, _)| *known != name) {
                all.contexts.push((name, context));
            }
        }
        for (name, cluster) in file.clusters {
            all.clusters.entry(name).or_insert(cluster);
        }
        for (name, user) in file.users {
            all.users.entry(name).or_insert(user);
        }
        all.current = all.current.or(file.current);
    }
    all
}

/// Decodes UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it. `None` for other bytes.
fn decode(bytes: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<_> = pairs.iter().map(|pair| unit(*pair)).collect();
        rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => String::from_utf8(rest.to_vec()).ok(),
    }
}

/// Parses a text. Its relative paths are relative to `folder`.
fn parse(text: &str, folder: &Path) -> Result<Kubeconfig, String> {
    let mut file = match serde_saphyr::from_multiple::<config::Kubeconfig>(text) {
        Ok(documents) => merge(documents.into_iter().map(whole)),
        Err(_) => by_entry(text)?,
    };
    for cluster in file.clusters.values_mut().flatten() {
        anchor(folder, cluster.certificate_authority.as_mut());
    }
    for user in file.users.values_mut().flatten() {
        anchor(folder, user.client_certificate.as_mut());
        anchor(folder, user.client_key.as_mut());
        anchor(folder, user.token_file.as_mut());
        // A command without a separator is looked up in PATH.
        let command = user.exec.as_mut().and_then(|exec| exec.command.as_mut());
        anchor(folder, command.filter(|it| it.contains(is_separator)));
    }
    Ok(file)
}

/// The entries of a document that is valid as a whole.
fn whole(document: config::Kubeconfig) -> Kubeconfig {
    fn entry<T>(field: &str, name: String, value: Option<T>) -> (String, Entry<T>) {
        let entry = value.ok_or_else(|| format!("{field} {name} is empty"));
        (name, entry)
    }
    let contexts = document.contexts.into_iter().map(|it| entry("context", it.name, it.context));
    let clusters = document.clusters.into_iter().map(|it| entry("cluster", it.name, it.cluster));
    let users = document.auth_infos.into_iter().map(|it| entry("user", it.name, it.auth_info));
    Kubeconfig {
        contexts: contexts.collect(),
        clusters: first(clusters),
        users: first(users),
        current: document.current_context.filter(|name| !name.is_empty()),
    }
}

/// Parses a text with an invalid entry, entry by entry.
fn by_entry(text: &str) -> Result<Kubeconfig, String> {
    // Without a snippet of the text: it may hold a token.
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| format!("it is not YAML: {}", error.without_snippet()))?;
    let read = |document: &Value| {
        if !document.is_object() {
            return Err("it is no kubeconfig: it has no clusters, users and contexts".to_owned());
        }
        let current = document.get("current-context").and_then(Value::as_str);
        Ok(Kubeconfig {
            contexts: entries(document, "contexts", "context")?,
            clusters: first(entries(document, "clusters", "cluster")?),
            users: first(entries(document, "users", "user")?),
            current: current.filter(|name| !name.is_empty()).map(str::to_owned),
        })
    };
    let documents = documents.iter().filter(|document| !document.is_null());
    Ok(merge(documents.map(read).collect::<Result<Vec<_>, _>>()?))
}

/// A map of the entries; of several with one name, the first counts.
fn first<T>(entries: impl IntoIterator<Item = (String, T)>) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    for (name, entry) in entries {
        all.entry(name).or_insert(entry);
    }
    all
}

/// The named entries of a list in a document.
fn entries<T: DeserializeOwned>(
    document: &Value,
    list: &str,
    field: &str,
) -> Result<Vec<(String, Entry<T>)>, String> {
    let items = match document.get(list) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(format!("it is no kubeconfig: {list} is no list")),
    };
    let entry = |(index, item): (usize, &Value)| {
        let name = item.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| format!("{list}[{index}] has no name"))?;
        let value = item.get(field).filter(|value| !value.is_null());
        let entry = value
            .ok_or_else(|| format!("{field} {name} is empty"))
            .and_then(|it| T::deserialize(it).map_err(|error| format!("{field} {name}: {error}")));
        Ok((name.to_owned(), entry))
    };
    items.iter().enumerate().map(entry).collect()
}

/// Prepends the folder to a relative path.
fn anchor(folder: &Path, path: Option<&mut String>) {
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        *path = folder.join(&*path).to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_variable_and_that_before_the_home_folder() {
        let (flag, home) = (Path::new("f"), Path::new("/home/jane"));
        let variable = std::env::join_paths(["", "a", "", "b"]).unwrap();
        let files = |flag, variable| paths(flag, variable, Some(home));
        assert_eq!(files(Some(flag), Some(&variable)), [flag]);
        assert_eq!(files(None, Some(&variable)), [Path::new("a"), Path::new("b")]);
        let own = [home.join(".kube/config")];
        assert_eq!(files(None, Some(OsStr::new(""))), own);
        assert_eq!(files(None, None), own);
        assert!(paths(None, None, None).is_empty());
    }

    #[test]
    fn an_invalid_entry_does_not_affect_the_others() {
        let file = parse(
            "clusters: [{name: c, cluster: {server: 'https://c', certificate-authority: ca.crt}}]
users:
- {name: good, user: {tokenFile: t, exec: {command: ./plugin}}}
- {name: bare, user: {exec: {command: aws}, client-key: /k}}
- {name: odd, user: {exec: {interactiveMode: Sometimes}}}
- {name: none}
contexts:
- {name: one, context: {cluster: c, user: good}}
- {name: two, context: {user: good}}
current-context: ''",
            Path::new("/conf"),
        )
        .unwrap();
        let cluster = file.clusters["c"].as_ref().unwrap();
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/conf/ca.crt"));
        let user = |name: &str| file.users[name].as_ref();
        let command = |name: &str| user(name).unwrap().exec.clone().unwrap().command.unwrap();
        assert_eq!(user("good").unwrap().token_file.as_deref(), Some("/conf/t"));
        assert_eq!(command("good"), "/conf/./plugin");
        assert_eq!(command("bare"), "aws");
        assert_eq!(user("bare").unwrap().client_key.as_deref(), Some("/k"));
        assert!(user("odd").unwrap_err().contains("unknown variant `Sometimes`"));
        assert_eq!(user("none").unwrap_err(), "user none is empty");
        assert!(file.contexts[0].1.is_ok());
        let two = file.contexts[1].1.as_ref().unwrap_err();
        assert_eq!(two, "context two: missing field `cluster`");
        assert_eq!(file.current, None);
    }

    #[test]
    fn a_name_may_look_like_a_number() {
        let text = "users: [{name: 1, user: {token: 12345, exec: {command: yes}}}]";
        let file = parse(text, Path::new("")).unwrap();
        let user = serde_json::to_value(file.users["1"].as_ref().unwrap()).unwrap();
        assert_eq!((&user["token"], &user["exec"]["command"]), (&"12345".into(), &"yes".into()));
    }

    #[test]
    fn the_first_of_two_files_takes_precedence() {
        let file = |server: &str, more: &str| {
            let text = format!(
                "clusters: [{{name: c, cluster: {{server: {server}}}}}]\ncontexts: [{{name: x, context: {{cluster: c}}}}]{more}"
            );
            parse(&text, Path::new("")).unwrap()
        };
        let merged = merge([file("first", ""), file("second", "\ncurrent-context: x")]);
        assert_eq!(merged.contexts.len(), 1);
        assert_eq!(merged.clusters["c"].as_ref().unwrap().server.as_deref(), Some("first"));
        assert_eq!(merged.current.as_deref(), Some("x"));
    }

    #[test]
    fn the_error_of_an_invalid_kubeconfig_quotes_nothing_of_it() {
        for (text, cause) in [
            ("users: [{name: a, user: {token: s3cret}", "it is not YAML"),
            ("s3cret", "it is no kubeconfig"),
            ("users: s3cret", "users is no list"),
            ("users: [{user: {token: s3cret}}]", "users[0] has no name"),
        ] {
            let error = parse(text, Path::new("")).unwrap_err();
            assert!(error.contains(cause) && !error.contains("s3cret"), "{error}");
        }
        for empty in ["", "# nothing\n", "---\n"] {
            assert!(parse(empty, Path::new("")).unwrap().contexts.is_empty());
        }
    }

    #[test]
    fn a_file_of_any_unicode_encoding_is_read() {
        let wide: Vec<u8> = "é".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&[&[0xFF, 0xFE], &wide[..]].concat()).as_deref(), Some("é"));
        assert_eq!(decode("\u{feff}é".as_bytes()).as_deref(), Some("é"));
        assert_eq!(decode("é".as_bytes()).as_deref(), Some("é"));
        assert_eq!(decode(&[0xFF, 0xFE, 0]), None);
        assert_eq!(decode(&[0xC0]), None);
    }
}
