//! A document under construction: events in, a tree out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, ScalarStyle, Span, StructureStyle, Tag};

use super::documents::Fault;
use super::node::{Content, Entry, Form, Node, Position};
use super::scalar::Scalar;
use crate::policy::text::quote;

/// How deep values may nest: nothing Kubernetes knows comes near.
pub(super) const MAX_DEPTH: usize = 128;
/// How many values of a document may be copies, which its anchors and aliases make.
const MAX_COPIES: usize = 100_000;

/// Where in a text its parser began.
#[derive(Clone, Copy, Default)]
pub(super) struct Origin {
    byte: usize,
    /// Lines and columns before it.
    line: usize,
    column: usize,
}

impl Origin {
    pub fn byte(self) -> usize {
        self.byte
    }

    /// A place further on, as an origin of its own.
    pub fn further(self, mark: &Marker) -> Self {
        let (line, column) = self.place(mark);
        Self { byte: self.byte_of(mark), line, column }
    }

    pub fn position(self, mark: &Marker) -> Position {
        let number = |it: usize| u32::try_from(it.saturating_add(1)).unwrap_or(u32::MAX);
        let (line, column) = self.place(mark);
        Position { line: number(line), column: number(column) }
    }

    /// Counted from 0.
    fn place(self, mark: &Marker) -> (usize, usize) {
        let line = mark.line().saturating_sub(1);
        let column = if line == 0 { self.column + mark.col() } else { mark.col() };
        (self.line + line, column)
    }

    fn byte_of(self, mark: &Marker) -> usize {
        // A parser of a str knows its bytes.
        self.byte + mark.byte_offset().unwrap_or(0)
    }
}

#[derive(Default)]
pub(super) struct Tree<'t> {
    pub root: Option<Node<'t>>,
    origin: Origin,
    open: Vec<Open<'t>>,
    anchors: HashMap<usize, Anchored<'t>>,
    copies: usize,
}

/// A key that waits for its value.
struct Key<'t> {
    text: Cow<'t, str>,
    at: Position,
    /// Whether its value's entries go into the map that it stands in.
    merges: bool,
}

/// A list or map whose end has not been read.
struct Open<'t> {
    node: Node<'t>,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<Key<'t>>,
    /// Maps that `<<` brings in.
    merged: Vec<Node<'t>>,
}

/// A value that aliases may stand for.
struct Anchored<'t> {
    node: Node<'t>,
    /// How many values it holds, and how deep they nest.
    size: usize,
    depth: usize,
}

impl<'t> Tree<'t> {
    pub fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    pub fn event(&mut self, event: Event<'t>, span: &Span) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = Content::Scalar(scalar(text, style, tag.as_deref()));
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let form = if block { Form::Block } else { Form::Flow };
                self.value(self.node(span, form, content), anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.open(style, anchor, span, Content::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, _) => {
                self.open(style, anchor, span, Content::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(()),
        }
    }

    fn node(&self, span: &Span, form: Form, content: Content<'t>) -> Node<'t> {
        let (start, end) = (self.origin.byte_of(&span.start), self.origin.byte_of(&span.end));
        Node { at: self.origin.position(&span.start), start, end, form, content }
    }

    fn open(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        span: &Span,
        content: Content<'t>,
    ) -> Result<(), Fault> {
        let form = if style == StructureStyle::Block { Form::Block } else { Form::Flow };
        let node = self.node(span, form, content);
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(node.at));
        }
        self.open.push(Open { node, anchor, key: None, merged: Vec::new() });
        Ok(())
    }

    fn close(&mut self, span: &Span) -> Result<(), Fault> {
        let Some(Open { mut node, anchor, merged, .. }) = self.open.pop() else { return Ok(()) };
        // A block ends with what is last in it; its end event comes where the next thing begins.
        if node.form == Form::Flow {
            node.end = self.origin.byte_of(&span.end);
        }
        if let Content::Map(entries) = &mut node.content {
            each_key_once(entries)?;
            merge(entries, merged);
        }
        self.value(node, anchor)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<(), Fault> {
        let alias = self.node(span, Form::Alias, Content::Scalar(Scalar::Null));
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = "an alias stands inside its own anchor".to_owned();
            return Err(Fault { at: alias.at, message });
        };
        let (size, depth) = (anchored.size, anchored.depth);
        if self.open.len() + depth > MAX_DEPTH {
            return Err(too_deep(alias.at));
        }
        let Node { at, content, .. } = anchored.node.clone();
        self.copied(size, alias.at)?;
        self.value(Node { at, content, ..alias }, 0)
    }

    /// Puts a value where it belongs: a key, a key's value, an item, or the whole document.
    fn value(&mut self, node: Node<'t>, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            let (size, depth) = extent(&node);
            self.copied(size, node.at)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, depth });
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.node.end = open.node.end.max(node.end);
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match open.key.take() {
                None => {
                    let text = key(&node)?;
                    // In quotes it is a key like any other.
                    let merges = text == "<<" && node.end - node.start == text.len();
                    open.key = Some(Key { text, at: node.at, merges });
                }
                Some(Key { at, merges: true, .. }) => merged(&mut open.merged, node, at)?,
                Some(Key { text, at, .. }) => {
                    entries.push(Entry { key: text, key_at: at, value: node });
                }
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }

