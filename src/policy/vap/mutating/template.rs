//! Templates as the pods that will be created from them: with what policies add, as `judge_as_created` of
//! [`crate::policy::engine`] sees them.

use super::super::exempt::stamps;
use super::super::pods::{Variable, pod_in, variable};
use super::added::variables as mutations;
use crate::cel::rename::rename;
use crate::policy::compile::Policy;

/// The lists of a pod's spec whose elements policies change.
const LISTS: &str = "['initContainers', 'containers', 'volumes']";
/// The steps of the longest path that is added, below the element.
const DEPTH: usize = 3;

/// Variables that replace `variables.pods`: of a pod as it is, of a template with what these policies add. `old` is
/// whether the template before an update is looked at too. None if nothing can be added.
///
/// # Errors
/// An expression that cannot be renamed, which does not happen.
pub fn variables(policies: &[&Policy], old: bool) -> Result<Vec<Variable>, String> {
    let Some(mutations) = mutations(policies, stamps()) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    let sides = if old { &["new", "old"][..] } else { &["new"] };
    for side in sides {
        for it in &mutations {
            let expression = match it.name.as_str() {
                "pods" => {
                    format!("[{}]", pod_in(if *side == "new" { "object" } else { "oldObject" }))
                }
                _ => rename(&it.expression, |_| None, |name| Some(format!("{side}_{name}")))?,
            };
            all.push(variable(format!("{side}_{}", it.name), expression));
        }
        all.push(variable(format!("{side}_created"), created(side)));
    }
    let templates = if old {
        "request.operation == 'UPDATE' ? [variables.new_created, variables.old_created] : [variables.new_created]"
    } else {
        "[variables.new_created]"
    };
    all.push(variable(
        "pods",
        format!(
            "request.kind.kind == 'Pod' ? (request.operation == 'UPDATE' ? [dyn(object), dyn(oldObject)] : \
             [dyn(object)]) : {templates}"
        ),
    ));
    Ok(all)
}

/// The pod with what is added.
fn created(side: &str) -> String {
    let (pod, at) = (format!("variables.{side}_pods[0]"), format!("variables.{side}_at"));
    let added = format!(
        "variables.{side}_filled.filter(x, x.at == at).map(x, x.add)[?0].orValue([]) + \
         variables.{side}_retagged.filter(x, x.at.startsWith(at))\
         .map(x, {{'f': dyn(x.at.substring(size(at))), 'v': dyn(x.cur)}})"
    );
    let element = format!(
        "[{at} + 'spec.' + l + '[' + string(i) + '].'].map(at, [{added}].map(a, size(a) == 0 ? dyn(v0) : \
         [''].map(w0, {})[0])[0])[0]",
        merged(0)
    );
    format!(
        "variables.{side}_large[0] || size(variables.{side}_added) == 0 ? {pod} : \
         dyn({pod}.transformMap(f, part, f == 'spec' ? dyn(part.transformMap(l, list, l in {LISTS} && list != null ? \
         dyn(list.transformList(i, v0, {element})) : dyn(list))) : dyn(part)))"
    )
}

/// The map `vN` with those fields of the list `a` that begin with the text `wN`.
fn merged(depth: usize) -> String {
    let (map, start, key, below) =
        (format!("v{depth}"), format!("w{depth}"), format!("k{depth}"), depth + 1);
    let nested = if below < DEPTH {
        format!(
            "a.exists(y, y.f.startsWith({start} + {key} + '.')) ? [{start} + {key} + '.'].map(w{below}, \
             [{map}[?{key}].orValue(dyn({{}}))].map(v{below}, {})[0])[0] : ",
            merged(below)
        )
    } else {
        String::new()
    };
    format!(
        "dyn(({map}.map(k, k) + a.filter(y, y.f.startsWith({start})).map(y, y.f.substring(size({start})).split('.')[0]))\
         .distinct().transformMapEntry(j{depth}, {key}, {{{key}: {nested}\
         dyn(a.filter(y, y.f == {start} + {key}).map(y, y.v)[?0].orValue({map}[?{key}].orValue(null)))}}))"
    )
}
