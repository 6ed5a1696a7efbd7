//! The annotation that lists what was added, as `mark` of [`crate::policy::mutation`] writes it.
//!
//! `variables.added` lists what is added now: `f` the field from the pod's root, `p` the label of the policy. Entries of
//! an earlier call are kept if they are written as podgate writes them: without white space and escapes.

use super::super::expression::text;
use super::super::pods::{Variable, variable};
use crate::policy::mutation::{MAX_VALUE, MUTATED_BY};

pub fn variables() -> [Variable; 5] {
    const STRING: &str = r#""[^"\\\x00-\x1f]+""#;
    let entry = format!(r"{STRING}:\[{STRING}(?:,{STRING})*\]");
    let written = format!(r"^\{{{entry}(?:,{entry})*\}}$");
    [
        variable(
            "added",
            "variables.retagged.map(x, {'p': dyn(x.by), 'f': dyn(x.at)}) + \
             variables.filled.map(x, x.add.map(y, {'p': dyn(y.p), 'f': dyn(x.at + y.f)})).flatten()",
        ),
        variable(
            "earlier",
            format!(
                "[string(dyn(object).metadata.?annotations[?{}].orValue(''))].map(t, \
                 size(t) <= {MAX_VALUE} && size(bytes(t)) <= {MAX_VALUE} && t.matches({}) ? \
                 t.substring(2, size(t) - 3).split('\"],\"').map(l, l.split('\":[\"', 2))\
                 .map(l, l[1].split('\",\"').map(f, {{'p': dyn(l[0]), 'f': dyn(f)}})).flatten() : [])[0]",
                text(MUTATED_BY),
                text(&written)
            ),
        ),
        variable("all", "variables.added + variables.earlier"),
        variable(
            "marks",
            "variables.all.map(x, x.p).distinct().sort().map(l, \
             {'l': dyn(l), 'f': dyn(variables.all.filter(x, x.p == l).map(x, x.f).distinct().sort())})",
        ),
        variable(
            "mark",
            format!(
                "['{{' + variables.marks.map(m, '\"' + m.l + '\":[\"' + m.f.join('\",\"') + '\"]').join(',') + '}}', \
                 '{{' + variables.marks.map(m, '\"' + m.l + '\":[\"' + string(size(m.f)) + ' fields\"]').join(',') + '}}']\
                 .filter(t, size(bytes(t)) <= {MAX_VALUE})[?0].orValue('{{\"' + string(size(variables.marks)) + \
                 ' policies\":[\"' + string(variables.marks.map(m, size(m.f)).sum()) + ' fields\"]}}')"
            ),
        ),
    ]
}

/// A policy's label as it stands in the annotation.
pub fn escaped(label: &str) -> String {
    let quoted = serde_json::Value::from(label).to_string();
    quoted.trim_start_matches('"').trim_end_matches('"').to_owned()
}
