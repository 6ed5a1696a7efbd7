//! Builds the tree of a document from the parser's events.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, ScalarStyle, Span, StructureStyle, Tag};

use super::error::ManifestError;
use super::node::{Content, Entry, Form, Node, Position};
use super::scalar::Scalar;
use crate::policy::text::quote;

/// How deep values may nest. Kubernetes objects stay far below this.
pub(super) const MAX_DEPTH: usize = 128;
/// How many values the anchors and aliases of a document may copy.
const MAX_COPIES: usize = 100_000;

/// The offset in the text at which the parser started.
#[derive(Clone, Copy, Default)]
pub(super) struct Origin {
    byte: usize,
    /// Lines before it.
    line: usize,
    /// Columns before it in its line.
    column: usize,
}

impl Origin {
    pub fn byte(self) -> usize {
        self.byte
    }

    /// The origin of a parser that starts at a later mark.
    pub fn further(self, mark: &Marker) -> Self {
        let (line, column) = self.place(mark);
        Self { byte: self.byte_of(mark), line, column }
    }

    pub fn position(self, mark: &Marker) -> Position {
        let number = |it: usize| u32::try_from(it.saturating_add(1)).unwrap_or(u32::MAX);
        let (line, column) = self.place(mark);
        Position { line: number(line), column: number(column) }
    }

    /// Line and column, counted from 0.
    fn place(self, mark: &Marker) -> (usize, usize) {
        let line = mark.line().saturating_sub(1);
        let column = if line == 0 { self.column + mark.col() } else { mark.col() };
        (self.line + line, column)
    }

    fn byte_of(self, mark: &Marker) -> usize {
        // A parser of a `str` always gives byte offsets.
        self.byte + mark.byte_offset().unwrap_or(0)
    }
}

#[derive(Default)]
pub(super) struct TreeBuilder<'t> {
    pub root: Option<Node<'t>>,
    origin: Origin,
    open: Vec<Open<'t>>,
    anchors: HashMap<usize, Anchored<'t>>,
    copies: usize,
}

/// A key whose value has not been read.
struct Key<'t> {
    text: Cow<'t, str>,
    at: Position,
    /// Whether this is `<<`, whose value is merged into the map.
    merges: bool,
}

/// A list or map whose end has not been read.
struct Open<'t> {
    node: Node<'t>,
    anchor: usize,
    /// The key whose value is next.
    key: Option<Key<'t>>,
    /// The maps that `<<` merges.
    merged: Vec<Node<'t>>,
}

/// A value with an anchor, which aliases copy.
struct Anchored<'t> {
    node: Node<'t>,
    size: TreeSize,
}

#[derive(Clone, Copy)]
struct TreeSize {
    /// How many values the tree has, its root included.
    values: usize,
    /// How many levels are below the root.
    depth: usize,
}

impl<'t> TreeBuilder<'t> {
    pub fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    pub fn event(&mut self, event: Event<'t>, span: &Span) -> Result<(), ManifestError> {
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
    ) -> Result<(), ManifestError> {
        let form = if style == StructureStyle::Block { Form::Block } else { Form::Flow };
        let node = self.node(span, form, content);
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(node.at));
        }
        self.open.push(Open { node, anchor, key: None, merged: Vec::new() });
        Ok(())
    }

    fn close(&mut self, span: &Span) -> Result<(), ManifestError> {
        let Some(Open { mut node, anchor, merged, .. }) = self.open.pop() else { return Ok(()) };
        // A block ends with its last value; the parser's end event is at the start of the next token.
        if node.form == Form::Flow {
            node.end = self.origin.byte_of(&span.end);
        }
        if let Content::Map(entries) = &mut node.content {
            each_key_once(entries)?;
            merge(entries, merged);
        }
        self.value(node, anchor)
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<(), ManifestError> {
        let alias = self.node(span, Form::Alias, Content::Scalar(Scalar::Null));
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(ManifestError::new(alias.at, "an alias stands inside its own anchor"));
        };
        let size = anchored.size;
        if self.open.len() + size.depth > MAX_DEPTH {
            return Err(too_deep(alias.at));
        }
        let Node { at, content, .. } = anchored.node.clone();
        self.count_copies(size, alias.at)?;
        self.value(Node { at, content, ..alias }, 0)
    }

    /// Adds a complete value to the tree: as a key, a key's value, a list item, or the whole document.
    fn value(&mut self, node: Node<'t>, anchor: usize) -> Result<(), ManifestError> {
        if anchor != 0 {
            let size = TreeSize::of(&node);
            self.count_copies(size, node.at)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
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
                    // In quotes, `<<` is an ordinary key.
                    let merges = text == "<<" && node.end - node.start == text.len();
                    open.key = Some(Key { text, at: node.at, merges });
                }
                Some(Key { at, merges: true, .. }) => collect_maps(&mut open.merged, node, at)?,
                Some(Key { text, at, .. }) => {
                    entries.push(Entry { key: text, key_at: at, value: node });
                }
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }

    fn count_copies(&mut self, size: TreeSize, at: Position) -> Result<(), ManifestError> {
        self.copies += size.values;
        if self.copies > MAX_COPIES {
            let message = format!("its anchors and aliases repeat more than {MAX_COPIES} values");
            return Err(ManifestError::new(at, message));
        }
        Ok(())
    }
}

