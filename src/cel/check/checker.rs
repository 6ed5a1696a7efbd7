//! The state of the type checker, and the rules for names, fields and comprehensions; `calls` and `aggregates` have
//! those for calls and for literals of lists, maps and structs.

use super::super::ast::{Ast, Comprehension, Expr, ExprId, Literal, Name};
use super::super::checked::{Checked, Reference};
use super::super::environment::Environment;
use super::super::source::CompileError;
use super::super::stack::deeper;
use super::super::types::Type;
use super::super::unify::Unifier;
use super::super::wellknown;
use super::explain;

/// The most types within a type. Ordinary types have less than ten.
const MAX_TYPE_SIZE: u32 = 500;

/// The type of a part, or why the expression is refused.
pub(super) type Outcome<T = Type> = Result<T, CompileError>;

/// How a field is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// `operand.field`.
    Plain,
    /// `operand.?field`.
    Optional,
}

/// The state of a check.
pub(super) struct Checker<'e> {
    pub environment: &'e Environment,
    pub ast: Ast,
    types: Vec<Type>,
    references: Vec<Option<Reference>>,
    pub unifier: Unifier,
    /// The variables of the comprehensions around the present expression, inner ones last.
    pub scopes: Vec<(Name, Type)>,
}

impl<'e> Checker<'e> {
    pub fn new(ast: Ast, environment: &'e Environment) -> Self {
        let count = ast.len();
        Self {
            environment,
            ast,
            types: vec![Type::Dyn; count],
            references: vec![None; count],
            unifier: Unifier::default(),
            scopes: Vec::new(),
        }
    }

    /// Checks the whole expression.
    pub fn run(mut self) -> Outcome<Checked> {
        let root = self.ast.root();
        self.check(root)?;
        let Self { ast, mut types, references, mut unifier, .. } = self;
        for of in &mut types {
            *of = unifier.settle(of);
        }
        if unifier.exhausted() {
            return Err(ast.refuse(root, explain::TOO_COMPLEX));
        }
        Ok(Checked { ast, types, references })
    }

    pub(super) fn check(&mut self, id: ExprId) -> Outcome {
        deeper(|| self.check_here(id))
    }

    fn check_here(&mut self, id: ExprId) -> Outcome {
        let of = match self.ast.get(id) {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(_) => self.check_ident(id)?,
            Expr::Select { .. } => self.check_select(id)?,
            Expr::Call { .. } => self.check_call(id)?,
            Expr::List(_) => self.check_list(id)?,
            Expr::Map(_) => self.check_map(id)?,
            Expr::Struct { .. } => self.check_struct(id)?,
            Expr::Comprehension(fold) => {
                let fold = Comprehension::clone(fold);
                self.check_comprehension(&fold)?
            }
        };
        if of.size() > MAX_TYPE_SIZE || self.unifier.exhausted() {
            return Err(self.ast.refuse(id, explain::TOO_COMPLEX));
        }
        if let Some(slot) = self.types.get_mut(id.index()) {
            *slot = of.clone();
        }
        Ok(of)
    }

    pub(super) fn refer(&mut self, id: ExprId, reference: Reference) {
        if let Some(slot) = self.references.get_mut(id.index()) {
            *slot = Some(reference);
        }
    }

    pub(super) fn replace(&mut self, id: ExprId, with: Expr) {
        if let Some(node) = self.ast.nodes.get_mut(id.index()) {
            *node = with;
        }
    }

    /// Resolves a name to a comprehension's variable, a declared variable, a type or a constant.
    fn look_up(&self, name: &str) -> Option<(Type, Reference)> {
        let name = name.strip_prefix('.').unwrap_or(name);
        let local = self.scopes.iter().rev().find(|(its, _)| &**its == name).map(|(_, of)| of);
        if let Some(of) = local.or_else(|| self.environment.variable(name)) {
            return Some((of.clone(), Reference::Variable(name.into())));
        }
        if let Some(constant) = wellknown::constant(name) {
            return Some((Type::Int, Reference::Constant(constant)));
        }
        let of = wellknown::named(name).filter(|named| named.is_value)?.of;
        Some((Type::type_of(of.clone()), Reference::Type(of)))
    }

    fn check_ident(&mut self, id: ExprId) -> Outcome {
        let Expr::Ident(name) = self.ast.get(id) else { return Ok(Type::Dyn) };
        let name = Name::clone(name);
        let Some((of, reference)) = self.look_up(&name) else {
            return Err(self.undeclared(id, &name));
        };
        Ok(self.resolve_ident(id, of, reference))
    }

