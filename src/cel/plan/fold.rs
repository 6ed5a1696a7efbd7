//! Plans comprehensions. A step that only appends to the accumulator does so in place.

use super::super::ast;
use super::super::operators;
use super::super::program::{
    Attribute, AttributeId, Fold, FoldStep, Growth, NodeId, ProgramNode, Root, Slot,
};
use super::super::value::Value;
use super::{Planned, Planner};

impl Planner<'_> {
    fn slot(&mut self, init: Option<NodeId>) -> Slot {
        self.inits.push(init);
        self.inits.len() - 1
    }

    pub(super) fn fold(&mut self, fold: &ast::Comprehension) -> Planned {
        let init = self.plan(fold.init)?;
        let range = self.plan(fold.range)?;
        let (accumulator, first) = (self.slot(Some(init)), self.slot(None));
        let second = fold.iter_var2.as_ref().map(|name| (name.clone(), self.slot(None)));
        let outside = self.scope.len();
        // If variables have the same name, the accumulator hides the first variable, and the first hides the second.
        self.scope.extend(second.clone());
        self.scope.push((fold.iter_var.clone(), first));
        self.scope.push((fold.accumulator.clone(), accumulator));
        let condition = self.plan(fold.condition)?;
        let step = self.plan(fold.step)?;
        self.scope.truncate(outside);
        self.scope.push((fold.accumulator.clone(), accumulator));
        let result = self.plan(fold.result)?;
        self.scope.truncate(outside);
        let step = self.fold_step(step, accumulator, init);
        let second = second.map(|(_, slot)| slot);
        Ok(self.node(ProgramNode::Fold(Fold {
            range,
            first,
            second,
            accumulator,
            condition,
            step,
            result,
        })))
    }

    /// Recognizes a step that only appends to an accumulator that is empty at first. It may be a branch of a ternary
    /// whose other branch is the accumulator.
    fn fold_step(&self, step: NodeId, accumulator: Slot, init: NodeId) -> FoldStep {
        let grown = match self.get(step) {
            ProgramNode::Attribute(attribute) => {
                self.attributes.get(attribute.0 as usize).and_then(|it| {
                    let Root::Choice { condition, holds, fails } = it.root else { return None };
                    let Attribute { root: Root::Computed(call), path } =
                        self.attributes.get(holds.0 as usize)?
                    else {
                        return None;
                    };
                    let grows = path.is_empty() && self.is_local_attribute(fails, accumulator);
                    let by = self.growth(*call, accumulator, init).filter(|_| grows)?;
                    Some(FoldStep::Grow { condition: Some(condition), by })
                })
            }
            _ => self
                .growth(step, accumulator, init)
                .map(|by| FoldStep::Grow { condition: None, by }),
        };
        grown.unwrap_or(FoldStep::Value(step))
    }

    fn growth(&self, call: NodeId, accumulator: Slot, init: NodeId) -> Option<Growth> {
        let ProgramNode::Call(call) = self.get(call) else { return None };
        let (first, rest) = call.args.split_first()?;
        let ProgramNode::Attribute(first) = self.get(*first) else { return None };
        if !self.is_local_attribute(*first, accumulator) {
            return None;
        }
        match (&*call.function, rest, self.constant(init)?) {
            (operators::ADD, [items], Value::List(empty)) if empty.is_empty() => {
                Some(Growth::List(*items))
            }
            ("cel.@mapInsert", [key, value], Value::Map(empty)) if empty.is_empty() => {
                Some(Growth::Entry { key: *key, value: *value })
            }
            ("cel.@mapInsert", [entries], Value::Map(empty)) if empty.is_empty() => {
                Some(Growth::Entries(*entries))
            }
            _ => None,
        }
    }

    /// Whether an attribute is the comprehension's variable itself, without steps.
    fn is_local_attribute(&self, attribute: AttributeId, slot: Slot) -> bool {
        self.attributes.get(attribute.0 as usize).is_some_and(|it| {
            it.path.is_empty() && matches!(it.root, Root::Local(its) if its == slot)
        })
    }
}
