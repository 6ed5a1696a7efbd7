//! The planner: compiles a checked expression to a [`Program`], as cel-go does
//! (`interpreter/planner.go`, `interpreter/decorators.go`). A chain of selections
//! becomes one attribute, constants are evaluated, and lists of constants become sets.

mod fold;

use super::ast::{self, Expr, ExprId, Literal, Name};
use super::checked::{Checked, Reference};
use super::cost;
use super::environment::Environment;
use super::error::Error;
use super::function::{self, Call as CallContext};
use super::list::List;
use super::map::Map;
use super::meter::Meter;
use super::operators;
use super::program::{
    Attribute, AttributeId, AttributeStep, Call, CallTarget, Element, Entry, Field, NodeId,
    OverloadCandidate, Program, ProgramNode, Root, Slot, StepKey,
};
use super::runtime_type::name_of;
use super::set::Set;
use super::source::CompileError;
use super::stack::deeper;
use super::standard;
use super::text::Str;
use super::types::Type;
use super::value::Value;

/// Finds the implementation of a library's overload by its id.
pub type Find<'f> = &'f dyn Fn(&str) -> Option<function::Overload>;

impl Program {
    /// Plans a checked expression.
    ///
    /// # Errors
    /// cel-go's planner refuses the expression: a constant cannot be converted, a pattern is not a regular expression,
    /// or a key has a type that keys cannot have.
    pub fn plan(
        checked: &Checked,
        environment: &Environment,
        find: Find<'_>,
    ) -> Result<Self, CompileError> {
        let mut planner = Planner {
            checked,
            environment,
            find,
            nodes: Vec::new(),
            attributes: Vec::new(),
            scope: Vec::new(),
            inits: Vec::new(),
        };
        let root = planner.plan(checked.ast().root())?;
        let Planner { nodes, attributes, inits, .. } = planner;
        let result_type = checked.result_type().clone();
        Ok(Self { nodes, attributes, root, inits, result_type })
    }
}

pub(super) struct Planner<'a> {
    pub(super) checked: &'a Checked,
    environment: &'a Environment,
    find: Find<'a>,
    pub(super) nodes: Vec<ProgramNode>,
    attributes: Vec<Attribute>,
    /// The variables of the enclosing comprehensions, the innermost last.
    scope: Vec<(Name, Slot)>,
    inits: Vec<Option<NodeId>>,
}

type Planned = Result<NodeId, CompileError>;

