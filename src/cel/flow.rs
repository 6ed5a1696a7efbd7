//! Data flow of an expression: the parts of `object` that it
//! reads, and the names in it that no object of the schema has.
//!
//! A value is tracked as long as it is a part of the object: through selections, indices, optionals, ternaries, the
//! variables of macros, and literals of lists and maps that contain it. Any other use counts as reading all of it.

use std::collections::BTreeSet;

use super::ast::{Comprehension, Expr, ExprId, Literal, Name};
use super::checked::Checked;
use super::macros::UNUSED;
use super::operators;
use super::reads::{End, ObjectReads, Path, PathStep};
use super::schema::Schema;
use super::source::LineColumn;
use super::stack::deeper;

/// A value that may come from more places than these counts as the whole object.
const MAX_PLACES: usize = 64;
const OBJECT: &str = "object";
const VARIABLES: &str = "variables";

/// The result of analyzing an expression.
#[derive(Clone, Debug, Default)]
pub struct ReadAnalysis {
    /// Fields that no object of the schema has.
    pub warnings: Vec<Warning>,
    /// The parts of the object that are read to compute the value.
    reads: ObjectReads,
    value: Origin,
    /// The policy's variables that the expression reads; their reads are among its own.
    taken: BTreeSet<Name>,
}

/// A field that no object of the schema has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub place: LineColumn,
    pub message: String,
}

impl ReadAnalysis {
    /// The parts of the object that the expression reads, including its value.
    pub fn reads(&self) -> ObjectReads {
        let mut reads = self.reads.clone();
        self.value.read_whole(&mut reads);
        reads
    }
}

/// Analyzes a checked expression. `variables` are the policy's variables before it, each with its own analysis.
pub fn analyze(
    checked: &Checked,
    variables: &[(Name, ReadAnalysis)],
    schema: Option<&Schema>,
) -> ReadAnalysis {
    let mut flow =
        Flow { checked, variables, schema, scopes: Vec::new(), found: ReadAnalysis::default() };
    let value = flow.value(checked.ast().root());
    ReadAnalysis { value, ..flow.found }
}

/// The possible sources of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Origin {
    /// Paths in the object that the value may come from.
    places: BTreeSet<Vec<PathStep>>,
    /// The sources of its elements or entries, if the expression constructs the value.
    each: Option<Box<Origin>>,
}

impl Origin {
    fn object() -> Self {
        Self { places: BTreeSet::from([Vec::new()]), each: None }
    }

    fn or(mut self, other: Self) -> Self {
        self.places.extend(other.places);
        if self.places.len() > MAX_PLACES {
            self.places = BTreeSet::from([Vec::new()]);
        }
        self.each = match (self.each, other.each) {
            (Some(one), Some(other)) => Some(Box::new(one.or(*other))),
            (one, other) => one.or(other),
        };
        self
    }

    /// A list or a map constructed of these values.
    fn holding(values: impl IntoIterator<Item = Self>) -> Self {
        let each = values.into_iter().reduce(Self::or).map(Box::new);
        Self { places: BTreeSet::new(), each }
    }

    /// The sources of the value one step below.
    fn step(&self, step: &PathStep) -> Self {
        let below = |place: &Vec<PathStep>| place.iter().chain([step]).cloned().collect();
        let places = self.places.iter().map(below).collect();
        let stepped = Self { places, each: None };
        match &self.each {
            Some(each) => stepped.or(Self::clone(each)),
            None => stepped,
        }
    }

    fn read(&self, end: End, reads: &mut ObjectReads) {
        for place in &self.places {
            reads.add(Path { steps: place.clone(), end });
        }
    }

    fn read_whole(&self, reads: &mut ObjectReads) {
        self.read(End::Whole, reads);
        if let Some(each) = &self.each {
            each.read_whole(reads);
        }
    }
}

struct Flow<'a> {
    checked: &'a Checked,
    variables: &'a [(Name, ReadAnalysis)],
    schema: Option<&'a Schema>,
    scopes: Vec<(Name, Origin)>,
    found: ReadAnalysis,
}

