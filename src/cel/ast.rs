//! The expression tree: what the parser makes of a source, macros expanded.
//!
//! Nodes lie in one list and name each other by [`ExprId`], so a tree of any depth is dropped without recursion. A node's id is
//! also its place in every side table (positions here, types and references in a checked expression).
//! The shapes are those of the CEL specification's `syntax.proto`.

use std::sync::Arc;

use super::source::{CompileError, LineColumn};

/// A name: of a variable, a field, a function, a type.
pub type Name = Arc<str>;

/// A node's number in its [`Ast`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub(super) u32);

impl ExprId {
    /// The node's index into tables of [`Ast::len`] entries.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A literal's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// One expression. Children are ids of the same [`Ast`].
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Literal(Literal),
    /// A variable, or a type's name. The checker resolves qualified names (`net.IP`) into one node of this kind.
    Ident(Name),
    /// `operand.field`; with `test_only` the expansion of `has(operand.field)`.
    Select {
        operand: ExprId,
        field: Name,
        test_only: bool,
    },
    /// `function(args)` or `target.function(args)`. Operators are functions named as in [`super::operators`].
    /// The checker turns a namespaced call (`sets.contains(a, b)`) into one without target.
    Call {
        function: Name,
        target: Option<ExprId>,
        args: Vec<ExprId>,
    },
    /// `[a, ?b]`.
    List(Vec<Element>),
    /// `{k: v, ?k: v}`.
    Map(Vec<Entry>),
    /// `name{field: value}`.
    Struct {
        name: Name,
        fields: Vec<StructField>,
    },
    Comprehension(Box<Comprehension>),
}

/// An element of a list literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    pub value: ExprId,
    /// `[?value]`: the value is an optional; an empty one leaves no element.
    pub optional: bool,
}

/// An entry of a map literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: ExprId,
    pub value: ExprId,
    /// `{?key: value}`: the value is an optional; an empty one leaves no entry.
    pub optional: bool,
}

/// A field of a struct literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructField {
    pub name: Name,
    /// Byte offset of the field's name in the source.
    pub position: u32,
    pub value: ExprId,
    pub optional: bool,
}

/// What the macros over lists and maps expand to: a fold of `range` into `accumulator`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comprehension {
    pub range: ExprId,
    /// The element of a list, or the key of a map; with `iter_var2` a list's index.
    pub iter_var: Name,
    /// The element of a list or the value of a map, in two-variable comprehensions.
    pub iter_var2: Option<Name>,
    pub accumulator: Name,
    pub init: ExprId,
    /// Judged before each step; false ends the loop.
    pub condition: ExprId,
    pub step: ExprId,
    pub result: ExprId,
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Ast {
    pub(super) nodes: Vec<Expr>,
    /// Byte offset in the source, for each node.
    pub(super) positions: Vec<u32>,
    /// Longest way down to a leaf, for each node; a leaf has 1.
    pub(super) depths: Vec<u32>,
    pub(super) root: ExprId,
    pub(super) source: Arc<str>,
}

impl Ast {
    pub fn root(&self) -> ExprId {
        self.root
    }

    /// The expression of an id of this tree.
    pub fn get(&self, id: ExprId) -> &Expr {
        const NOTHING: &Expr = &Expr::Literal(Literal::Null);
        self.nodes.get(id.index()).unwrap_or(NOTHING)
    }

    /// Byte offset of the expression in its source: of an operator's sign, of the name of a function or a field; what a macro
    /// made stands where the macro does.
    pub fn position(&self, id: ExprId) -> usize {
        self.positions.get(id.index()).map_or(0, |position| *position as usize)
    }

    /// The same as line and column.
    pub fn place(&self, id: ExprId) -> LineColumn {
        LineColumn::of(&self.source, self.position(id))
    }

    /// A refusal that names the expression's place.
    pub fn refuse(&self, id: ExprId, message: impl Into<String>) -> CompileError {
        CompileError::new(self.place(id), &message.into())
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Number of nodes: ids are below it. Nodes that macros took apart are counted, though nothing leads to them.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The longest way from the root to a leaf, which bounds recursion over the tree.
    pub fn depth(&self) -> usize {
        self.depths.get(self.root.index()).map_or(0, |depth| *depth as usize)
    }
}

impl Expr {
    /// The ids of the expressions directly below this one, in the order in which they are written (a comprehension's:
    /// range, init, condition, step, result).
    pub fn children(&self) -> Vec<ExprId> {
        match self {
            Self::Literal(_) | Self::Ident(_) => Vec::new(),
            Self::Select { operand, .. } => vec![*operand],
            Self::Call { target, args, .. } => target.iter().chain(args).copied().collect(),
            Self::List(elements) => elements.iter().map(|element| element.value).collect(),
            Self::Map(entries) => {
                entries.iter().flat_map(|entry| [entry.key, entry.value]).collect()
            }
            Self::Struct { fields, .. } => fields.iter().map(|field| field.value).collect(),
            Self::Comprehension(fold) => {
                vec![fold.range, fold.init, fold.condition, fold.step, fold.result]
            }
        }
    }
}
