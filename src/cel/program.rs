//! Compiled expressions: nodes that refer to each other by number, with names resolved and constants evaluated. A
//! program has the shape of cel-go's plan (`interpreter/planner.go`), since costs depend on it.

use super::ast::Name;
use super::error::Error;
use super::function::{Cost, Implementation, Prepared};
use super::types::Type;
use super::value::Value;
use super::{function, set::Set};

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    pub(super) nodes: Vec<ProgramNode>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) root: NodeId,
    /// One entry for each variable of its comprehensions; for an accumulator the node of its initial value.
    pub(super) inits: Vec<Option<NodeId>>,
    pub(super) result_type: Type,
}

impl Program {
    /// The type of the result, as far as the checker knows it.
    pub fn result_type(&self) -> &Type {
        &self.result_type
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttributeId(pub u32);

/// A variable of a comprehension.
pub(super) type Slot = usize;

#[derive(Debug)]
pub(super) enum ProgramNode {
    Constant(Value<'static>),
    /// An expression that always fails.
    Fails(Error),
    /// A variable or a value, and the path into it.
    Attribute(AttributeId),
    /// `has()`: the last step of the attribute tests.
    Present(AttributeId),
    And(NodeId, NodeId),
    Or(NodeId, NodeId),
    Equals {
        left: NodeId,
        right: NodeId,
        negated: bool,
    },
    Call(Call),
    List(Vec<Element>),
    Map(Vec<Entry>),
    /// `name{field: value}`.
    Struct {
        name: Name,
        fields: Vec<Field>,
    },
    /// `item in [constants]`.
    InSet {
        item: NodeId,
        set: Set,
    },
    /// `optional.or(other)`, `optional.orValue(value)`.
    OptionalOr {
        left: NodeId,
        right: NodeId,
        gives_value: bool,
    },
    Fold(Fold),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub value: NodeId,
    pub optional: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub key: NodeId,
    pub value: NodeId,
    pub optional: bool,
}

/// A field of a struct literal.
#[derive(Debug)]
pub(super) struct Field {
    pub name: Name,
    pub value: NodeId,
    /// `{?name: value}`: the value is an optional; an empty one leaves the field unset.
    pub optional: bool,
}

#[derive(Debug)]
pub(super) struct Call {
    pub function: Name,
    pub target: CallTarget,
    pub args: Vec<NodeId>,
    pub cost: Cost,
    pub prepared: Option<Prepared>,
    /// Whether a failing argument ends the call: later arguments are not evaluated, and the call is not charged.
    pub stops_at_errors: bool,
    /// Whether the function takes an error as an argument.
    pub takes_errors: bool,
}

#[derive(Debug)]
pub(super) enum CallTarget {
    /// A function of the language. `params` are the parameter types if the checker resolved an overload that has an
    /// implementation of its own in cel-go; else it is empty.
    Standard { implementation: Implementation, params: Vec<Type> },
    /// Overloads of a library; the first one that takes the arguments is called.
    Overloads(Vec<OverloadCandidate>),
}

#[derive(Debug)]
pub(super) struct OverloadCandidate {
    pub overload: function::Overload,
    /// The types that it takes.
    pub params: Vec<Type>,
    /// The overload's cost in this call.
    pub cost: Cost,
    /// Whether the checker resolved the call to this overload.
    pub settled: bool,
}

#[derive(Debug)]
pub(super) struct Attribute {
    pub root: Root,
    pub path: Vec<AttributeStep>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Root {
    Object,
    Namespace,
    Variables,
    Local(Slot),
    Computed(NodeId),
    /// A ternary. A selection from it applies to each of its branches.
    Choice {
        condition: NodeId,
        holds: AttributeId,
        fails: AttributeId,
    },
}

/// A step down: `.field`, `[key]`, `.?field`, `[?key]`.
#[derive(Clone, Debug)]
pub(super) struct AttributeStep {
    pub key: StepKey,
    pub optional: bool,
    /// The last step of `has()`.
    pub tests: bool,
}

#[derive(Clone, Debug)]
pub(super) enum StepKey {
    Constant(Value<'static>),
    Attribute(AttributeId),
    Computed(NodeId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fold {
    pub range: NodeId,
    pub first: Slot,
    pub second: Option<Slot>,
    pub accumulator: Slot,
    pub condition: NodeId,
    pub step: FoldStep,
    pub result: NodeId,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum FoldStep {
    /// The next accumulator.
    Value(NodeId),
    /// Appends to the accumulator in place, if the condition holds or there is none. The accumulator is empty at first.
    Grow { condition: Option<NodeId>, by: Growth },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Growth {
    /// `accumulator + list`.
    List(NodeId),
    /// `cel.@mapInsert(accumulator, key, value)`.
    Entry { key: NodeId, value: NodeId },
    /// `cel.@mapInsert(accumulator, map)`.
    Entries(NodeId),
}
