//! An expression that was parsed and checked: the tree with every node's type and what its names stand for.

use super::ast::{Ast, Expr, ExprId, Name};
use super::types::Type;

/// What a name in an expression stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    /// A declared variable, or a comprehension's.
    Variable(Name),
    /// A type as a value: `int`, `net.IP`.
    Type(Type),
    /// A constant of an enum (`google.protobuf.NullValue.NULL_VALUE`).
    Constant(i64),
    /// The overloads of a function that fit the types of the arguments, by id; more than one where types are known at run time
    /// only.
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

    /// What the identifier or the call stands for; none for other nodes.
    pub fn reference(&self, id: ExprId) -> Option<&Reference> {
        self.references.get(id.index()).and_then(Option::as_ref)
    }

    /// The whole expression's type.
    pub fn result_type(&self) -> &Type {
        self.type_of(self.ast.root)
    }
}
