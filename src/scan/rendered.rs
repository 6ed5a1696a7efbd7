//! Places the findings of rendered text where a person can mend them: in the chart's template, or in the kustomization.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::manifest::JudgedText;
use crate::findings::Violation;
use crate::inputs::RenderedFrom;

/// How helm names the template of what follows.
const SOURCE: &str = "# Source: ";

/// Replaces the places in the rendered text. Nothing rendered can be fixed, so findings have no fix.
pub(super) fn place(judged: &mut JudgedText, text: &str, from: &RenderedFrom) {
    match from {
        RenderedFrom::Kustomization(file) => {
            for violation in &mut judged.violations {
                moved(violation, file.clone(), None);
            }
        }
        RenderedFrom::Chart(folder) => {
            let mut templates = Templates::of(text, folder);
            for violation in &mut judged.violations {
                let (file, line) = templates.place(violation.line.unwrap_or_default());
                moved(violation, file, line);
            }
        }
    }
}

fn moved(violation: &mut Violation, file: String, line: Option<u64>) {
    violation.file = Some(file);
    violation.line = line;
    violation.column = None;
    violation.fix = None;
}

/// The templates of a chart's rendered text.
struct Templates<'t> {
    folder: &'t Path,
    lines: Vec<&'t str>,
    /// The template of each line; empty before the first.
    sources: Vec<&'t str>,
    read: HashMap<&'t str, (String, Option<String>)>,
}

impl<'t> Templates<'t> {
    fn of(text: &'t str, folder: &'t Path) -> Self {
        let lines: Vec<_> = text.lines().collect();
        let mut source = "";
        let sources = lines.iter().map(|line| {
            source = line.strip_prefix(SOURCE).map_or(source, str::trim);
            source
        });
        Self { folder, sources: sources.collect(), lines, read: HashMap::new() }
    }

    /// The file of a line of the rendered text, from 1; and the line there, if exactly one line of the template and one
    /// line of what it rendered have this text.
    fn place(&mut self, line: u64) -> (String, Option<u64>) {
        let index = usize::try_from(line).unwrap_or_default().saturating_sub(1);
        let source = self.sources.get(index).copied().unwrap_or_default();
        let words = self.lines.get(index).map(|it| it.trim()).unwrap_or_default();
        let folder = self.folder;
        let (file, template) = self.read.entry(source).or_insert_with(|| template(folder, source));
        let same = self.lines.iter().zip(&self.sources);
        let rendered = same.filter(|(line, it)| **it == source && line.trim() == words).count();
        let written = template.as_deref().unwrap_or_default();
        let mut places = (1..).zip(written.lines()).filter(|(_, line)| line.trim() == words);
        let line = match (rendered, places.next(), places.next()) {
            (1, Some((number, _)), None) => Some(number),
            _ => None,
        };
        (file.clone(), line)
    }
}

/// The name and the text of a template; the chart's description where there is no such file, as in a packed dependency.
fn template(folder: &Path, source: &str) -> (String, Option<String>) {
    // The first word is the chart's name, not that of its folder.
    let below: PathBuf = Path::new(source).components().skip(1).collect();
    let inside = below.components().all(|it| matches!(it, Component::Normal(_)));
    let path = folder.join(&below);
    let text = (inside && !source.is_empty()).then(|| fs::read_to_string(&path).ok()).flatten();
    let path = if text.is_some() { path } else { folder.join("Chart.yaml") };
    let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
    (shown, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_in_the_template_only_where_it_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("templates")).unwrap();
        let template = "kind: Pod\nspec:\n  {{- if .Values.x }}\n  image: nginx\n  {{- end }}\n  a: 1\n  a: 1\n  tag: {{ .Values.tag }}\n";
        fs::write(folder.path().join("templates/a.yaml"), template).unwrap();
        let text = "---\n# Source: shop/templates/a.yaml\nkind: Pod\nspec:\n  image: nginx\n  a: 1\n  tag: x\n---\n# Source: shop/charts/db/templates/b.yaml\nkind: Pod\n---\n# Source: shop/../../etc/passwd\nkind: Pod\n";
        let mut templates = Templates::of(text, folder.path());
        let mut at = |line: u64| {
            let (file, line) = templates.place(line);
            let file = file.strip_prefix(&format!("{}/", folder.path().display())).unwrap();
            (file.to_owned(), line)
        };
        assert_eq!(at(5), ("templates/a.yaml".to_owned(), Some(4)));
        assert_eq!(at(6), ("templates/a.yaml".to_owned(), None), "twice in the template");
        assert_eq!(at(7), ("templates/a.yaml".to_owned(), None), "made of a value");
        assert_eq!(at(10), ("Chart.yaml".to_owned(), None), "a packed dependency");
        assert_eq!(at(13), ("Chart.yaml".to_owned(), None), "outside of the chart");
        assert_eq!(at(99), ("Chart.yaml".to_owned(), None));
    }
}