    /// Records what a name refers to, and turns a qualified name into one node.
    fn resolve_ident(&mut self, id: ExprId, of: Type, reference: Reference) -> Type {
        if let Reference::Variable(name) = &reference {
            self.replace(id, Expr::Ident(Name::clone(name)));
        }
        self.refer(id, reference);
        of
    }

    fn check_select(&mut self, id: ExprId) -> Outcome {
        if let Some((of, reference)) = self.qualified_name(id).and_then(|name| self.look_up(&name))
        {
            return Ok(self.resolve_ident(id, of, reference));
        }
        let Expr::Select { operand, field, test_only } = self.ast.get(id) else {
            return Ok(Type::Dyn);
        };
        let (operand, field, test_only) = (*operand, Name::clone(field), *test_only);
        let of = self.check_field(id, operand, &field, Selection::Plain)?;
        if test_only {
            return Ok(Type::Bool);
        }
        Ok(self.unifier.resolve(&of))
    }

    /// `a.b.c` of names and selections only.
    pub(super) fn qualified_name(&self, id: ExprId) -> Option<String> {
        let mut fields: Vec<Name> = Vec::new();
        let mut at = id;
        loop {
            match self.ast.get(at) {
                Expr::Ident(name) => {
                    let mut qualified = name.to_string();
                    for field in fields.iter().rev() {
                        qualified.push('.');
                        qualified.push_str(field);
                    }
                    return Some(qualified);
                }
                Expr::Select { operand, field, test_only: false } => {
                    fields.push(Name::clone(field));
                    at = *operand;
                }
                _ => return None,
            }
        }
    }

    /// The type of a field. It is optional if the operand or the selection is.
    pub(super) fn check_field(
        &mut self,
        id: ExprId,
        operand: ExprId,
        field: &Name,
        selection: Selection,
    ) -> Outcome {
        let of = self.check(operand)?;
        let of = self.unifier.resolve(&of);
        let (target, was_optional) = match of {
            Type::Optional(inner) => (Type::clone(&inner), true),
            other => (other, false),
        };
        let field = match &target {
            Type::Map(_, value) => Type::clone(value),
            Type::Object(name) => {
                match self.environment.object(name).map(|object| (object, object.field(field))) {
                    Some((_, Some(of))) => of.clone(),
                    Some((object, None)) => {
                        return Err(self.no_such_field(id, operand, field, object));
                    }
                    None => return Err(self.no_fields(id, &target)),
                }
            }
            Type::Variable(_) => {
                self.unifier.assignable(&Type::Dyn, &target);
                Type::Dyn
            }
            _ if target.is_dyn() => Type::Dyn,
            _ => return Err(self.no_fields(id, &target)),
        };
        Ok(if was_optional || selection == Selection::Optional {
            Type::optional(field)
        } else {
            field
        })
    }

    fn check_comprehension(&mut self, fold: &Comprehension) -> Outcome {
        let range = self.check(fold.range)?;
        let accumulator = self.check(fold.init)?;
        let range = self.unifier.resolve(&range);
        let (first, second) = match &range {
            Type::List(element) if fold.iter_var2.is_some() => (Type::Int, Type::clone(element)),
            Type::List(element) => (Type::clone(element), Type::Dyn),
            Type::Map(key, value) => (Type::clone(key), Type::clone(value)),
            Type::Variable(_) => {
                self.unifier.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            Type::Dyn => (Type::Dyn, Type::Dyn),
            _ => return Err(self.ast.refuse(fold.range, explain::no_range(&range))),
        };
        let outside = self.scopes.len();
        self.scopes.push((Name::clone(&fold.accumulator), accumulator.clone()));
        self.scopes.push((Name::clone(&fold.iter_var), first));
        if let Some(name) = &fold.iter_var2 {
            self.scopes.push((Name::clone(name), second));
        }
        let condition = self.check(fold.condition)?;
        self.assert(fold.condition, &Type::Bool, &condition)?;
        let step = self.check(fold.step)?;
        self.assert(fold.step, &accumulator, &step)?;
        self.scopes.truncate(outside + 1);
        let result = self.check(fold.result)?;
        self.scopes.truncate(outside);
        Ok(self.unifier.resolve(&result))
    }

    fn assert(&mut self, id: ExprId, wanted: &Type, of: &Type) -> Outcome<()> {
        if self.unifier.assignable(wanted, of) {
            return Ok(());
        }
        let (wanted, of) = (self.unifier.settle(wanted), self.unifier.settle(of));
        Err(self.ast.refuse(id, explain::mixed_fold(&wanted, &of)))
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
