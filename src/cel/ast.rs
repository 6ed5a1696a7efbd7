//! The expression tree that the parser makes of a source, with macros expanded.
//!
//! Nodes are stored in one list and refer to each other by [`ExprId`], so dropping a deep tree needs no recursion. A
//! node's id is also its index into every side table (positions here, types and references in a checked expression).
//! The shapes of nodes are those of the CEL specification's `syntax.proto`.

use std::sync::Arc;

use super::source::{CompileError, LineColumn};

/// The name of a variable, a field, a function or a type.
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

/// The expansion of a macro over a list or a map: a fold of `range` into `accumulator`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comprehension {
    pub range: ExprId,
    /// The element of a list, or the key of a map; with `iter_var2` a list's index.
    pub iter_var: Name,
    /// The element of a list or the value of a map, in two-variable comprehensions.
    pub iter_var2: Option<Name>,
    pub accumulator: Name,
    pub init: ExprId,
    /// Evaluated before each step; false ends the loop.
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
    /// The height of each node: a leaf has 1.
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

    /// Byte offset of the expression in its source: of an operator's sign, or of the name of a function or a field.
    /// Nodes that a macro made have the macro's position.
    pub fn position(&self, id: ExprId) -> usize {
        self.positions.get(id.index()).map_or(0, |position| *position as usize)
    }

    /// Line and column of the expression in its source.
    pub fn place(&self, id: ExprId) -> LineColumn {
        LineColumn::of(&self.source, self.position(id))
    }

    /// A compile error at the expression's position.
    pub fn refuse(&self, id: ExprId, message: impl Into<String>) -> CompileError {
        CompileError::new(self.place(id), &message.into())
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Number of nodes; every id is below it. It counts nodes that
    /// a macro replaced too, although no other node refers to them.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The height of the root, which bounds recursion over the tree.
    pub fn depth(&self) -> usize {
        self.depths.get(self.root.index()).map_or(0, |depth| *depth as usize)
    }
}

impl Expr {
    /// The ids of the expressions directly below this one, in source
    /// order (of a comprehension: range, init, condition, step, result).
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