pub(super) fn too_deep(at: Position) -> ManifestError {
    ManifestError::new(at, format!("it nests deeper than {MAX_DEPTH} levels"))
}

/// A key as a string, as in JSON.
fn key<'t>(node: &Node<'t>) -> Result<Cow<'t, str>, ManifestError> {
    let Content::Scalar(scalar) = &node.content else {
        return Err(ManifestError::new(node.at, "a key must be a string"));
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

/// Adds the value of `<<` to the maps: one map, or a list of maps.
fn collect_maps<'t>(
    maps: &mut Vec<Node<'t>>,
    node: Node<'t>,
    key_at: Position,
) -> Result<(), ManifestError> {
    match node.content {
        Content::Map(_) => maps.push(node),
        Content::List(items) if items.iter().all(|it| matches!(it.content, Content::Map(_))) => {
            maps.extend(items);
        }
        _ => return Err(ManifestError::new(key_at, "<< merges maps only")),
    }
    Ok(())
}

/// Adds the entries of other maps whose keys `entries` lacks; of equal keys, the first counts.
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

fn each_key_once(entries: &[Entry<'_>]) -> Result<(), ManifestError> {
    // In small maps, which most are, a linear search is cheaper than hashing.
    let twice = if entries.len() > 16 {
        let mut keys = HashSet::new();
        entries.iter().find(|entry| !keys.insert(&*entry.key))
    } else {
        let seen = |index, key: &str| entries.iter().take(index).any(|it| it.key == key);
        let mut numbered = entries.iter().enumerate();
        numbered.find(|(index, entry)| seen(*index, &entry.key)).map(|(_, entry)| entry)
    };
    twice.map_or(Ok(()), |Entry { key, key_at, .. }| {
        Err(ManifestError::new(*key_at, format!("the key {} is there twice", quote(key))))
    })
}

fn scalar<'t>(text: Cow<'t, str>, style: ScalarStyle, tag: Option<&Tag>) -> Scalar<'t> {
    let resolved =
        tag.is_none_or(|it| matches!(it.core_suffix(), Some("bool" | "float" | "int" | "null")));
    if style == ScalarStyle::Plain && resolved { Scalar::plain(text) } else { Scalar::String(text) }
}

impl TreeSize {
    fn of(node: &Node<'_>) -> Self {
        match &node.content {
            Content::Scalar(_) => Self { values: 1, depth: 0 },
            Content::List(items) => Self::around(&mut items.iter()),
            Content::Map(entries) => Self::around(&mut entries.iter().map(|entry| &entry.value)),
        }
    }

    /// The size of a list or map with these values.
    fn around(inner: &mut dyn Iterator<Item = &Node<'_>>) -> Self {
        inner.map(Self::of).fold(Self { values: 1, depth: 1 }, |sum, it| Self {
            values: sum.values + it.values,
            depth: sum.depth.max(it.depth + 1),
        })
    }
}
