//! Splits a text into Kubernetes objects.
//!
//! A broken document becomes an error with its position; the documents after it are still read.

use std::collections::VecDeque;

use granit_parser::{ErrorKind, Event, Parser, ScanError, StrInput, options};

use super::error::ManifestError;
use super::node::{Content, Form, Node, Position};
use super::tree::{MAX_DEPTH, Origin, TreeBuilder, too_deep};

/// A Kubernetes object of a text: a document, or an item of a document that is a `List`.
pub struct Manifest<'t> {
    pub api_version: String,
    pub kind: String,
    pub node: Node<'t>,
}

/// The objects of a text that may hold any number of documents.
pub fn read(text: &str) -> Manifests<'_> {
    let (origin, pending) = (Origin::default(), VecDeque::new());
    let mut manifests = Manifests { text, origin, parser: None, pending };
    manifests.start_at(origin);
    manifests
}

/// An iterator over the objects of a text; a document that cannot be read yields its error.
pub struct Manifests<'t> {
    text: &'t str,
    /// Where the parser started.
    origin: Origin,
    /// `None` after the last document.
    parser: Option<Parser<'t, StrInput<'t>>>,
    /// Read from the text and not yielded yet.
    pending: VecDeque<Result<Manifest<'t>, ManifestError>>,
}

impl<'t> Iterator for Manifests<'t> {
    type Item = Result<Manifest<'t>, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.pending.pop_front() {
                return Some(next);
            }
            self.read_document()?;
        }
    }
}

impl Manifests<'_> {
    fn start_at(&mut self, origin: Origin) {
        let options = options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        let rest = self.text.get(origin.byte()..);
        self.parser = rest.map(|rest| Parser::new_from_str_with_options(rest, options));
        self.origin = origin;
    }

    /// Reads one document into `pending`; `None` after the last one.
    fn read_document(&mut self) -> Option<()> {
        let parser = self.parser.as_mut()?;
        match document(parser, self.text, self.origin) {
            Ok(Document::End) => self.parser = None,
            Ok(Document::Read(node)) => objects(node, None, &mut self.pending),
            Ok(Document::Json(node, end)) => {
                objects(node, None, &mut self.pending);
                self.start_at(end);
            }
            Err(error) => {
                self.pending.push_back(Err(error));
                match parser.proceed_next_document() {
                    Ok(true) => {}
                    Ok(false) => self.parser = None,
                    Err(error) => {
                        self.pending.push_back(Err(scan_error(self.origin, &error)));
                        self.parser = None;
                    }
                }
            }
        }
        Some(())
    }
}

enum Document<'t> {
    Read(Node<'t>),
    /// A JSON object that is followed by another one without a `---` line, as `jq` writes them and kubectl reads them.
    Json(Node<'t>, Origin),
    /// There is no further document.
    End,
}

fn document<'t>(
    parser: &mut Parser<'t, StrInput<'t>>,
    text: &'t str,
    origin: Origin,
) -> Result<Document<'t>, ManifestError> {
    let mut tree = TreeBuilder::new(origin);
    let node = loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => return Ok(Document::End),
            Some(Ok((Event::DocumentEnd, _))) => {
                if let Some(node) = tree.root.take() {
                    break node;
                }
            }
            Some(Ok((event, span))) => tree.event(event, &span)?,
            Some(Err(error)) => return Err(scan_error(origin, &error)),
        }
    };
    match parser.peek() {
        // The text that follows does not start a document: this document is broken, unless both are JSON objects.
        Some(Err(error)) if *error.kind() == ErrorKind::ExpectedDocumentStart => {
            let end = origin.further(error.marker());
            let json = node.form == Form::Flow && matches!(node.content, Content::Map(_));
            if json && text.get(end.byte()..).is_some_and(|rest| rest.starts_with('{')) {
                Ok(Document::Json(node, end))
            } else {
                Err(scan_error(origin, &error))
            }
        }
        _ => Ok(Document::Read(node)),
    }
}

/// The text of a file.
///
/// # Errors
/// The bytes are UTF-16, binary or not UTF-8; the message says which.
pub fn text(bytes: &[u8]) -> Result<&str, ManifestError> {
    let error =
        |line: u32, message: &str| ManifestError::new(Position { line, column: 1 }, message);
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(error(1, "it is UTF-16; save it as UTF-8"));
    }
    let line_of = |end: usize| {
        let lines = bytes.iter().take(end).filter(|byte| **byte == b'\n').count();
        u32::try_from(lines + 1).unwrap_or(u32::MAX)
    };
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        return Err(error(line_of(end), "it is a binary file, not YAML or JSON"));
    }
    std::str::from_utf8(bytes)
        .map_err(|invalid| error(line_of(invalid.valid_up_to()), "it is not UTF-8"))
}