impl Planner<'_> {
    fn plan(&mut self, id: ExprId) -> Planned {
        deeper(|| self.plan_here(id))
    }

    fn plan_here(&mut self, id: ExprId) -> Planned {
        match self.checked.get(id) {
            Expr::Literal(literal) => Ok(self.node(ProgramNode::Constant(constant(literal)))),
            Expr::Ident(name) => Ok(self.ident(id, name)),
            Expr::Select { operand, field, test_only } => {
                self.select(id, *operand, field, *test_only)
            }
            Expr::Call { function, target, args } => self.call(id, function, *target, args),
            Expr::List(elements) => self.list(elements),
            Expr::Map(entries) => self.map(entries),
            Expr::Struct { name, fields } => self.structure(name, fields),
            Expr::Comprehension(fold) => self.fold(fold),
        }
    }

    pub(super) fn node(&mut self, node: ProgramNode) -> NodeId {
        self.nodes.push(node);
        NodeId(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn get(&self, id: NodeId) -> &ProgramNode {
        const NOTHING: &ProgramNode = &ProgramNode::Constant(Value::Null);
        self.nodes.get(id.0 as usize).unwrap_or(NOTHING)
    }

    fn constant(&self, id: NodeId) -> Option<&Value<'static>> {
        match self.get(id) {
            ProgramNode::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn attribute(&mut self, root: Root) -> AttributeId {
        self.attributes.push(Attribute { root, path: Vec::new() });
        AttributeId(u32::try_from(self.attributes.len() - 1).unwrap_or(u32::MAX))
    }

    fn ident(&mut self, id: ExprId, name: &Name) -> NodeId {
        let name = match self.checked.reference(id) {
            Some(Reference::Constant(number)) => {
                return self.node(ProgramNode::Constant(Value::Int(*number)));
            }
            Some(Reference::Type(of)) => {
                return self.node(ProgramNode::Constant(Value::Type(name_of(of))));
            }
            Some(Reference::Variable(name)) => name,
            _ => name,
        };
        let local = self.scope.iter().rev().find(|(its, _)| its == name).map(|(_, slot)| *slot);
        let root = match (local, &**name) {
            (Some(slot), _) => Root::Local(slot),
            (None, "object") => Root::Object,
            (None, "namespaceObject") => Root::Namespace,
            (None, "variables") => Root::Variables,
            (None, other) => {
                let error = Error::invalid(format!("there is no variable {other}"));
                return self.node(ProgramNode::Fails(error));
            }
        };
        let attribute = self.attribute(root);
        self.node(ProgramNode::Attribute(attribute))
    }

    /// The operand as an attribute that steps can be added to: the node that evaluates it, and the attribute.
    fn as_attribute(&mut self, operand: NodeId) -> (NodeId, AttributeId) {
        match self.get(operand) {
            ProgramNode::Attribute(attribute) | ProgramNode::Present(attribute) => {
                (operand, *attribute)
            }
            _ => {
                let attribute = self.attribute(Root::Computed(operand));
                (self.node(ProgramNode::Attribute(attribute)), attribute)
            }
        }
    }

    fn add_step(&mut self, attribute: AttributeId, step: AttributeStep) {
        let Some(its) = self.attributes.get_mut(attribute.0 as usize) else { return };
        if let Root::Choice { holds, fails, .. } = its.root {
            self.add_step(holds, step.clone());
            self.add_step(fails, step);
        } else {
            its.path.push(step);
        }
    }

    fn select(&mut self, id: ExprId, operand: ExprId, field: &Name, tests: bool) -> Planned {
        // A qualified name.
        if self.checked.reference(id).is_some() {
            return Ok(self.ident(id, field));
        }
        let operand = self.plan(operand)?;
        let (node, attribute) = self.as_attribute(operand);
        let key = StepKey::Constant(Value::String(Str::Shared(field.clone())));
        self.add_step(attribute, AttributeStep { key, optional: false, tests });
        Ok(if tests { self.node(ProgramNode::Present(attribute)) } else { node })
    }

    fn index(&mut self, id: ExprId, operand: NodeId, key: NodeId, optional: bool) -> Planned {
        let key = match self.get(key) {
            ProgramNode::Constant(
                value @ (Value::String(_)
                | Value::Int(_)
                | Value::Uint(_)
                | Value::Double(_)
                | Value::Bool(_)),
            ) => StepKey::Constant(value.clone()),
            ProgramNode::Constant(other) => {
                let message =
                    format!("a value of type {} cannot be a key or an index", other.type_name());
                return Err(self.refuse(id, message));
            }
            ProgramNode::Attribute(attribute) | ProgramNode::Present(attribute) => {
                StepKey::Attribute(*attribute)
            }
            _ => StepKey::Computed(key),
        };
        let (node, attribute) = self.as_attribute(operand);
        self.add_step(attribute, AttributeStep { key, optional, tests: false });
        Ok(node)
    }

    pub(super) fn refuse(&self, id: ExprId, message: impl Into<String>) -> CompileError {
        self.checked.ast().refuse(id, message)
    }

    fn call(
        &mut self,
        id: ExprId,
        function: &Name,
        target: Option<ExprId>,
        args: &[ExprId],
    ) -> Planned {
        let args: Vec<NodeId> =
            target.iter().chain(args).map(|arg| self.plan(*arg)).collect::<Result<_, _>>()?;
        let settled = match self.checked.reference(id) {
            Some(Reference::Overloads(ids)) if ids.len() == 1 => ids.first().copied(),
            _ => None,
        };
        match (&**function, args.as_slice()) {
            (operators::AND, [left, right]) => Ok(self.node(ProgramNode::And(*left, *right))),
            (operators::OR, [left, right]) => Ok(self.node(ProgramNode::Or(*left, *right))),
            (operators::CONDITIONAL, [condition, holds, fails]) => {
                Ok(self.choice(*condition, *holds, *fails))
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                let negated = &**function == operators::NOT_EQUALS;
                Ok(self.node(ProgramNode::Equals { left: *left, right: *right, negated }))
            }
            (operators::INDEX, [operand, key]) => self.index(id, *operand, *key, false),
            (operators::OPT_INDEX | operators::OPT_SELECT, [operand, key]) => {
                self.index(id, *operand, *key, true)
            }
            ("or" | "orValue", [left, right]) => {
                let gives_value = &**function == "orValue";
                Ok(self.node(ProgramNode::OptionalOr { left: *left, right: *right, gives_value }))
            }
            (operators::IN, [item, list]) if settled == Some("in_list") => {
                match self.constant(*list) {
                    Some(Value::List(list)) if list.is_empty() => {
                        Ok(self.node(ProgramNode::Constant(Value::Bool(false))))
                    }
                    Some(Value::List(list)) if let Some(set) = Set::of(list) => {
                        Ok(self.node(ProgramNode::InSet { item: *item, set }))
                    }
                    _ => self.function(id, function, settled, args),
                }
            }
            _ => self.function(id, function, settled, args),
        }
    }

    fn choice(&mut self, condition: NodeId, holds: NodeId, fails: NodeId) -> NodeId {
        let mut branch = |node| match self.get(node) {
            ProgramNode::Attribute(attribute) | ProgramNode::Present(attribute) => *attribute,
            _ => self.attribute(Root::Computed(node)),
        };
        let (holds, fails) = (branch(holds), branch(fails));
        let attribute = self.attribute(Root::Choice { condition, holds, fails });
        self.node(ProgramNode::Attribute(attribute))
    }

    /// A call of a function without a node of its own.
    fn function(
        &mut self,
        id: ExprId,
        function: &Name,
        settled: Option<&'static str>,
        args: Vec<NodeId>,
    ) -> Planned {
        let (target, cost) = match standard::find(function) {
            Some(implementation) => {
                let params = self.guard(function, settled);
                (CallTarget::Standard { implementation, params }, cost::of_standard(settled))
            }
            None => {
                (CallTarget::Overloads(self.candidates(function, settled, args.len())), cost::ONE)
            }
        };
        let constants: Vec<Option<&Value<'static>>> =
            args.iter().map(|arg| self.constant(*arg)).collect();
        if let (CallTarget::Standard { implementation, .. }, [Some(constant)]) =
            (&target, &constants[..])
            && standard::is_conversion(function)
        {
            let mut meter = Meter::default();
            let mut context = CallContext { meter: &mut meter, prepared: None };
            let converted = implementation(&mut context, std::slice::from_ref(*constant));
            let converted = converted.map_err(|error| self.refuse(id, error.to_string()))?;
            return Ok(self.node(ProgramNode::Constant(converted)));
        }
        let mut prepared = None;
        if let CallTarget::Overloads(candidates) = &target
            && let Some(prepare) = candidates.iter().find_map(|it| it.overload.prepare)
        {
            prepared = prepare(&constants).map_err(|error| self.refuse(id, error.to_string()))?;
        }
        let by_overload = match &target {
            CallTarget::Standard { .. } => function.starts_with("get"),
            // All overloads of `sortBy` have one implementation.
            CallTarget::Overloads(_) => &**function != operators::SORT_BY_KEYS,
        };
        let call = Call {
            function: function.clone(),
            // cel-go evaluates the arguments of `format` as those of a call with many arguments.
            stops_at_errors: args.len() > 2
                || &**function == "format"
                || prepared.is_some()
                || (args.len() == 2 && settled.is_none() && by_overload),
            takes_errors: &**function == operators::NOT_STRICTLY_FALSE,
            target,
            args,
            cost,
            prepared,
        };
        Ok(self.node(ProgramNode::Call(call)))
    }

    /// The parameter types of the resolved overload, if cel-go has a separate
    /// implementation of each of the function's overloads; else none.
    fn guard(&self, function: &str, settled: Option<&'static str>) -> Vec<Type> {
        let own = function.starts_with("get")
            || (standard::is_conversion(function) && !matches!(function, "type" | "dyn"));
        let declared = self.environment.function(function).unwrap_or_default();
        let overload = declared.iter().find(|it| settled == Some(it.id)).filter(|_| own);
        overload.map_or_else(Vec::new, |it| it.params.clone())
    }

    fn candidates(
        &self,
        function: &str,
        settled: Option<&'static str>,
        arity: usize,
    ) -> Vec<OverloadCandidate> {
        let declared = self.environment.function(function).unwrap_or_default();
        declared
            .iter()
            .filter(|it| settled.is_none_or(|id| id == it.id) && it.params.len() == arity)
            .filter_map(|it| {
                let overload = (self.find)(it.id)?;
                let cost = match settled {
                    Some(_) => overload.cost,
                    None => cost::of_unsettled(function, &overload),
                };
                // In cel-go `flatten` checks the types of its arguments itself (`DisableTypeGuards`).
                let params = match function {
                    "flatten" => vec![Type::Dyn; arity],
                    // All overloads of these have one implementation, which also takes lists of other types.
                    "sort" | operators::SORT_BY_KEYS if settled.is_some() => {
                        vec![Type::list(Type::Dyn); arity]
                    }
                    _ => it.params.clone(),
                };
                Some(OverloadCandidate { overload, params, cost, settled: settled.is_some() })
            })
            .collect()
    }

    fn list(&mut self, elements: &[ast::Element]) -> Planned {
        let mut planned = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.plan(element.value)?;
            planned.push(Element { value, optional: element.optional });
        }
        let constants: Option<Vec<Value<'static>>> =
            planned.iter().map(|it| self.constant(it.value).cloned()).collect();
        match constants {
            Some(values) if planned.iter().all(|it| !it.optional) => match List::new(values) {
                Ok(list) => Ok(self.node(ProgramNode::Constant(Value::List(list)))),
                Err(error) => Ok(self.node(ProgramNode::Fails(error))),
            },
            _ => Ok(self.node(ProgramNode::List(planned))),
        }
    }

    fn map(&mut self, entries: &[ast::Entry]) -> Planned {
        let mut planned = Vec::with_capacity(entries.len());
        for entry in entries {
            let (key, value) = (self.plan(entry.key)?, self.plan(entry.value)?);
            planned.push(Entry { key, value, optional: entry.optional });
        }
        let constants: Option<Vec<(Value<'static>, Value<'static>)>> = planned
            .iter()
            .map(|it| Some((self.constant(it.key)?.clone(), self.constant(it.value)?.clone())))
            .collect();
        let Some(values) = constants.filter(|_| planned.iter().all(|it| !it.optional)) else {
            return Ok(self.node(ProgramNode::Map(planned)));
        };
        // The API server panics on such a map when it compiles the expression.
        if let Some(at) = values.iter().position(|(key, _)| matches!(key, Value::Bytes(_))) {
            let key = entries.get(at).map_or(self.checked.ast().root(), |entry| entry.key);
            return Err(self.refuse(key, "bytes cannot be keys of a map; write a string"));
        }
        match Map::new(values) {
            Ok(map) => Ok(self.node(ProgramNode::Constant(Value::Map(map)))),
            Err(error) => Ok(self.node(ProgramNode::Fails(error))),
        }
    }

    fn structure(&mut self, name: &Name, fields: &[ast::StructField]) -> Planned {
        let mut planned = Vec::with_capacity(fields.len());
        for field in fields {
            let (name, value) = (field.name.clone(), self.plan(field.value)?);
            planned.push(Field { name, value, optional: field.optional });
        }
        Ok(self.node(ProgramNode::Struct { name: name.clone(), fields: planned }))
    }
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(it) => Value::Bool(*it),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::String(text) => Value::String(Str::Shared(text.clone())),
        Literal::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}
