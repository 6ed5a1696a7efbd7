//! An expression after the type check: the tree, the type of every node, and the resolved names.

use super::ast::{Ast, Expr, ExprId, Name};
use super::types::Type;

/// What a name in an expression refers to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    /// A declared variable, or a comprehension's.
    Variable(Name),
    /// A type as a value: `int`, `net.IP`.
    Type(Type),
    /// A constant of an enum (`google.protobuf.NullValue.NULL_VALUE`).
    Constant(i64),
    /// The ids of the function's overloads that fit the arguments;
    /// more than one where types are known at run time only.
    Overloads(Vec<&'static str>),
}

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(super) ast: Ast,
    pub(super) types: Vec<Type>,
    pub(super) references: Vec<Option<Reference>>,
}

impl Checked {
    pub fn ast(&self) -> &Ast {
        &self.ast
    }

    pub fn get(&self, id: ExprId) -> &Expr {
        self.ast.get(id)
    }

    /// The expression's type, without type variables.
    pub fn type_of(&self, id: ExprId) -> &Type {
        self.types.get(id.index()).unwrap_or(&Type::Dyn)
    }

    /// What an identifier or a call refers to; `None` for other nodes.
    pub fn reference(&self, id: ExprId) -> Option<&Reference> {
        self.references.get(id.index()).and_then(Option::as_ref)
    }

    /// The whole expression's type.
    pub fn result_type(&self) -> &Type {
        self.type_of(self.ast.root)
    }
}
