//! Builds expression trees node by node.

use super::ast::{Ast, Element, Expr, ExprId, Literal, Name};
use super::source::SyntaxError;
use super::stack::deeper;

/// The most nodes of a tree. A source of 1 KiB has some 1500 nodes; but `optMap` copies its target, so a chain of
/// `optMap` calls doubles the tree with each call.
const MAX_NODES: usize = 10_000;

/// A tree under construction, leaves first. New nodes have the position set in [`Self::position`].
#[derive(Debug, Default)]
pub(super) struct Builder {
    nodes: Vec<Expr>,
    positions: Vec<u32>,
    depths: Vec<u32>,
    /// Byte offset in the source for the nodes pushed next.
    pub position: usize,
}

impl Builder {
    pub fn push(&mut self, expr: Expr) -> Result<ExprId, SyntaxError> {
        let id = match u32::try_from(self.nodes.len()) {
            Ok(id) if self.nodes.len() < MAX_NODES => ExprId(id),
            _ => {
                return Err(SyntaxError::new(
                    self.position,
                    format!(
                        "with its macros expanded, the expression has more than {MAX_NODES} parts; move parts into variables"
                    ),
                ));
            }
        };
        let depth = expr.children().iter().filter_map(|child| self.depths.get(child.index())).max();
        self.depths.push(depth.map_or(1, |depth| depth + 1));
        self.positions.push(u32::try_from(self.position).unwrap_or(u32::MAX));
        self.nodes.push(expr);
        Ok(id)
    }

    pub fn get(&self, id: ExprId) -> Option<&Expr> {
        self.nodes.get(id.index())
    }

    pub fn position_of(&self, id: ExprId) -> usize {
        self.positions.get(id.index()).map_or(0, |position| *position as usize)
    }

    pub fn literal(&mut self, literal: Literal) -> Result<ExprId, SyntaxError> {
        self.push(Expr::Literal(literal))
    }

    pub fn ident(&mut self, name: &Name) -> Result<ExprId, SyntaxError> {
        self.push(Expr::Ident(Name::clone(name)))
    }

    pub fn call<const N: usize>(
        &mut self,
        function: &str,
        args: [ExprId; N],
    ) -> Result<ExprId, SyntaxError> {
        self.push(Expr::Call { function: function.into(), target: None, args: args.into() })
    }

    pub fn member_call<const N: usize>(
        &mut self,
        function: &str,
        target: ExprId,
        args: [ExprId; N],
    ) -> Result<ExprId, SyntaxError> {
        self.push(Expr::Call { function: function.into(), target: Some(target), args: args.into() })
    }

    pub fn list<const N: usize>(&mut self, values: [ExprId; N]) -> Result<ExprId, SyntaxError> {
        self.push(Expr::List(values.map(|value| Element { value, optional: false }).into()))
    }

    /// A copy of an expression and all below it, under new ids and with the original's positions.
    pub fn copy(&mut self, id: ExprId) -> Result<ExprId, SyntaxError> {
        let before = self.position;
        let Some(mut expr) = self.get(id).cloned() else { return Ok(id) };
        for child in children_mut(&mut expr) {
            *child = deeper(|| self.copy(*child))?;
        }
        self.position = self.position_of(id);
        let copy = self.push(expr);
        self.position = before;
        copy
    }

    pub fn finish(self, root: ExprId, source: &str) -> Ast {
        Ast {
            nodes: self.nodes,
            positions: self.positions,
            depths: self.depths,
            root,
            source: source.into(),
        }
    }
}

/// The ids directly below an expression, mutable.
fn children_mut(expr: &mut Expr) -> Vec<&mut ExprId> {
    match expr {
        Expr::Literal(_) | Expr::Ident(_) => Vec::new(),
        Expr::Select { operand, .. } => vec![operand],
        Expr::Call { target, args, .. } => target.iter_mut().chain(args).collect(),
        Expr::List(elements) => elements.iter_mut().map(|element| &mut element.value).collect(),
        Expr::Map(entries) => {
            entries.iter_mut().flat_map(|entry| [&mut entry.key, &mut entry.value]).collect()
        }
        Expr::Struct { fields, .. } => fields.iter_mut().map(|field| &mut field.value).collect(),
        Expr::Comprehension(fold) => {
            let super::ast::Comprehension { range, init, condition, step, result, .. } =
                fold.as_mut();
            vec![range, init, condition, step, result]
        }
    }
}
