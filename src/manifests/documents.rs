//! A text, split into objects.
//!
//! A document that is broken is told with its place, and the others are read all the same.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag, options};

use super::node::{Content, Entry, Form, Node, Position};
use super::scalar::Scalar;

/// How deep values may nest: nothing Kubernetes knows comes near.
const MAX_DEPTH: usize = 128;
/// How many values the aliases of one document may stand for.
const MAX_ALIASED: usize = 100_000;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct Fault {
    pub at: Position,
    pub message: String,
}

/// A Kubernetes object of a text: a document, or an item of one that is a `List`.
pub struct Object<'t> {
    pub api_version: String,
    pub kind: String,
    pub node: Node<'t>,
}

/// Reads a text that may hold any number of documents, and hands on each object, or what is wrong with it.
pub fn read<'t>(text: &'t str, mut each: impl FnMut(Result<Object<'t>, Fault>)) {
    let options = options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    loop {
        let mut tree = Tree::default();
        let document = loop {
            match parser.next_event() {
                None | Some(Ok((Event::StreamEnd, _))) => return,
                Some(Ok((Event::DocumentEnd, _))) => break Ok(tree.root.take()),
                Some(Ok((event, span))) => {
                    if let Err(fault) = tree.event(event, &span) {
                        break Err(fault);
                    }
                }
                Some(Err(error)) => break Err(scan_fault(&error)),
            }
        };
        match document {
            Ok(Some(node)) => objects(node, None, &mut each),
            Ok(None) => {}
            Err(fault) => {
                each(Err(fault));
                match parser.proceed_next_document() {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => return each(Err(scan_fault(&error))),
                }
            }
        }
    }
}

/// The text of a file.
///
/// # Errors
/// What is no text, said so that a person knows what the file is.
pub fn text(bytes: &[u8]) -> Result<&str, Fault> {
    let fault = |line: u32, message: &str| Fault {
        at: Position { line, column: 1 },
        message: message.to_owned(),
    };
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(fault(1, "it is UTF-16; save it as UTF-8"));
    }
    let line_of = |end: usize| {
        let lines = bytes.iter().take(end).filter(|byte| **byte == b'\n').count();
        u32::try_from(lines + 1).unwrap_or(u32::MAX)
    };
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        return Err(fault(line_of(end), "it is a binary file, not YAML or JSON"));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| fault(line_of(error.valid_up_to()), "it is not UTF-8"))
}

/// An object, or the items of a list of objects. `inherited` is what the items of a typed list (`PodList`) leave out.
fn objects<'t>(
    node: Node<'t>,
    inherited: Option<(&str, &str)>,
    each: &mut impl FnMut(Result<Object<'t>, Fault>),
) {
    let fault = |message: &str| Fault { at: node.at, message: message.to_owned() };
    if node.is_null() {
        return;
    }
    let Content::Map(_) = &node.content else {
        return each(Err(fault(
            "it is no Kubernetes object: an object is a map with apiVersion and kind",
        )));
    };
    let field = |name: &str, inherited: Option<&str>| {
        node.get(name).and_then(Node::as_str).or(inherited).unwrap_or_default().to_owned()
    };
    let kind = field("kind", inherited.map(|(_, kind)| kind));
    let api_version = field("apiVersion", inherited.map(|(api_version, _)| api_version));
    if kind.is_empty() {
        return each(Err(fault("it has no kind, so it is no Kubernetes object")));
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
            objects(item, inherited, each);
        }
        return;
    }
    each(Ok(Object { api_version, kind, node }));
}

/// A document under construction.
#[derive(Default)]
struct Tree<'t> {
    root: Option<Node<'t>>,
    open: Vec<Open<'t>>,
    /// Anchored values, with how many values each holds.
    anchors: HashMap<usize, (Node<'t>, usize)>,
    aliased: usize,
}

/// A list or map whose end has not been read.
struct Open<'t> {
    node: Node<'t>,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(Cow<'t, str>, Position)>,
    /// Maps that `<<` brings in.
    merged: Vec<Node<'t>>,
}

