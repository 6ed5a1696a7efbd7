//! A browser, and every page beside the JSON of the same command.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::browser::Browser;
use super::clusters::{Clusters, repository};
use crate::support::binary;
use crate::support::ran::Ran;

pub struct World {
    pub browser: Browser,
    pub axe: String,
    pub pages: Vec<Page>,
    _folder: tempfile::TempDir,
}

/// A page, and what it must show.
pub struct Page {
    pub name: &'static str,
    pub file: PathBuf,
    pub json: Value,
}

impl World {
    pub fn start() -> Self {
        let axe = Command::new("tests/tools/axe.sh").output().unwrap();
        let axe = String::from_utf8(axe.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &'static str, run: &dyn Fn(&[&str]) -> Ran| {
            let file = folder.path().join(format!("{name}.html"));
            let ran = run(&["-o", "html", "--output-file", file.to_str().unwrap()]);
            assert_eq!(ran.stdout, "", "{}", ran.stderr);
            Page { name, json: run(&["-o", "json"]).json(), file }
        };
        let shop = Clusters::of_a_shop();
        let large = Clusters::large();
        let deploy = repository(folder.path());
        let deploy = deploy.to_str().unwrap();
        let cluster = |clusters: &Clusters, args: &[&str], more: &[&str]| {
            clusters.run(&[args, more].concat())
        };
        let pages = vec![
            write("analyze", &|more| cluster(&shop, &["analyze"], more)),
            write("preview", &|more| cluster(&shop, &["policy", "preview"], more)),
            write("bundle", &|more| {
                cluster(&shop, &["policy", "preview", "--bundle", "restricted"], more)
            }),
            write("clusters", &|more| cluster(&shop, &["clusters", "analyze"], more)),
            write("scan", &|more| Ran::of(&binary::run(&[&["scan", deploy], more].concat()))),
            write("empty", &|more| {
                cluster(&shop, &["analyze", "--context", "staging", "-n", "shop"], more)
            }),
            write("large", &|more| cluster(&large, &["analyze"], more)),
        ];
        shop.only_read();
        let axe = fs::read_to_string(axe.trim()).unwrap();
        Self { browser: Browser::start(), axe, pages, _folder: folder }
    }

    pub fn page(&self, name: &str) -> &Page {
        self.pages.iter().find(|it| it.name == name).unwrap()
    }

    /// The pages of a size that a person makes.
    pub fn small(&self) -> impl Iterator<Item = &Page> {
        self.pages.iter().filter(|it| it.name != "large")
    }
}
