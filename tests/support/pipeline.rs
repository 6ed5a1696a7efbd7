//! What pipelines need: the snippets of `docs/guides/ci.md`, a release to install, and a repository to scan.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::binary;
use super::ran::Ran;

/// The first block of a language in a section of the guide.
pub fn snippet(section: &str, language: &str) -> String {
    let page = include_str!("../../docs/guides/ci.md");
    let sections = page.split("\n## ").flat_map(|it| it.split("\n### "));
    let found = sections.into_iter().find(|it| it.lines().next() == Some(section));
    let found = found.unwrap_or_else(|| panic!("the guide has no section {section:?}"));
    let (_, block) = found.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("\n```").unwrap().0.to_owned() + "\n"
}

/// The inputs of the action in the guide's workflow.
pub fn action_inputs() -> Vec<(String, String)> {
    let workflow: Value = serde_saphyr::from_str(&snippet("GitHub Actions", "yaml")).unwrap();
    let steps = workflow["jobs"]["podgate"]["steps"].as_array().unwrap();
    let step = steps.iter().find(|it| it["uses"].as_str().unwrap().contains("/podgate@")).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    step["with"].as_object().unwrap().iter().map(|(key, it)| (key.clone(), text(it))).collect()
}

/// Runs a program in a folder, with the binary of this build on the PATH.
pub fn run_in(folder: &Path, program: &str, args: &[&str]) -> Ran {
    let path = format!(
        "{}:{}",
        binary::path().parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("PATH", path)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.com")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.com")])
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    Ran::of(&output)
}

/// Commits all files of a folder, which becomes a repository if it is none.
pub fn commit(folder: &Path, message: &str) {
    if !folder.join(".git").exists() {
        run_in(folder, "git", &["init", "-q", "-b", "main"]).exits(0);
    }
    run_in(folder, "git", &["add", "-A"]).exits(0);
    run_in(folder, "git", &["commit", "-q", "--no-verify", "-m", message]).exits(0);
}

/// A script of this repository.
pub fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Releases as a server on loopback has them.
pub struct Releases {
    pub folder: TempDir,
    pub address: String,
}

impl Releases {
    /// The release of this build.
    pub fn of_this_build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join(concat!("v", env!("CARGO_PKG_VERSION")));
        fs::create_dir(&release).unwrap();
        // Symbols for debugging are most of a test's binary.
        let stripped = folder.path().join("podgate");
        let copied = Command::new("strip").arg("-o").arg(&stripped).arg(binary::path()).status();
        assert!(copied.unwrap().success());
        let packed = Command::new(script("deploy/ci/archive.sh"))
            .arg("pack")
            .args([&stripped, &release])
            .output();
        Ran::of(&packed.unwrap()).exits(0);
        let address = serve(folder.path().to_owned());
        Self { folder, address }
    }

    pub fn archive(&self) -> PathBuf {
        let name = Command::new(script("deploy/ci/archive.sh")).arg("name").output().unwrap();
        let release = self.folder.path().join(concat!("v", env!("CARGO_PKG_VERSION")));
        release.join(Ran::of(&name).exits(0).stdout.trim())
    }
}

/// Serves the files of a folder on loopback until the test ends; its address.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            // The response may come only after the whole request, or the client sees a reset.
            for _ in lines.by_ref().take_while(|line| !line.is_empty()) {}
            let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            let (status, body) = match fs::read(folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = (&stream).write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}