impl<'t> Tree<'t> {
    fn event(&mut self, event: Event<'t>, span: &Span) -> Result<(), Fault> {
        let at = position(span);
        let (start, end) = bytes(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = Content::Scalar(scalar(text, style, tag.as_deref()));
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let form = if block { Form::Block } else { Form::Flow };
                self.value(Node { at, start, end, form, content }, anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.open(style, anchor, span, Content::List(Vec::new()));
                Ok(())
            }
            Event::MappingStart(style, anchor, _) => {
                self.open(style, anchor, span, Content::Map(Vec::new()));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let Open { mut node, anchor, merged, .. } = open;
                // A block ends with what is last in it; its end event comes where the next thing begins.
                if node.form == Form::Flow {
                    node.end = end;
                }
                if let Content::Map(entries) = &mut node.content {
                    with_merged(entries, merged)?;
                }
                self.value(node, anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(Fault {
                        at,
                        message: "an alias stands inside its own anchor".to_owned(),
                    });
                };
                self.aliased += size;
                if self.aliased > MAX_ALIASED {
                    let message = format!("its aliases stand for more than {MAX_ALIASED} values");
                    return Err(Fault { at, message });
                }
                let node = Node { form: Form::Alias, start, end, ..node.clone() };
                self.value(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, style: StructureStyle, anchor: usize, span: &Span, content: Content<'t>) {
        let form = if style == StructureStyle::Block { Form::Block } else { Form::Flow };
        let (start, end) = bytes(span);
        let node = Node { at: position(span), start, end, form, content };
        self.open.push(Open { node, anchor, key: None, merged: Vec::new() });
    }

    /// Puts a value where it belongs: a key, a key's value, an item, or the whole document.
    fn value(&mut self, node: Node<'t>, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size(&node)));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.node.end = open.node.end.max(node.end);
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match open.key.take() {
                None => open.key = Some((key(&node)?, node.at)),
                Some((key, key_at)) if key == "<<" => merge(&mut open.merged, node, key_at)?,
                Some((key, key_at)) => entries.push(Entry { key, key_at, value: node }),
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }
}

/// A key as JSON has it: a string.
fn key<'t>(node: &Node<'t>) -> Result<Cow<'t, str>, Fault> {
    let Content::Scalar(scalar) = &node.content else {
        return Err(Fault { at: node.at, message: "a key must be a string".to_owned() });
    };
    Ok(match scalar {
        Scalar::String(text) => text.clone(),
        Scalar::Null => Cow::Borrowed("null"),
        Scalar::Bool(boolean) => Cow::Borrowed(if *boolean { "true" } else { "false" }),
        Scalar::Integer(number) => Cow::Owned(number.to_string()),
        Scalar::Natural(number) => Cow::Owned(number.to_string()),
        Scalar::Float(number) => Cow::Owned(number.to_string()),
    })
}

/// Takes in what `<<` brings: a map, or a list of maps.
fn merge<'t>(merged: &mut Vec<Node<'t>>, node: Node<'t>, key_at: Position) -> Result<(), Fault> {
    match node.content {
        Content::Map(_) => merged.push(node),
        Content::List(items) if items.iter().all(|it| matches!(it.content, Content::Map(_))) => {
            merged.extend(items);
        }
        _ => return Err(Fault { at: key_at, message: "<< merges maps only".to_owned() }),
    }
    Ok(())
}

/// Sees that a map has each key once, and adds those merged in that it has not itself.
fn with_merged<'t>(entries: &mut Vec<Entry<'t>>, merged: Vec<Node<'t>>) -> Result<(), Fault> {
    if let Some(Entry { key, key_at, .. }) = repeated(entries) {
        let message = format!("the key {key:?} is there twice");
        return Err(Fault { at: *key_at, message });
    }
    for node in merged {
        let Content::Map(others) = node.content else { continue };
        for mut entry in others {
            if !entries.iter().any(|own| own.key == entry.key) {
                entry.value.form = Form::Alias;
                entries.push(entry);
            }
        }
    }
    Ok(())
}

/// The first entry whose key was there before.
fn repeated<'e, 't>(entries: &'e [Entry<'t>]) -> Option<&'e Entry<'t>> {
    // Most maps are small, and then looking is cheaper than hashing.
    if entries.len() > 16 {
        let mut keys = HashSet::new();
        return entries.iter().find(|entry| !keys.insert(&*entry.key));
    }
    let seen = |index: usize, key: &str| entries.iter().take(index).any(|it| it.key == key);
    entries.iter().enumerate().find(|(index, entry)| seen(*index, &entry.key)).map(|(_, it)| it)
}

