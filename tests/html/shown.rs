//! What a tab shows, read from the page.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::browser::Tab;

#[derive(Debug, Deserialize)]
pub struct Shown {
    pub title: String,
    /// The number in the ring, and the words below it.
    pub score: Option<String>,
    pub figures: BTreeMap<String, u64>,
    pub severities: BTreeMap<String, u64>,
    /// By the anchors of their sections.
    pub tables: BTreeMap<String, Table>,
    /// The paragraphs of each section.
    pub texts: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub struct Table {
    pub headings: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Reads what is on the page; a row that is not displayed is not read.
const READ: &str = r#"(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const text = (node) => node.textContent;
  const own = (cell) => [...cell.childNodes].filter((it) => it.nodeName !== "DETAILS").map(text).join("");
  const sections = all("section").map((it) => [it.querySelector("h2").id, it]);
  const table = (it) => ({
    headings: all("thead th", it).map(text),
    rows: all("tbody tr", it).filter((it) => !it.hidden).map((row) => [...row.cells].map(own)),
  });
  const pairs = (entries) => Object.fromEntries(entries);
  return {
    title: text(document.querySelector("h1")),
    score: document.querySelector(".ring p")?.innerText.replace(/\s+/g, " ") ?? null,
    figures: pairs(all("dl div").map((it) => [text(it.children[0]), Number(text(it.children[1]))])),
    severities: pairs(all(".legend li").map((it) => [it.className, Number(text(it.querySelector("b")))])),
    tables: pairs(sections.filter(([, it]) => it.querySelector("table")).map(([id, it]) => [id, table(it)])),
    texts: pairs(sections.map(([id, it]) => [id, all("p", it).map(text)])),
  };
})()"#;

impl Shown {
    pub fn by(tab: &Tab<'_>) -> Self {
        serde_json::from_value(tab.value(READ)).unwrap()
    }

    pub fn table(&self, id: &str) -> &Table {
        self.tables.get(id).unwrap_or_else(|| panic!("no table {id}: {:?}", self.tables.keys()))
    }
}

impl Table {
    /// The cells of some columns, of every row, sorted.
    pub fn columns(&self, headings: &[&str]) -> Vec<Vec<String>> {
        let place = |heading: &&str| {
            let found = self.headings.iter().position(|it| it == heading);
            found.unwrap_or_else(|| panic!("no column {heading}: {:?}", self.headings))
        };
        let places: Vec<_> = headings.iter().map(place).collect();
        let cells = |row: &Vec<String>| places.iter().map(|it| row[*it].clone()).collect();
        let mut rows: Vec<_> = self.rows.iter().map(cells).collect();
        rows.sort();
        rows
    }
}
