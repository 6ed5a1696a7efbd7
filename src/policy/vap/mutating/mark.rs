//! The annotation that lists what was added, as `mark` of [`crate::policy::mutation`] writes it.
//!
//! `variables.added` lists what is added now: `f` the field from the pod's root, `p` the label of the policy. Entries of
//! an earlier call are kept if they are written as podgate writes them: without white space and escapes, and not many.
//! An API server charges a sort by the square of the list, so that a list that cannot fit is only counted.

use std::collections::BTreeSet;

use super::super::expression::{text, texts};
use super::super::pods::{Variable, variable};
use crate::policy::compile::Policy;
use crate::policy::mutation::{MAX_VALUE, MUTATED_BY};

/// The most fields that fit: the shortest is `"spec.containers[0].image",`.
const MAX_FIELDS: usize = MAX_VALUE / 26;
/// The most quotes of an earlier annotation: of 450 labels and fields. Sorting them costs less than an expression may.
const MAX_QUOTES: usize = 900;

pub fn variables(policies: &[&Policy]) -> [Variable; 5] {
    const STRING: &str = r#""[^"\\\x00-\x1f]+""#;
    let entry = format!(r"{STRING}:\[{STRING}(?:,{STRING})*\]");
    let written = format!(r"^\{{{entry}(?:,{entry})*\}}$");
    let labels: BTreeSet<_> = policies.iter().map(|it| escaped(&it.label)).collect();
    let labels = texts(&labels.into_iter().collect::<Vec<_>>());
    let earlier = "variables.earlier.filter(e, e.p == l).map(e, e.f).flatten()";
    [
        variable(
            "added",
            "variables.retagged.map(x, {'p': dyn(x.by), 'f': dyn(x.at)}) + \
             variables.filled.map(x, x.add.map(y, {'p': dyn(y.p), 'f': dyn(x.at + y.f)})).flatten()",
        ),
        variable(
            "earlier",
            format!(
                "[string(dyn(object).metadata.?annotations[?{}].orValue(''))].map(t, size(t) <= {MAX_VALUE} && \
                 size(bytes(t)) <= {MAX_VALUE} && size(t.split('\"')) <= {MAX_QUOTES} && t.matches({}) ? \
                 t.substring(2, size(t) - 3).split('\"],\"').map(l, l.split('\":[\"', 2))\
                 .map(l, {{'p': dyn(l[0]), 'f': dyn(l[1].split('\",\"'))}}) : [])[0]",
                text(MUTATED_BY),
                text(&written)
            ),
        ),
        variable(
            "labels",
            format!(
                "[{labels}.filter(l, variables.added.exists(x, x.p == l))].map(own, {})[0]",
                unique("(own + variables.earlier.map(e, e.p).filter(l, !(l in own)))")
            ),
        ),
        variable(
            "marks",
            format!(
                "variables.labels.map(l, [variables.added.filter(x, x.p == l).map(x, x.f)].map(a, \
                 {{'l': dyn(l), 'a': dyn(a), 'e': dyn({})}})[0])",
                unique(&format!("{earlier}.filter(f, !(f in a))"))
            ),
        ),
        variable(
            "mark",
            format!(
                "(size(variables.added) > {MAX_FIELDS} ? [] : ['{{' + variables.marks.map(m, '\"' + m.l + '\":[\"' + \
                 (m.a + m.e).sort().join('\",\"') + '\"]').join(',') + '}}']).filter(t, size(bytes(t)) <= {MAX_VALUE})[?0]\
                 .orValue(['{{' + variables.marks.map(m, '\"' + m.l + '\":[\"' + string(size(m.a) + size(m.e)) + \
                 ' fields\"]').join(',') + '}}'].filter(t, size(bytes(t)) <= {MAX_VALUE})[?0]\
                 .orValue('{{\"' + string(size(variables.marks)) + ' policies\":[\"' + \
                 string(variables.marks.map(m, size(m.a) + size(m.e)).sum()) + ' fields\"]}}'))"
            ),
        ),
    ]
}

/// A list, sorted, each item once.
fn unique(list: &str) -> String {
    format!(
        "[{list}].map(all, size(all) == 0 ? [] : [all.sort()].map(s, s.transformList(i, it, i == 0 || s[i - 1] != it, it))[0])[0]"
    )
}

/// A policy's label as it stands in the annotation.
pub fn escaped(label: &str) -> String {
    let quoted = serde_json::Value::from(label).to_string();
    quoted.trim_start_matches('"').trim_end_matches('"').to_owned()
}