    fn copied(&mut self, size: usize, at: Position) -> Result<(), Fault> {
        self.copies += size;
        if self.copies > MAX_COPIES {
            let message = format!("its anchors and aliases repeat more than {MAX_COPIES} values");
            return Err(Fault { at, message });
        }
        Ok(())
    }
}

pub(super) fn too_deep(at: Position) -> Fault {
    Fault { at, message: format!("it nests deeper than {MAX_DEPTH} levels") }
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
fn merged<'t>(maps: &mut Vec<Node<'t>>, node: Node<'t>, key_at: Position) -> Result<(), Fault> {
    match node.content {
        Content::Map(_) => maps.push(node),
        Content::List(items) if items.iter().all(|it| matches!(it.content, Content::Map(_))) => {
            maps.extend(items);
        }
        _ => return Err(Fault { at: key_at, message: "<< merges maps only".to_owned() }),
    }
    Ok(())
}

/// Adds the entries of other maps whose key is not there yet.
fn merge<'t>(entries: &mut Vec<Entry<'t>>, maps: Vec<Node<'t>>) {
    if maps.is_empty() {
        return;
    }
    for map in maps {
        let Content::Map(others) = map.content else { continue };
        entries.extend(others.into_iter().map(|mut entry| {
            entry.value.form = Form::Alias;
            entry
        }));
    }
    let mut seen = HashSet::new();
    let new: Vec<_> = entries.iter().map(|entry| seen.insert(&*entry.key)).collect();
    let mut new = new.into_iter();
    entries.retain(|_| new.next().unwrap_or_default());
}

fn each_key_once(entries: &[Entry<'_>]) -> Result<(), Fault> {
    // Most maps are small, and then looking is cheaper than hashing.
    let twice = if entries.len() > 16 {
        let mut keys = HashSet::new();
        entries.iter().find(|entry| !keys.insert(&*entry.key))
    } else {
        let seen = |index, key: &str| entries.iter().take(index).any(|it| it.key == key);
        let mut numbered = entries.iter().enumerate();
        numbered.find(|(index, entry)| seen(*index, &entry.key)).map(|(_, entry)| entry)
    };
    twice.map_or(Ok(()), |Entry { key, key_at, .. }| {
        Err(Fault { at: *key_at, message: format!("the key {} is there twice", quote(key)) })
    })
}

fn scalar<'t>(text: Cow<'t, str>, style: ScalarStyle, tag: Option<&Tag>) -> Scalar<'t> {
    let resolved =
        tag.is_none_or(|it| matches!(it.core_suffix(), Some("bool" | "float" | "int" | "null")));
    if style == ScalarStyle::Plain && resolved { Scalar::plain(text) } else { Scalar::String(text) }
}

/// How many values a tree holds, and how deep they nest.
fn extent(node: &Node<'_>) -> (usize, usize) {
    let all = |inner: &mut dyn Iterator<Item = &Node<'_>>| {
        let total = |(size, depth): (usize, usize), node: &Node<'_>| {
            let (more, deep) = extent(node);
            (size + more, depth.max(deep + 1))
        };
        inner.fold((1, 1), total)
    };
    match &node.content {
        Content::Scalar(_) => (1, 0),
        Content::List(items) => all(&mut items.iter()),
        Content::Map(entries) => all(&mut entries.iter().map(|entry| &entry.value)),
    }
}
