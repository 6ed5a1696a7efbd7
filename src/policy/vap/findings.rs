//! The variables of a policy object: the violations of each policy, of the new pod and of the old one.

use std::borrow::Cow;
use std::fmt::Write;

use super::super::compile::Policy;
use super::super::object::{MAX_ITEMS, MAX_WEIGHT};
use super::super::text::clip as clip_text;
use super::before::{Compared, lasting};
use super::entry::Entry;
use super::exempt::Exemptions;
use super::expression::{clip, text};
use super::form::{CelFinding, Known};
use super::mutating::template;
use super::pods::{Needs, Variable, is_large, variable, variables as pod_variables};

/// The variables of the findings, and of what they read.
pub fn variables(
    entries: &[&Entry<'_>],
    own: &[Variable],
    compared: &Compared<'_>,
    mutating: &[&Policy],
) -> Vec<Variable> {
    let exemptions = Exemptions::of(entries);
    let reads = |name: &str| {
        let of =
            |it: &&Entry<'_>| it.finding.each.contains(name) || it.finding.broken.contains(name);
        entries.iter().any(of)
    };
    let needs = Needs {
        images: reads("p.img") || exemptions.read_images(),
        canonical: exemptions.read_images(),
        old_templates: compared.grace,
    };
    let mut all = pod_variables(needs);
    // It was renamed from expressions of our own.
    let created = template::variables(mutating, needs.old_templates).unwrap_or_default();
    if !created.is_empty() {
        all.retain(|it| it.name != "pods");
        all.splice(0..0, created);
    }
    all.extend(compared.variables());
    all.extend(exemptions.variables());
    all.extend(own.iter().map(|it| variable(it.name.clone(), it.expression.clone())));
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(first) = entries.get(at) {
        let rest = entries.get(at..).unwrap_or_default();
        let same = |it: &&&Entry<'_>| it.index == first.index && it.id == first.id;
        let together: Vec<_> = rest.iter().take_while(same).collect();
        let name = format!("f{}", names.len());
        let lists = together.iter().map(|it| list(it, &name, &exemptions, compared));
        let lists = lists.collect::<Vec<_>>().join(" + ");
        all.push(variable(name.clone(), format!("variables.ctx.map(p, {lists})")));
        at += together.len();
        names.push(name);
    }
    let of = |place: usize| {
        let each = names.iter().map(|name| format!("variables.{name}[{place}]"));
        each.collect::<Vec<_>>().join(" + ")
    };
    let large = too_large(entries, &exemptions, compared);
    let found =
        |place: usize| format!("variables.large[{place}] ? {}[{place}] : {}", large, of(place));
    all.push(is_large());
    all.push(variable("found", found(0)));
    all.extend(compared.after(&found(1)));
    all
}

/// The violations of every rule by a pod that podgate does not judge either: for each pod, a list.
fn too_large(
    entries: &[&Entry<'_>],
    exemptions: &Exemptions<'_>,
    compared: &Compared<'_>,
) -> String {
    let mut rules: Vec<(usize, &str)> = Vec::new();
    let mut lists = Vec::new();
    for entry in entries {
        if rules.contains(&(entry.index, entry.rule.id)) {
            continue;
        }
        rules.push((entry.index, entry.rule.id));
        let finding = CelFinding::of_pod("spec", "true")
            .because(
                text(""),
                text(&format!(
                    "could not be judged: it has more than {MAX_ITEMS} containers or volumes, or more than {MAX_WEIGHT} \
                     ports and capabilities"
                )),
            )
            .remedy("make it several pods");
        let Entry { index, policy, rule, severity, .. } = **entry;
        let severity = policy.worst_severity(rule).unwrap_or(severity);
        let whole = Entry { index, policy, rule, id: Cow::Borrowed(rule.id), severity, finding };
        lists.push(list(&whole, &format!("large{}", lists.len()), exemptions, compared));
    }
    format!("variables.ctx.map(p, {})", lists.join(" + "))
}

/// The list of an entry's violations in the pod `p`: maps of `k` (what tells it from others), `t` (its text) and, where
/// they are needed, `p` (the policy's label) and `g` (what stays the same when a template changes). Where only removals are
/// judged, the list of what a removal cannot cause is empty.
fn list(
    entry: &Entry<'_>,
    name: &str,
    exemptions: &Exemptions<'_>,
    compared: &Compared<'_>,
) -> String {
    let Entry { policy, id, severity, finding, .. } = entry;
    let CelFinding { each, broken, path, value, problem, remedy, container, .. } = finding;
    let container = match container {
        Known::Never => None,
        Known::Always | Known::IfNamed => Some("x.n"),
    };
    let exempt = exemptions.cover(entry);
    // The exemption comes first: what it lets pass may fail to evaluate.
    let broken =
        exempt.map_or_else(|| broken.clone(), |it| format!("(p.old || !{it}) && ({broken})"));
    let head = text(&format!("{id} ({severity}) · policy {}", clip_text(&policy.label)));
    let named = container
        .map(|name| format!(" + ({name} == '' ? '' : ' · container \"' + {} + '\"')", clip(name)));
    let separator =
        if path.is_empty() { "': '".to_owned() } else { format!("': ' + {path} + ' '") };
    let remedy = if remedy.is_empty() { String::new() } else { format!(" + '; ' + {remedy}") };
    let expired = exemptions.expired(entry);
    let place = if path.is_empty() { "''" } else { path };
    let mut fields = format!(
        "'k': '{name}' + '\\u0001' + {} + '\\u0001' + {place} + '\\u0001' + {value}, \
         't': {head}{} + {separator} + {problem}{remedy}{expired}",
        container.unwrap_or("''"),
        named.unwrap_or_default(),
    );
    if compared.by_policy() {
        let _ = write!(fields, ", 'p': {}", text(&policy.label));
    }
    if compared.grace {
        let _ = write!(fields, ", 'g': {}", lasting(finding, name, container.is_some()));
    }
    let list = format!("{each}.filter(x, {broken}).map(x, {{{fields}}})");
    if compared.removals_if.is_some() && !finding.by_removal {
        return format!("(variables.removalsOnly ? [] : {list})");
    }
    list
}
