//! Random policies on random pods. They are built from a row of choices. Each choice is a number, taken modulo the
//! number of alternatives; after the end of the row the first and simplest alternative is chosen. So shrinking the row
//! (proptest does) shrinks the policy.

mod literals;
mod pods;
mod schema;
mod terms;

use serde_json::Value;

use crate::cel::judge::{Functions, Unit, Variable};
use terms::{Overload, Terms, Type};

/// The material of policies: the functions that the judge declares, and the pods of the corpus.
pub struct Generator {
    /// The overloads by the type of their result.
    overloads: Vec<Overload>,
    pods: Vec<Value>,
    namespaces: usize,
}

/// A policy and the pods to evaluate it on, before the API server has read them.
pub struct Case {
    pub unit: Unit,
    pub pods: Vec<Value>,
}

/// A row of choices.
pub struct Choices<'a> {
    row: &'a [u16],
    at: usize,
}

impl<'a> Choices<'a> {
    pub fn new(row: &'a [u16]) -> Self {
        Self { row, at: 0 }
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        let choice = self.row.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(choice) % count.max(1)
    }

    /// True once in this number of times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub fn of<'t, T: ?Sized>(&mut self, all: &'t [&'t T]) -> &'t T {
        all[self.below(all.len())]
    }
}

impl Generator {
    pub fn new(functions: &Functions, pods: Vec<Value>, namespaces: usize) -> Self {
        let mut overloads = Vec::new();
        for (name, declared) in &functions.overloads {
            overloads.extend(declared.iter().filter_map(|it| Overload::of(name, it)));
        }
        Self { overloads, pods, namespaces }
    }

    pub fn case(&self, row: &[u16]) -> Case {
        let choices = &mut Choices::new(row);
        let pods = (0..3).map(|_| pods::pod(choices, &self.pods)).collect();
        let mut terms = Terms::new(choices, &self.overloads);
        let mut unit = Unit { runs: 3, values: true, ..Unit::default() };
        if terms.choices.once_in(4) {
            for name in ["v", "w", "size"].iter().take(1 + terms.choices.below(3)) {
                let of = terms.any_type();
                let expression = terms.expression(&of);
                unit.variables.push(Variable { name: (*name).to_owned(), expression });
                terms.declare(&format!("variables.{name}"), as_declared(of));
            }
        }
        if terms.choices.once_in(8) {
            unit.namespace = Some(terms.choices.below(self.namespaces));
            terms.declare_namespace();
        }
        let count = if unit.variables.is_empty() { 1 } else { 2 };
        for _ in 0..count {
            let of = if terms.choices.once_in(3) { terms.any_type() } else { Type::Bool };
            let expression = terms.expression(&of);
            unit.validations.push(mutated(terms.choices, expression));
        }
        Case { unit, pods }
    }
}

/// The type of a variable in other expressions: a type that only CEL has becomes `dyn`.
fn as_declared(of: Type) -> Type {
    match of {
        Type::List(element) => Type::List(Box::new(as_declared(*element))),
        Type::Map(key, value) => {
            Type::Map(Box::new(as_declared(*key)), Box::new(as_declared(*value)))
        }
        Type::Optional(_) | Type::Opaque(_) | Type::Meta => Type::Dyn,
        other => other,
    }
}

/// Sometimes changes, doubles or removes one or two characters.
fn mutated(choices: &mut Choices<'_>, expression: String) -> String {
    if !choices.once_in(24) {
        return expression;
    }
    let mut characters: Vec<char> = expression.chars().collect();
    for _ in 0..=choices.below(2) {
        let at = choices.below(characters.len());
        match choices.below(4) {
            0 => {
                characters.remove(at);
            }
            1 => characters.insert(at, characters[at]),
            2 => characters[at] = literals::character(choices),
            _ => characters.insert(at, literals::character(choices)),
        }
        if characters.is_empty() {
            break;
        }
    }
    characters.into_iter().collect()
}
