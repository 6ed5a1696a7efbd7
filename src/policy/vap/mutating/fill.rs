//! The absent fields that policies fill in, one policy after another.
//!
//! `variables.filled` lists the containers: `at` is the path, and `add` lists what is added: `f` the field, `v` its
//! value, and `p` the label of the policy.

use super::super::entry::Entry;
use super::super::exempt::Exemptions;
use super::super::expression::{any, text};
use super::super::form::CelFix;
use super::super::pods::{Variable, variable};
use super::covers::covers;
use super::mark::escaped;

/// `canonical` is whether containers have their image in canonical form.
pub fn variables(
    fixes: &[(Entry<'_>, CelFix)],
    canonical: bool,
    exemptions: &Exemptions<'_>,
) -> Vec<Variable> {
    let (image, same_image) = if canonical {
        (
            ", 'im': dyn(variables.retagged.filter(y, y.at == x.at + 'image').map(y, y.im)[?0].orValue(x.im))",
            ", 'im': x.im",
        )
    } else {
        ("", "")
    };
    let record = |image: &str, added: &str| {
        format!(
            "{{'at': x.at, 'role': x.role, 'n': x.n, 'c': x.c, 'sc': x.sc{image}, 'add': dyn({added})}}"
        )
    };
    let mut all = vec![variable(
        "fill0",
        format!("variables.cs[0].filter(x, x.role != 'ephemeral').map(x, {})", record(image, "[]")),
    )];
    let mut rest = fixes;
    while let Some((first, _)) = rest.first() {
        let own = rest.iter().take_while(|(it, _)| it.index == first.index).count();
        let (own, others) = rest.split_at_checked(own).unwrap_or_default();
        rest = others;
        let items = items(own, exemptions);
        let number = all.len();
        all.push(variable(
            format!("fill{number}"),
            format!(
                "variables.pods.map(p, variables.fill{}.map(x, {}))[0]",
                number - 1,
                record(same_image, &format!("x.add + {}", items.join(" + ")))
            ),
        ));
    }
    all.push(variable("filled", format!("variables.fill{}", all.len() - 1)));
    all
}

/// The lists of what a policy's fixes add to the container `x`, each field once.
fn items(fixes: &[(Entry<'_>, CelFix)], exemptions: &Exemptions<'_>) -> Vec<String> {
    let mut fields: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for (entry, CelFix { field, when, value, beside }) in fixes {
        let mut conditions: Vec<_> = covers(entry.index, entry.policy).into_iter().collect();
        conditions.extend([is_absent(field), when.clone()]);
        conditions.extend(exemptions.cover(entry).map(|it| format!("!{it}")));
        let conditions = conditions.join(" && ");
        let beside = beside
            .as_ref()
            .map(|(field, value)| (field, value, format!("{conditions} && {}", is_absent(field))));
        for (field, value, conditions) in
            beside.into_iter().chain([(field, value, conditions.clone())])
        {
            match fields.iter_mut().find(|(known, ..)| known == field) {
                Some((.., any)) => any.push(conditions),
                None => fields.push((field, value, vec![conditions])),
            }
        }
    }
    let label = fixes.first().map(|(entry, _)| text(&escaped(&entry.policy.label)));
    let label = label.unwrap_or_default();
    let item = |(field, value, conditions): (&str, &str, Vec<String>)| {
        format!(
            "({} ? [{{'f': dyn('{field}'), 'v': dyn({value}), 'p': dyn({label})}}] : [])",
            any(&conditions)
        )
    };
    fields.into_iter().map(item).collect()
}

fn is_absent(field: &str) -> String {
    let at = field.replace('.', ".?");
    format!("!x.c.?{at}.hasValue() && !x.add.exists(y, y.f == '{field}')")
}