impl Flow<'_> {
    /// Evaluates a part whose whole value is read.
    fn used(&mut self, id: ExprId) {
        let value = self.value(id);
        value.read_whole(&mut self.found.reads);
    }

    fn value(&mut self, id: ExprId) -> Origin {
        deeper(|| self.value_here(id))
    }

    fn value_here(&mut self, id: ExprId) -> Origin {
        match self.checked.get(id) {
            Expr::Literal(_) => Origin::default(),
            Expr::Ident(name) => self.ident(name),
            Expr::Select { operand, field, test_only } => {
                self.select(id, *operand, field, *test_only)
            }
            Expr::Call { function, target, args } => self.call(id, function, *target, args),
            Expr::List(elements) => {
                let values: Vec<Origin> =
                    elements.iter().map(|element| self.value(element.value)).collect();
                Origin::holding(values)
            }
            Expr::Map(entries) => {
                for entry in entries {
                    self.used(entry.key);
                }
                let values: Vec<Origin> =
                    entries.iter().map(|entry| self.value(entry.value)).collect();
                Origin::holding(values)
            }
            Expr::Struct { fields, .. } => {
                for field in fields {
                    self.used(field.value);
                }
                Origin::default()
            }
            Expr::Comprehension(fold) => self.fold(fold),
        }
    }

    fn local(&self, name: &str) -> Option<&Origin> {
        self.scopes.iter().rev().find(|(its, _)| &**its == name).map(|(_, origin)| origin)
    }

    fn ident(&self, name: &str) -> Origin {
        match (self.local(name), name) {
            (Some(origin), _) => origin.clone(),
            // An expression that uses `variables` as one value may read all that the variables read.
            (None, OBJECT | VARIABLES) => Origin::object(),
            (None, _) => Origin::default(),
        }
    }

    fn select(&mut self, id: ExprId, operand: ExprId, field: &Name, test_only: bool) -> Origin {
        let is_variable = matches!(self.checked.get(operand), Expr::Ident(name) if &**name == VARIABLES)
            && self.local(VARIABLES).is_none();
        if is_variable {
            let found =
                self.variables.iter().find(|(name, _)| name == field).map(|(_, analysis)| analysis);
            let Some(analysis) = found else { return Origin::object() };
            if self.found.taken.insert(Name::clone(field)) {
                self.found.reads.add_all(&analysis.reads);
            }
            return if test_only { Origin::default() } else { analysis.value.clone() };
        }
        let value = self.value(operand);
        let below = self.step(id, &value, &PathStep::Field(Name::clone(field)));
        if test_only { Origin::default() } else { below }
    }

    /// A step down: reads whether the value below exists, and warns if no object of the schema has it.
    fn step(&mut self, id: ExprId, value: &Origin, step: &PathStep) -> Origin {
        let below = value.step(step);
        below.read(End::Presence, &mut self.found.reads);
        self.warn(id, &below);
        below
    }

    fn warn(&mut self, id: ExprId, value: &Origin) {
        let Some(schema) = self.schema else { return };
        if value.each.is_some() {
            return;
        }
        let faults: Option<Vec<String>> =
            value.places.iter().map(|place| schema.fault(place)).collect();
        let Some(message) = faults.and_then(|faults| faults.into_iter().next()) else { return };
        let warning = Warning { place: self.checked.ast().place(id), message };
        if !self.found.warnings.contains(&warning) {
            self.found.warnings.push(warning);
        }
    }

    fn call(
        &mut self,
        id: ExprId,
        function: &str,
        target: Option<ExprId>,
        args: &[ExprId],
    ) -> Origin {
        match (function, target, args) {
            (
                operators::OPT_SELECT | operators::INDEX | operators::OPT_INDEX,
                None,
                [operand, key],
            ) => {
                let value = self.value(*operand);
                let step = if let Expr::Literal(Literal::String(name)) = self.checked.get(*key) {
                    PathStep::Field(Name::clone(name))
                } else {
                    self.used(*key);
                    PathStep::Each
                };
                self.step(id, &value, &step)
            }
            (operators::IN, None, [key, range])
                if let Expr::Literal(Literal::String(name)) = self.checked.get(*key) =>
            {
                let value = self.value(*range);
                let below = value.step(&PathStep::Field(Name::clone(name)));
                below.read(End::Presence, &mut self.found.reads);
                if let Some(each) = &value.each {
                    each.read_whole(&mut self.found.reads);
                }
                Origin::default()
            }
            (operators::CONDITIONAL, None, [condition, yes, no]) => {
                self.used(*condition);
                self.value(*yes).or(self.value(*no))
            }
            ("or" | "orValue", Some(target), [other]) => self.value(target).or(self.value(*other)),
            ("value", Some(inner), []) => self.value(inner),
            ("optional.of" | "dyn", None, [inner]) => self.value(*inner),
            ("hasValue", Some(target), []) => {
                self.value(target).read(End::Presence, &mut self.found.reads);
                Origin::default()
            }
            ("first" | "last", Some(target), []) => {
                let value = self.value(target);
                value.read(End::Keys, &mut self.found.reads);
                value.step(&PathStep::Each)
            }
            ("size", target, args) if target.is_some() != (args.len() == 1) => {
                if let Some(of) = target.or(args.first().copied()) {
                    self.value(of).read(End::Keys, &mut self.found.reads);
                }
                Origin::default()
            }
            (operators::ADD, None, [left, right]) => {
                let (left, right) = (self.value(*left), self.value(*right));
                let each = [left, right].map(|side| {
                    side.read(End::Whole, &mut self.found.reads);
                    side.step(&PathStep::Each)
                });
                Origin::holding(each)
            }
            (operators::MAP_INSERT, None, [map, key, value]) => {
                self.used(*key);
                let map = self.value(*map);
                let value = self.value(*value);
                map.or(Origin::holding([value]))
            }
            (operators::MAP_INSERT, None, [map, entry]) => {
                let (map, entry) = (self.value(*map), self.value(*entry));
                entry.read(End::Whole, &mut self.found.reads);
                map.or(entry)
            }
            _ => {
                target.iter().chain(args).for_each(|part| self.used(*part));
                Origin::default()
            }
        }
    }

    fn fold(&mut self, fold: &Comprehension) -> Origin {
        let range = self.value(fold.range);
        let init = self.value(fold.init);
        let outside = self.scopes.len();
        self.scopes.push((Name::clone(&fold.accumulator), init.clone()));
        // A fold over an empty list only binds its accumulator to a value.
        if &*fold.iter_var == UNUSED {
            let result = self.value(fold.result);
            self.scopes.truncate(outside);
            return result;
        }
        range.read(End::Keys, &mut self.found.reads);
        let each = range.step(&PathStep::Each);
        // With one variable it is an element of a list, or a key of a map, which counts as read already.
        let first = if fold.iter_var2.is_some() { Origin::default() } else { each.clone() };
        self.scopes.push((Name::clone(&fold.iter_var), first));
        if let Some(name) = &fold.iter_var2 {
            self.scopes.push((Name::clone(name), each));
        }
        self.used(fold.condition);
        let step = self.value(fold.step);
        self.scopes.truncate(outside);
        self.scopes.push((Name::clone(&fold.accumulator), init.or(step)));
        let result = self.value(fold.result);
        self.scopes.truncate(outside);
        result
    }
}

#[cfg(test)]
mod tests;
