//! Tells manifests of Kubernetes from everything else in a folder: values, templates, files of other programs.

use crate::findings::{Fault, PassedOver};
use crate::inputs::{Input, Origin};
use crate::manifests::documents;
use crate::manifests::error::{Cause, ManifestError};

/// How a text came into the scan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// A person named it, or a program rendered it: all of it must be Kubernetes objects.
    Named,
    /// It was found in a folder, beside files of other programs.
    Folder,
    /// So was this, among the templates of a chart: with a template's marks it is no manifest, even if it is YAML.
    Template,
}

/// What the usual template languages open their expressions with: Helm and Go, Jinja, ERB.
const TEMPLATE_MARKS: [&str; 3] = ["{{", "{%", "<%"];

impl Source {
    pub(super) fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Named | Origin::Rendered(_) => Self::Named,
            Origin::Folder => Self::Folder,
            Origin::Template => Self::Template,
        }
    }

    /// What a text is passed over as unread: a template of a chart, or a text without the key that every object has.
    pub(super) fn unread(self, text: &str) -> Option<PassedOver> {
        match self {
            Self::Named => None,
            Self::Template if has_marks(text) => Some(PassedOver::Template),
            _ if text.trim().is_empty() || text.contains("apiVersion") => None,
            _ => Some(PassedOver::Other),
        }
    }
}

fn has_marks(text: &str) -> bool {
    TEMPLATE_MARKS.iter().any(|mark| text.contains(mark))
}

/// Whether a line has a template's mark that may break the YAML: one that is not in a comment, nor, with its end, in a
/// quoted string of the line.
fn has_bare_mark(line: &str) -> bool {
    let mut rest = line;
    let mut last = ' ';
    while let Some(next) = rest.chars().next() {
        let starts = last.is_whitespace() || "[{,:-".contains(last);
        if next == '#' && last.is_whitespace() {
            return false;
        }
        if starts && let Some((inside, after)) = quoted(rest, next) {
            if has_marks(inside) && !is_closed(inside) {
                return true;
            }
            (rest, last) = (after, next);
            continue;
        }
        if TEMPLATE_MARKS.iter().any(|mark| rest.starts_with(mark)) {
            return true;
        }
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
        last = next;
    }
    false
}

/// What is inside of a quoted string that ends on the same line, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(&str, &str)> {
    let inside = text.strip_prefix(quote).filter(|_| ['"', '\''].contains(&quote))?;
    let mut characters = inside.char_indices().peekable();
    while let Some((end, character)) = characters.next() {
        if quote == '"' && character == '\\' {
            characters.next();
        } else if character == quote {
            // A single quote is written twice inside.
            if quote == '\'' && characters.next_if(|(_, next)| *next == quote).is_some() {
                continue;
            }
            return Some((inside.get(..end)?, inside.get(end + 1..)?));
        }
    }
    None
}

/// Whether every mark in a text has its end there: else the quotes are those of the template's expression.
fn is_closed(text: &str) -> bool {
    let count = |mark: &str| text.matches(mark).count();
    [("{{", "}}"), ("{%", "%}"), ("<%", "%>")].iter().all(|(open, end)| count(open) == count(end))
}

/// Why the text of an input cannot be had.
pub enum Unreadable {
    Fault(Fault),
    PassedOver(PassedOver),
}

/// Calls `work` with the text of an input.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read<T>(input: &Input, work: impl FnOnce(&str, Source) -> T) -> Result<T, Unreadable> {
    let source = Source::of(&input.origin);
    let bytes = input.bytes().map_err(Unreadable::Fault)?;
    match documents::text(&bytes) {
        Ok(text) => Ok(work(text, source)),
        Err(error) => Err(match no_text(&bytes).filter(|_| source != Source::Named) {
            Some(what) => Unreadable::PassedOver(what),
            None => Unreadable::Fault(error.in_file(&input.name)),
        }),
    }
}

