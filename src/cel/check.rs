//! The type checker: cel-go's `checker/checker.go` and `checker/env.go`, with no container. It stops at the first fault. Lists
//! and maps of mixed types are for [`super::validate`].

mod explain;

use super::ast::{Ast, Comprehension, Expr, ExprId, Literal, Name};
use super::checked::{Checked, Reference};
use super::declarations::Overload;
use super::environment::Environment;
use super::operators;
use super::source::CompileError;
use super::types::Type;
use super::unify::{Unifier, most_general};
use super::wellknown;

/// The most types within a type; ordinary ones have below ten.
const MAX_TYPE_SIZE: u32 = 500;

/// Checks a parsed expression: resolves its names and its functions' overloads, and finds every part's type.
pub fn check(ast: Ast, environment: &Environment) -> Result<Checked, CompileError> {
    let count = ast.len();
    let root = ast.root();
    let mut checker = Checker {
        environment,
        ast,
        types: vec![Type::Dyn; count],
        references: vec![None; count],
        unifier: Unifier::default(),
        scopes: Vec::new(),
    };
    checker.check(root)?;
    let Checker { ast, mut types, references, mut unifier, .. } = checker;
    for of in &mut types {
        *of = unifier.settle(of);
    }
    if unifier.exhausted() {
        return Err(ast.refuse(root, explain::TOO_COMPLEX));
    }
    let mut checked = Checked { ast, types, references };
    resolve_types_in_variables(&mut checked)?;
    Ok(checked)
}

/// The planner of cel-go takes a variable that holds a type for the type of the variable's name, and refuses it where there is
/// none (`planCheckedIdent`).
fn resolve_types_in_variables(checked: &mut Checked) -> Result<(), CompileError> {
    for id in (0..checked.references.len()).filter_map(|at| u32::try_from(at).ok()).map(ExprId) {
        let Some(Reference::Variable(name)) = checked.reference(id) else { continue };
        if !matches!(checked.type_of(id), Type::Type(_)) {
            continue;
        }
        let Some(named) = wellknown::named(name).filter(|named| named.is_value) else {
            return Err(checked.ast.refuse(id, explain::type_in_variable(name)));
        };
        if let Some(slot) = checked.references.get_mut(id.index()) {
            *slot = Some(Reference::Type(named.of));
        }
    }
    Ok(())
}

struct Checker<'e> {
    environment: &'e Environment,
    ast: Ast,
    types: Vec<Type>,
    references: Vec<Option<Reference>>,
    unifier: Unifier,
    /// The variables of comprehensions around the present expression, inner ones last.
    scopes: Vec<(Name, Type)>,
}

type Judged<T = Type> = Result<T, CompileError>;