/// Adds an object, or the items of a list. `inherited` is the `apiVersion` and `kind` of a typed list's items
/// (`PodList`), which the items themselves leave out.
fn objects<'t>(
    node: Node<'t>,
    inherited: Option<(&str, &str)>,
    found: &mut VecDeque<Result<Manifest<'t>, ManifestError>>,
) {
    if node.is_null() {
        return;
    }
    let Content::Map(_) = &node.content else {
        let message = "it is no Kubernetes object: an object is a map with apiVersion and kind";
        return found.push_back(Err(ManifestError::no_object(node.at, message)));
    };
    let field = |name: &str, inherited: Option<&str>| {
        node.get(name).and_then(Node::as_str).or(inherited).unwrap_or_default().to_owned()
    };
    let kind = field("kind", inherited.map(|(_, kind)| kind));
    let api_version = field("apiVersion", inherited.map(|(api_version, _)| api_version));
    if kind.is_empty() {
        let message = "it has no kind, so it is no Kubernetes object";
        return found.push_back(Err(ManifestError::no_object(node.at, message)));
    }
    let item_kind = kind.strip_suffix("List").map(str::to_owned);
    if let (Some(item_kind), Some(Content::List(_))) =
        (&item_kind, node.get("items").map(|it| &it.content))
    {
        let Content::Map(entries) = node.content else { return };
        let items =
            entries.into_iter().find(|entry| entry.key == "items").map(|it| it.value.content);
        let Some(Content::List(items)) = items else { return };
        let inherited =
            (!item_kind.is_empty()).then_some((api_version.as_str(), item_kind.as_str()));
        for item in items {
            objects(item, inherited, found);
        }
        return;
    }
    found.push_back(Ok(Manifest { api_version, kind, node }));
}

