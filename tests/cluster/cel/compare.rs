//! The differences between two answers, printed so that a person can reproduce them.

use std::fmt;

use crate::cel::judge::{ExpressionAnswer, Is, Outcome, Unit, UnitAnswer};

/// A difference between the judge and podgate.
#[derive(Clone, Debug)]
pub struct Difference {
    pub kind: Kind,
    pub expression: String,
    /// The index of the pod.
    pub pod: Option<usize>,
    pub judge: String,
    pub podgate: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only one of the two compiles it.
    Compiles,
    /// The types differ.
    Type,
    /// The results differ.
    Result,
    /// The costs differ.
    Cost,
    /// The results of the whole policy differ, though those of its validations agree.
    Together,
}

/// The numbers of compared and skipped items.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub expressions: usize,
    /// Expressions that both refuse.
    pub refused: usize,
    pub results: usize,
    pub errors: usize,
    /// Costs that do not vary between runs of the judge.
    pub costs: usize,
    /// Results that vary between runs of the judge.
    pub unstable: usize,
    /// Expressions with variables that podgate does not support, or on which the judge panics.
    pub left_out: usize,
}

/// The variables that podgate does not support by design, and refuses with that reason.
const LEFT_OUT: [&str; 4] = ["request", "oldObject", "params", "authorizer"];

pub fn compare(
    unit: &Unit,
    judge: &UnitAnswer,
    podgate: &UnitAnswer,
    tally: &mut Tally,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let pairs = judge.variables.iter().zip(&podgate.variables).zip(&unit.variables);
    for ((theirs, ours), variable) in pairs {
        let expression = format!("variables.{} = {}", variable.name, variable.expression);
        if left_out(&variable.expression, theirs, ours) {
            tally.left_out += 1;
            return differences;
        }
        differences.extend(verdict(&expression, theirs, ours, tally));
        // podgate refuses the policy for it.
        if !theirs.refused.is_empty() || !ours.refused.is_empty() {
            return differences;
        }
    }
    let mut outside = false;
    for ((theirs, ours), expression) in
        judge.validations.iter().zip(&podgate.validations).zip(&unit.validations)
    {
        if left_out(expression, theirs, ours) {
            tally.left_out += 1;
            outside = true;
            continue;
        }
        differences.extend(verdict(expression, theirs, ours, tally));
        for (pod, (theirs, ours)) in theirs.results.iter().zip(&ours.results).enumerate() {
            differences.extend(result(expression, pod, theirs, ours, tally));
        }
    }
    let stable = judge.validations.iter().flat_map(|it| &it.results).all(|it| !it.unstable);
    if differences.is_empty() && !outside && stable {
        differences.extend(together(unit, judge, podgate));
    }
    differences
}

fn left_out(expression: &str, theirs: &ExpressionAnswer, ours: &ExpressionAnswer) -> bool {
    let compiles = |answer: &ExpressionAnswer| answer.refused.is_empty() || !answer.of.is_empty();
    theirs.refused.contains("code panics")
        || compiles(theirs)
            && !compiles(ours)
            && LEFT_OUT.iter().any(|name| expression.contains(name))
}

fn verdict(
    expression: &str,
    theirs: &ExpressionAnswer,
    ours: &ExpressionAnswer,
    tally: &mut Tally,
) -> Option<Difference> {
    tally.expressions += 1;
    let describe = |answer: &ExpressionAnswer| {
        let refusal = answer.refused.lines().next().unwrap_or_default().to_owned();
        if refusal.is_empty() {
            format!("compiles: {}", answer.of)
        } else {
            format!("refused: {refusal}")
        }
    };
    let kind = if theirs.refused.is_empty() != ours.refused.is_empty()
        || theirs.of.is_empty() != ours.of.is_empty()
    {
        Kind::Compiles
    } else if theirs.of != ours.of {
        Kind::Type
    } else {
        tally.refused += usize::from(theirs.of.is_empty());
        return None;
    };
    let of = |answer| format!("{} ({})", describe(answer), answer.of);
    let (judge, podgate) = (of(theirs), of(ours));
    Some(Difference { kind, expression: expression.to_owned(), pod: None, judge, podgate })
}

fn result(
    expression: &str,
    pod: usize,
    theirs: &Outcome,
    ours: &Outcome,
    tally: &mut Tally,
) -> Option<Difference> {
    // A value above podgate's memory limit is undecided; the judge has no such limit.
    if theirs.unstable || ours.is == Is::Memory {
        tally.unstable += 1;
        return None;
    }
    tally.results += 1;
    tally.errors += usize::from(theirs.is != Is::Value);
    let same = theirs.is == ours.is
        && (theirs.is != Is::Value
            || theirs.text == ours.text
            || only_messages_differ(expression, theirs, ours));
    let kind = if !same {
        Kind::Result
    } else if theirs.unstable_cost {
        return None;
    } else if theirs.cost != ours.cost && !returns_messages(expression) {
        Kind::Cost
    } else {
        tally.costs += 1;
        return None;
    };
    let describe = |it: &Outcome| format!("{:?} {:.300} (cost {})", it.is, it.text, it.cost);
    let (judge, podgate) = (describe(theirs), describe(ours));
    Some(Difference { kind, expression: expression.to_owned(), pod: Some(pod), judge, podgate })
}

/// Named formats describe invalid texts in podgate's own words; only the number of messages must agree.
fn returns_messages(expression: &str) -> bool {
    expression.contains("validate(")
}

fn only_messages_differ(expression: &str, theirs: &Outcome, ours: &Outcome) -> bool {
    let messages = |it: &Outcome| it.text.split("\", \"").count();
    let is_list = |it: &Outcome| it.text.starts_with("optional([\"");
    returns_messages(expression)
        && is_list(theirs)
        && is_list(ours)
        && messages(theirs) == messages(ours)
}

fn together(unit: &Unit, judge: &UnitAnswer, podgate: &UnitAnswer) -> Option<Difference> {
    let unstable = |pod: usize| {
        let results = judge.validations.iter().filter_map(|it| it.results.get(pod));
        results.into_iter().any(|it| it.unstable_cost)
    };
    let pairs = judge.together.iter().zip(&podgate.together).enumerate();
    let mut differing = pairs.filter(|(pod, (theirs, ours))| !unstable(*pod) && theirs != ours);
    differing.next().map(|(pod, (theirs, ours))| Difference {
        kind: Kind::Together,
        expression: unit.validations.join("\n"),
        pod: Some(pod),
        judge: format!("{theirs:?}"),
        podgate: format!("{ours:?}"),
    })
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} expressions ({} refused by both, {} left out), {} results ({} of them errors), {} costs; {} results are not stable",
            self.expressions,
            self.refused,
            self.left_out,
            self.results,
            self.errors,
            self.costs,
            self.unstable
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, expression, judge, podgate, .. } = self;
        write!(f, "{kind:?}: {expression}\n  judge:   {judge}\n  podgate: {podgate}")
    }
}