impl Checker<'_> {
    fn check(&mut self, id: ExprId) -> Judged {
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

    fn refer(&mut self, id: ExprId, reference: Reference) {
        if let Some(slot) = self.references.get_mut(id.index()) {
            *slot = Some(reference);
        }
    }

    fn replace(&mut self, id: ExprId, with: Expr) {
        if let Some(node) = self.ast.nodes.get_mut(id.index()) {
            *node = with;
        }
    }

    /// What a name stands for: a comprehension's variable, a declared one, a type, a constant.
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

    fn check_ident(&mut self, id: ExprId) -> Judged {
        let Expr::Ident(name) = self.ast.get(id) else { return Ok(Type::Dyn) };
        let name = Name::clone(name);
        let Some((of, reference)) = self.look_up(&name) else {
            return Err(self.undeclared(id, &name));
        };
        Ok(self.resolve_ident(id, of, reference))
    }

    /// Turns a node into the name it stands for.
    fn resolve_ident(&mut self, id: ExprId, of: Type, reference: Reference) -> Type {
        if let Reference::Variable(name) = &reference {
            self.replace(id, Expr::Ident(Name::clone(name)));
        }
        self.refer(id, reference);
        of
    }

    fn check_select(&mut self, id: ExprId) -> Judged {
        if let Some((of, reference)) = self.qualified_name(id).and_then(|name| self.look_up(&name))
        {
            return Ok(self.resolve_ident(id, of, reference));
        }
        let Expr::Select { operand, field, test_only } = self.ast.get(id) else {
            return Ok(Type::Dyn);
        };
        let (operand, field, test_only) = (*operand, Name::clone(field), *test_only);
        let of = self.check_field(id, operand, &field, false)?;
        if test_only {
            return Ok(Type::Bool);
        }
        Ok(self.unifier.resolve(&of))
    }

    /// `a.b.c` of names and selections only.
    fn qualified_name(&self, id: ExprId) -> Option<String> {
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

    /// The type of a field; of an optional's field it is optional.
    fn check_field(&mut self, id: ExprId, operand: ExprId, field: &Name, optional: bool) -> Judged {
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
        Ok(if was_optional || optional { Type::optional(field) } else { field })
    }

    fn check_call(&mut self, id: ExprId) -> Judged {
        let Expr::Call { function, target, args } = self.ast.get(id) else { return Ok(Type::Dyn) };
        let (function, target, args) = (Name::clone(function), *target, args.clone());
        if let (operators::OPT_SELECT, [operand, field]) = (&*function, args.as_slice()) {
            return self.check_optional_select(id, *operand, *field);
        }
        let arg_types =
            args.iter().map(|arg| self.check(*arg)).collect::<Result<Vec<Type>, _>>()?;
        let Some(target) = target else {
            let name = function.strip_prefix('.').map_or(Name::clone(&function), Name::from);
            let Some(overloads) = self.environment.function(&name) else {
                return Err(self.unknown_function(id, &name, None));
            };
            if name != function {
                self.replace(
                    id,
                    Expr::Call { function: Name::clone(&name), target: None, args: args.clone() },
                );
            }
            return self.resolve_overload(id, &name, overloads, arg_types, false);
        };
        if let Some(prefix) = self.qualified_name(target) {
            let name = format!("{}.{function}", prefix.strip_prefix('.').unwrap_or(&prefix));
            if let Some(overloads) = self.environment.function(&name) {
                let name = Name::from(name);
                self.replace(id, Expr::Call { function: Name::clone(&name), target: None, args });
                return self.resolve_overload(id, &name, overloads, arg_types, false);
            }
        }
        let Some(overloads) = self.environment.function(&function) else {
            return Err(self.unknown_function(id, &function, Some(target)));
        };
        let mut types = vec![self.check(target)?];
        types.extend(arg_types);
        self.resolve_overload(id, &function, overloads, types, true)
    }

    /// `operand.?field`.
    fn check_optional_select(&mut self, id: ExprId, operand: ExprId, field: ExprId) -> Judged {
        let Expr::Literal(Literal::String(name)) = self.ast.get(field) else {
            return Ok(Type::Dyn);
        };
        let name = Name::clone(name);
        let of = self.check_field(id, operand, &name, true)?;
        self.check(field)?;
        self.refer(id, Reference::Overloads(vec!["select_optional_field"]));
        Ok(self.unifier.resolve(&of))
    }

    /// The result of a call, of the overloads that fit the arguments' types.
    fn resolve_overload(
        &mut self,
        id: ExprId,
        name: &Name,
        overloads: &[Overload],
        args: Vec<Type>,
        member: bool,
    ) -> Judged {
        if matches!(&**name, operators::AND | operators::OR) {
            return self.check_logical(id, name, overloads, &args);
        }
        let mut fitting = Vec::new();
        let mut result: Option<Type> = None;
        for overload in overloads.iter().filter(|overload| overload.member == member) {
            let mut fresh = Vec::new();
            let params: Vec<Type> =
                overload.params.iter().map(|param| self.instantiate(param, &mut fresh)).collect();
            if !self.unifier.all_assignable(&args, &params) {
                continue;
            }
            fitting.push(overload.id);
            let its = self.instantiate(&overload.result, &mut fresh);
            let its = self.unifier.resolve(&its);
            result = Some(match result {
                Some(before) if before.is_dyn() || super::unify::same(&before, &its) => before,
                Some(_) => Type::Dyn,
                None => its,
            });
        }
        let Some(result) = result else {
            let args: Vec<Type> = args.iter().map(|arg| self.unifier.settle(arg)).collect();
            return Err(self.no_overload(id, name, overloads, &args, member));
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
    ) -> Judged {
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

    /// The declared type with fresh variables for its type parameters.
    fn instantiate(&mut self, declared: &Type, fresh: &mut Vec<(&'static str, Type)>) -> Type {
        match declared {
            Type::Param(name) => match fresh.iter().find(|(its, _)| its == name) {
                Some((_, variable)) => variable.clone(),
                None => {
                    let variable = self.unifier.fresh();
                    fresh.push((name, variable.clone()));
                    variable
                }
            },
            Type::List(inner) => Type::list(self.instantiate(inner, fresh)),
            Type::Optional(inner) => Type::optional(self.instantiate(inner, fresh)),
            Type::Type(Some(inner)) => Type::type_of(self.instantiate(inner, fresh)),
            Type::Map(key, value) => {
                Type::map(self.instantiate(key, fresh), self.instantiate(value, fresh))
            }
            other => other.clone(),
        }
    }

    fn check_list(&mut self, id: ExprId) -> Judged {
        let Expr::List(elements) = self.ast.get(id) else { return Ok(Type::Dyn) };
        let elements = elements.clone();
        let mut joined = None;
        for element in elements {
            let mut of = self.check(element.value)?;
            if element.optional {
                of = self.unwrap_optional(element.value, of)?;
            }
            joined = Some(self.join(joined, of));
        }
        let element = joined.unwrap_or_else(|| self.unifier.fresh());
        Ok(Type::list(element))
    }

    fn check_map(&mut self, id: ExprId) -> Judged {
        let Expr::Map(entries) = self.ast.get(id) else { return Ok(Type::Dyn) };
        let entries = entries.clone();
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let key = self.check(entry.key)?;
            keys = Some(self.join(keys, key));
            let mut value = self.check(entry.value)?;
            if entry.optional {
                value = self.unwrap_optional(entry.value, value)?;
            }
            values = Some(self.join(values, value));
        }
        let key = keys.unwrap_or_else(|| self.unifier.fresh());
        let value = values.unwrap_or_else(|| self.unifier.fresh());
        Ok(Type::map(key, value))
    }

    /// The type of an optional's value, for what stands behind a `?`. The API server breaks down over one that is known to be
    /// optional at run time only (`dyn`).
    fn unwrap_optional(&self, id: ExprId, of: Type) -> Judged {
        match of {
            Type::Optional(inner) => Ok(Type::clone(&inner)),
            other => Err(self.ast.refuse(id, explain::not_optional(&other))),
        }
    }

    /// The type of what holds both: `dyn` if they do not fit.
    fn join(&mut self, before: Option<Type>, of: Type) -> Type {
        match before {
            None => of,
            Some(before) if self.unifier.assignable(&before, &of) => most_general(&before, &of).clone(),
            Some(_) => Type::Dyn,
        }
    }

    fn check_struct(&mut self, id: ExprId) -> Judged {
        let Expr::Struct { name, fields } = self.ast.get(id) else { return Ok(Type::Dyn) };
        let (name, fields) = (Name::from(name.strip_prefix('.').unwrap_or(name)), fields.clone());
        let message = match self.environment.object(&name) {
            Some(object) => wellknown::Message {
                of: Type::Object(Name::clone(&name)),
                fields: object.fields.clone(),
            },
            None => wellknown::message(&name)
                .ok_or_else(|| self.ast.refuse(id, explain::no_such_type(&name)))?,
        };
        for field in &fields {
            let value = self.check(field.value)?;
            let Some((_, wanted)) = message.fields.iter().find(|(its, _)| *its == field.name)
            else {
                return Err(self.ast.refuse(
                    field.value,
                    explain::no_such_struct_field(&name, &field.name, &message),
                ));
            };
            let value =
                if field.optional { self.unwrap_optional(field.value, value)? } else { value };
            if !self.unifier.assignable(wanted, &value) {
                let value = self.unifier.settle(&value);
                return Err(self
                    .ast
                    .refuse(field.value, explain::wrong_field_type(&field.name, wanted, &value)));
            }
        }
        self.replace(id, Expr::Struct { name, fields });
        Ok(message.of)
    }

    fn check_comprehension(&mut self, fold: &Comprehension) -> Judged {
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

    fn assert(&mut self, id: ExprId, wanted: &Type, of: &Type) -> Judged<()> {
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