/// What a document with an error is passed over as; `None` if the error is a fault.
pub(super) fn of(source: Source, text: &str, error: &ManifestError) -> Option<PassedOver> {
    match (source, error.cause) {
        (Source::Named, _) => None,
        (_, Cause::NoObject) => Some(PassedOver::Other),
        // The value at fault is a placeholder of envsubst or Flux, which is replaced before anybody applies it.
        (_, Cause::Broken) if error.message.contains("\"${") => Some(PassedOver::Template),
        (_, Cause::Broken) => broken(text),
    }
}

/// What a text of a folder that cannot be read is passed over as; `None` if it looks like a manifest.
fn broken(text: &str) -> Option<PassedOver> {
    if text.lines().any(has_bare_mark) {
        Some(PassedOver::Template)
    } else if looks_like_a_manifest(text) {
        None
    } else {
        Some(PassedOver::Other)
    }
}

/// What bytes of a folder that are no text are passed over as; `None` if they look like a manifest, such as one in
/// UTF-16.
fn no_text(bytes: &[u8]) -> Option<PassedOver> {
    let narrow: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    broken(String::from_utf8_lossy(&narrow).trim_start_matches(|c: char| !c.is_ascii()))
}

/// Whether a text has an `apiVersion` and a `kind` at its top level.
fn looks_like_a_manifest(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let json = text.trim_start().starts_with(['{', '[']);
    let has = |key: &str| {
        if json {
            return text.contains(&format!("\"{key}\""));
        }
        text.lines().any(|line| {
            let line = line.strip_prefix(['"', '\'']).unwrap_or(line);
            let rest = line.strip_prefix(key).map(|rest| rest.trim_start_matches(['"', '\'']));
            rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
        })
    };
    has("apiVersion") && has("kind")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_text_with_both_keys_at_its_top_level_is_a_manifest_and_another_is_not() {
        for (text, expected) in [
            ("apiVersion: v1\nkind: [Pod\n", None),
            ("\"apiVersion\": v1\n'kind' : [Pod\n", None),
            ("{\"apiVersion\": \"v1\", \"kind\": \"Pod\",,}", None),
            ("items:\n  - apiVersion: v1\n    kind: [Pod\n", Some(PassedOver::Other)),
            ("apiVersionX: v1\nkinds: [Pod\n", Some(PassedOver::Other)),
            ("kind: [\n", Some(PassedOver::Other)),
            ("", Some(PassedOver::Other)),
            ("apiVersion: v1\nkind: Pod\n{{- if .Values.x }}\n", Some(PassedOver::Template)),
            ("apiVersion: v1\nkind: Pod\n{% if x %}\n", Some(PassedOver::Template)),
            ("apiVersion: v1\nkind: [Pod # {{ x }}\n", None),
            ("# {{ x }}\napiVersion: v1\nkind: [Pod\n", None),
            ("apiVersion: v1\nkind: [Pod\na: \"{{ $labels.x }}\"\nb: [ '{% x %}' ]\n", None),
            ("apiVersion: v1\nkind: [Pod\na: 'it''s {{ x }}'\n", None),
            (
                "apiVersion: v1\nkind: Pod\na: \"{{ default \"x\" .y }}\"\n",
                Some(PassedOver::Template),
            ),
            ("apiVersion: v1\nkind: Pod\na: {{ .x }} # y\n", Some(PassedOver::Template)),
            ("apiVersion: v1\nkind: Pod\na: x{{ .x }}\n", Some(PassedOver::Template)),
            ("apiVersion: v1\nkind: Pod\na: \"{{ x }}\n  y\"\n", Some(PassedOver::Template)),
            ("apiVersion: v1\nkind: Pod\na: don't {{ 'x' }}\n", Some(PassedOver::Template)),
        ] {
            assert_eq!(broken(text), expected, "{text}");
        }
    }

    #[test]
    fn a_manifest_in_utf_16_is_one_and_an_image_is_none() {
        let text = "apiVersion: v1\nkind: Pod\n";
        let utf_16 = text.encode_utf16().flat_map(u16::to_le_bytes);
        let bytes: Vec<u8> = [0xFF, 0xFE].into_iter().chain(utf_16).collect();
        assert_eq!(no_text(&bytes), None);
        assert_eq!(no_text(b"\x89PNG\r\n\0\0"), Some(PassedOver::Other));
    }
}
