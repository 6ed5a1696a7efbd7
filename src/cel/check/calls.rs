//! The rules for calls: resolves function names, and the overloads that fit the arguments.

use super::super::ast::{Expr, ExprId, Literal, Name};
use super::super::checked::Reference;
use super::super::declarations::{CallStyle, Overload};
use super::super::operators;
use super::super::types::Type;
use super::super::unify::same;
use super::checker::{Checker, Outcome, Selection};
use super::explain;

impl Checker<'_> {
    pub(super) fn check_call(&mut self, id: ExprId) -> Outcome {
        let Expr::Call { function, target, args } = self.ast.get(id) else { return Ok(Type::Dyn) };
        let (function, target, args) = (Name::clone(function), *target, args.clone());
        if let (operators::OPT_SELECT, [operand, field]) = (&*function, args.as_slice()) {
            return self.check_optional_select(id, *operand, *field);
        }
        let Some(target) = target else {
            let name = function.strip_prefix('.').map_or(Name::clone(&function), Name::from);
            return self.check_global(id, &name, args);
        };
        if let Some(prefix) = self.qualified_name(target) {
            let name = format!("{}.{function}", prefix.strip_prefix('.').unwrap_or(&prefix));
            if self.environment.function(&name).is_some() {
                return self.check_global(id, &name.into(), args);
            }
        }
        let Some(overloads) = self.environment.function(&function) else {
            self.check(target)?;
            return Err(self.unknown_function(id, &function, Some(target)));
        };
        // As in cel-go, the arguments bind type variables before the target does.
        let args = self.check_all(&args)?;
        let types: Vec<Type> = std::iter::once(self.check(target)?).chain(args).collect();
        self.resolve_overload(id, &function, overloads, &types, CallStyle::Member)
    }

    /// A call without target. The node becomes a call of the function's full name.
    fn check_global(&mut self, id: ExprId, name: &Name, args: Vec<ExprId>) -> Outcome {
        let Some(overloads) = self.environment.function(name) else {
            return Err(self.unknown_function(id, name, None));
        };
        let types = self.check_all(&args)?;
        self.replace(id, Expr::Call { function: Name::clone(name), target: None, args });
        self.resolve_overload(id, name, overloads, &types, CallStyle::Global)
    }

    fn check_all(&mut self, args: &[ExprId]) -> Outcome<Vec<Type>> {
        args.iter().map(|arg| self.check(*arg)).collect()
    }

    /// `operand.?field`.
    fn check_optional_select(&mut self, id: ExprId, operand: ExprId, field: ExprId) -> Outcome {
        let Expr::Literal(Literal::String(name)) = self.ast.get(field) else {
            return Ok(Type::Dyn);
        };
        let name = Name::clone(name);
        let of = self.check_field(id, operand, &name, Selection::Optional)?;
        self.check(field)?;
        self.refer(id, Reference::Overloads(vec!["select_optional_field"]));
        Ok(self.unifier.resolve(&of))
    }

    /// The result type of a call: that of the overloads whose parameters fit the arguments' types.
    fn resolve_overload(
        &mut self,
        id: ExprId,
        name: &Name,
        overloads: &[Overload],
        args: &[Type],
        style: CallStyle,
    ) -> Outcome {
        if matches!(&**name, operators::AND | operators::OR) {
            return self.check_logical(id, name, overloads, args);
        }
        let mut fitting = Vec::new();
        let mut result: Option<Type> = None;
        for overload in overloads.iter().filter(|overload| overload.style == style) {
            let mut fresh = Vec::new();
            let params: Vec<Type> =
                overload.params.iter().map(|param| self.instantiate(param, &mut fresh)).collect();
            if !self.unifier.all_assignable(args, &params) {
                continue;
            }
            fitting.push(overload.id);
            let its = self.instantiate(&overload.result, &mut fresh);
            let its = self.unifier.resolve(&its);
            result = Some(match result {
                Some(before) if before.is_dyn() || same(&before, &its) => before,
                Some(_) => Type::Dyn,
                None => its,
            });
        }
        let Some(result) = result else {
            let args: Vec<Type> = args.iter().map(|arg| self.unifier.settle(arg)).collect();
            return Err(self.no_overload(id, name, overloads, &args, style));
        };
        self.refer(id, Reference::Overloads(fitting));
        Ok(result)
    }

    fn check_logical(
        &mut self,
        id: ExprId,
        name: &Name,
        overloads: &[Overload],
        args: &[Type],
    ) -> Outcome {
        for (at, of) in args.iter().enumerate() {
            if !self.unifier.assignable(of, &Type::Bool) {
                let part = self.ast.get(id).children().get(at).copied().unwrap_or(id);
                let of = self.unifier.settle(of);
                return Err(self.ast.refuse(part, explain::not_bool(name, &of)));
            }
        }
        self.refer(
            id,
            Reference::Overloads(overloads.iter().map(|overload| overload.id).collect()),
        );
        Ok(Type::Bool)
    }

    /// The declared type with fresh type variables in the place of its type parameters.
    fn instantiate(&mut self, declared: &Type, fresh: &mut Vec<(&'static str, Type)>) -> Type {
        match declared {
            Type::Param(name) => {
                let known =
                    fresh.iter().find(|(its, _)| its == name).map(|(_, variable)| variable.clone());
                known.unwrap_or_else(|| {
                    let variable = self.unifier.fresh();
                    fresh.push((name, variable.clone()));
                    variable
                })
            }
            Type::List(inner) => Type::list(self.instantiate(inner, fresh)),
            Type::Optional(inner) => Type::optional(self.instantiate(inner, fresh)),
            Type::Type(Some(inner)) => Type::type_of(self.instantiate(inner, fresh)),
            Type::Map(key, value) => {
                Type::map(self.instantiate(key, fresh), self.instantiate(value, fresh))
            }
            other => other.clone(),
        }
    }
}