fn scalar<'t>(text: Cow<'t, str>, style: ScalarStyle, tag: Option<&Tag>) -> Scalar<'t> {
    let is_string = tag.is_some_and(|tag| matches!(tag.core_suffix(), Some("str" | "binary")));
    if style == ScalarStyle::Plain && !is_string {
        Scalar::plain(text)
    } else {
        Scalar::String(text)
    }
}

/// How many values a tree holds.
fn size(node: &Node<'_>) -> usize {
    match &node.content {
        Content::Scalar(_) => 1,
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
    }
}

fn bytes(span: &Span) -> (usize, usize) {
    // A parser of a str knows its bytes.
    (span.start.byte_offset().unwrap_or(0), span.end.byte_offset().unwrap_or(0))
}

fn position(span: &Span) -> Position {
    place(span.start.line(), span.start.col())
}

fn place(line: usize, column: usize) -> Position {
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    Position { line: number(line.max(1)), column: number(column.saturating_add(1)) }
}

fn scan_fault(error: &ScanError) -> Fault {
    let at = place(error.marker().line(), error.marker().col());
    Fault { at, message: format!("it is not YAML: {}", error.info()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each object's kind, name and place, or its fault.
    fn shown(text: &str) -> Vec<String> {
        let mut shown = Vec::new();
        read(text, |object| {
            shown.push(match object {
                Ok(Object { api_version, kind, node }) => {
                    let name = node.get("metadata").and_then(|it| it.get("name"));
                    let name = name.and_then(Node::as_str).unwrap_or("-");
                    format!("{} {api_version} {kind} {name}", node.at)
                }
                Err(fault) => fault.to_string(),
            });
        });
        shown
    }

    fn json(text: &str) -> serde_json::Value {
        let mut found = None;
        read(text, |object| found = object.ok().map(|object| object.node.to_json()));
        found.expect("no object was read")
    }

    #[test]
    fn every_document_is_an_object_and_empty_ones_are_none() {
        let text = "---\n# Source: chart/a.yaml\nkind: A\nmetadata: {name: x}\n---\n---\n# nothing\n---\n{\"kind\": \"B\", \"apiVersion\": \"v1\"}\n...\n---\nkind: C\n";
        assert_eq!(shown(text), ["3:1  A x", "9:1 v1 B -", "12:1  C -"]);
        assert_eq!(shown(""), Vec::<String>::new());
        assert_eq!(shown("# only a comment\n"), Vec::<String>::new());
    }

    #[test]
    fn a_broken_document_is_told_with_its_place_and_the_others_are_read() {
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
        let text = "kind: A\nbase: &b {image: nginx, port: 80}\none: {<<: *b, port: 81}\ntwo: [*b, \"80\", !!str 80, 080, yes]\nthree:\n  <<: [{x: 1}, {x: 2, z: 3}]\n1: t\n";
        assert_eq!(
            json(text),
            serde_json::json!({
                "kind": "A",
                "base": {"image": "nginx", "port": 80},
                "one": {"image": "nginx", "port": 81},
                "two": [{"image": "nginx", "port": 80}, "80", "80", 80, true],
                "three": {"x": 1, "z": 3},
                "1": "t",
            })
        );
    }

    #[test]
    fn an_alias_bomb_and_an_abyss_are_refused_quickly() {
        let mut bomb = "kind: A\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(",");
            bomb += &format!("a{i}: &a{i} [{aliases}]\n");
        }
        assert_eq!(shown(&bomb).len(), 1);
        assert!(shown(&bomb)[0].contains("its aliases stand for more than 100000 values"));
        let abyss = format!("kind: {}\n---\nkind: B\n", "[".repeat(100_000));
        let shown = shown(&abyss);
        assert_eq!(shown, ["1:135: it is not YAML: recursion limit exceeded", "3:1  B -"]);
    }

    #[test]
    fn a_field_is_found_by_its_path_and_a_missing_one_by_its_parent() {
        let text = "kind: Pod\nmetadata:\n  labels:\n    a.b/c: x\nspec:\n  containers:\n    - name: web\n      image: nginx\n";
        let mut checked = 0;
        read(text, |object| {
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
        });
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

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(kind|a|1|-|:|: |\\[|\\]|\\{|\\}|,|\"|'|&a|\\*a|<<|\\||>|#|!|%|\n|\n  |\n---\n| |\t|é){0,40}") {
            let _ = shown(&text);
        }
    }
}