fn scan_error(origin: Origin, error: &ScanError) -> ManifestError {
    let at = origin.position(error.marker());
    if *error.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(at);
    }
    ManifestError::new(at, format!("it is not YAML: {}", error.info()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Each object's position, `apiVersion`, kind and name, or its error.
    fn shown(text: &str) -> Vec<String> {
        let show = |object: Result<Manifest<'_>, ManifestError>| match object {
            Ok(Manifest { api_version, kind, node }) => {
                let name = node.get("metadata").and_then(|it| it.get("name"));
                let name = name.and_then(Node::as_str).unwrap_or("-");
                format!("{} {api_version} {kind} {name}", node.at)
            }
            Err(error) => error.to_string(),
        };
        read(text).map(show).collect()
    }

    fn json(text: &str) -> serde_json::Value {
        let object = read(text).next().expect("no object was read");
        object.unwrap().node.to_json()
    }

    #[test]
    fn every_document_is_an_object_and_empty_ones_are_none() {
        let text = "---\n# Source: chart/a.yaml\nkind: A\nmetadata: {name: x}\n---\n---\n# nothing\n---\n{\"kind\": \"B\", \"apiVersion\": \"v1\"}\n...\n---\nkind: C\n";
        assert_eq!(shown(text), ["3:1  A x", "9:1 v1 B -", "12:1  C -"]);
        assert_eq!(shown(""), Vec::<String>::new());
        assert_eq!(shown("# only a comment\n"), Vec::<String>::new());
    }

    #[test]
    fn a_broken_document_is_an_error_with_its_position_and_the_others_are_read() {
        let text = "kind: A\n---\nkind: [B\n---\nkind: C\n---\n- 1\n---\nname: x\n---\nkind: D\nkind: E\n---\nkind: F\n";
        assert_eq!(
            shown(text),
            [
                "1:1  A -",
                "3:7: it is not YAML: unclosed bracket '['",
                "5:1  C -",
                "7:1: it is no Kubernetes object: an object is a map with apiVersion and kind",
                "9:1: it has no kind, so it is no Kubernetes object",
                "12:1: the key \"kind\" is there twice",
                "14:1  F -",
            ]
        );
    }

    #[test]
    fn a_list_is_its_items_and_a_typed_one_lends_them_its_kind() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}\n- kind: List\n  items: [{kind: Pod, metadata: {name: b}}]\n---\napiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: c}\n";
        assert_eq!(shown(text), ["4:3 apps/v1 Deployment a", "6:11  Pod b", "11:3 v1 Pod c"]);
    }

    #[test]
    fn anchors_merges_and_quotes_mean_what_yaml_says() {
        let text = "kind: A\nbase: &b {image: nginx, port: 80}\none: {<<: *b, port: 81}\ntwo: [*b, \"80\", !!str 80, 080, yes]\nthree:\n  <<: [{x: 1}, {x: 2, z: 3}]\n  \"<<\": {w: 4}\n1: t\n";
        assert_eq!(
            json(text),
            serde_json::json!({
                "kind": "A",
                "base": {"image": "nginx", "port": 80},
                "one": {"image": "nginx", "port": 81},
                "two": [{"image": "nginx", "port": 80}, "80", "80", 80, true],
                "three": {"x": 1, "z": 3, "<<": {"w": 4}},
                "1": "t",
            })
        );
    }

    #[test]
    fn an_alias_bomb_and_an_abyss_are_refused_quickly() {
        let mut bomb = "kind: A\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(",");
            let _ = writeln!(bomb, "a{i}: &a{i} [{aliases}]");
        }
        assert_eq!(shown(&bomb).len(), 1);
        assert!(shown(&bomb)[0].contains("its anchors and aliases repeat more than 100000 values"));
        let abyss = format!("kind: {}\n---\nkind: B\n", "[".repeat(100_000));
        let shown = shown(&abyss);
        assert_eq!(shown, ["1:135: it nests deeper than 128 levels", "3:1  B -"]);
    }

    #[test]
    fn a_field_is_found_by_its_path_and_a_missing_one_by_its_parent() {
        let text = "kind: Pod\nmetadata:\n  labels:\n    a.b/c: x\nspec:\n  containers:\n    - name: web\n      image: nginx\n";
        let mut checked = 0;
        for object in read(text) {
            let node = object.unwrap().node;
            for (path, expected) in [
                ("spec.containers[0].image", "8:7"),
                ("spec.containers[0].livenessProbe", "7:7"),
                ("spec.containers[0]", "7:7"),
                ("spec.volumes[0].image", "5:1"),
                (r#"metadata.labels["a.b/c"]"#, "4:5"),
                (r#"metadata.labels["d"]"#, "3:3"),
                ("", "1:1"),
            ] {
                assert_eq!(node.position_of(path).to_string(), expected, "{path}");
                checked += 1;
            }
        }
        assert_eq!(checked, 7);
    }

    #[test]
    fn what_is_no_text_is_told_as_what_it_is() {
        assert_eq!(
            text(b"a\n\0").unwrap_err().to_string(),
            "2:1: it is a binary file, not YAML or JSON"
        );
        assert_eq!(
            text(b"\xFF\xFEa").unwrap_err().to_string(),
            "1:1: it is UTF-16; save it as UTF-8"
        );
        assert_eq!(text(b"a\n\n\xC0").unwrap_err().to_string(), "3:1: it is not UTF-8");
        assert!(text("é".as_bytes()).is_ok());
    }

    #[test]
    fn what_breaks_a_document_behind_its_end_breaks_it_as_a_whole() {
        let text = "kind: A\n---\n  kind: B\n name: b\n---\nkind: C\n";
        let fault = "4:2: it is not YAML: did not find expected <document start>";
        assert_eq!(shown(text), ["1:1  A -", fault, "6:1  C -"]);
        let trailing = shown("{\"kind\": \"A\"}\nname: a\n");
        assert_eq!(trailing, ["2:1: it is not YAML: did not find expected <document start>"]);
    }

    #[test]
    fn json_needs_no_dashes_between_its_objects() {
        let text = "{\"kind\": \"A\"}\n {\n\t\"kind\": \"B\", \"metadata\": {\"name\": \"\\ud83d\\ude00\"}\n}{\"kind\": \"C\"}\n---\nkind: D\n";
        assert_eq!(shown(text), ["1:1  A -", "2:2  B 😀", "4:2  C -", "6:1  D -"]);
        let mut names = Vec::new();
        for object in read(text) {
            let node = object.unwrap().node;
            names.push((node.position_of("kind").to_string(), &text[node.start..node.end]));
        }
        assert_eq!(names[1].0, "3:2");
        assert!(names[1].1.starts_with("{\n\t\"kind\"") && names[1].1.ends_with('}'), "{names:?}");
        assert_eq!(names[2].1, r#"{"kind": "C"}"#);
    }

    #[test]
    fn anchors_within_anchors_and_merges_of_merges_cost_little_or_are_refused() {
        let numbers = "1,".repeat(2_000);
        let nested = format!("kind: A\nx: {}[{numbers}]{}\n", "&a [".repeat(60), "]".repeat(60));
        assert!(
            shown(&nested)[0].contains("repeat more than 100000 values"),
            "{:?}",
            shown(&nested)
        );
        let mut keys = String::new();
        for key in 0..20_000 {
            let _ = writeln!(keys, "  k{key}: 1");
        }
        let merged = format!("kind: A\nx: &x\n{keys}y:\n  <<: [*x, *x, *x]\n");
        assert_eq!(shown(&merged), ["1:1  A -"]);

        let mut chain = "kind: A\na0: &a0 [x]\n".to_owned();
        for link in 1..130 {
            let _ = writeln!(chain, "a{link}: &a{link} [*a{}]", link - 1);
        }
        assert!(
            shown(&chain)[0].ends_with("it nests deeper than 128 levels"),
            "{:?}",
            shown(&chain)
        );
        assert!(
            shown("kind: A\nx: &x [*x]\n")[0].ends_with("an alias stands inside its own anchor")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(kind|a|1|-|:|: |\\[|\\]|\\{|\\}|,|\"|'|&a|\\*a|<<|\\||>|#|!|%|\n|\n  |\n---\n| |\t|é){0,40}") {
            let _ = shown(&text);
        }
    }
}
