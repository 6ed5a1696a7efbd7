//! The exemptions of policies, as conditions on the object and on what is judged.

use super::super::engine::told_end;
use super::super::exemption::CompiledExemption;
use super::super::glob;
use super::entry::Entry;
use super::expression::{any, globs, text, texts};
use super::form::Known;
use super::pods::{Variable, variable};

/// The exemptions that a policy object needs, each with the name of its variable.
pub struct Exemptions<'p> {
    used: Vec<(usize, usize, &'p CompiledExemption)>,
}

impl<'p> Exemptions<'p> {
    /// The exemptions that name one of the entries' rules or checks.
    pub fn of(entries: &[&Entry<'p>]) -> Self {
        let mut used: Vec<(usize, usize, &CompiledExemption)> = Vec::new();
        for entry in entries {
            for (place, exemption) in entry.policy.exemptions.iter().enumerate() {
                let known = used.iter().any(|it| (it.0, it.1) == (entry.index, place));
                if !known && names(exemption, entry) {
                    used.push((entry.index, place, exemption));
                }
            }
        }
        Self { used }
    }

    /// Whether one of them is about images.
    pub fn read_images(&self) -> bool {
        self.used.iter().any(|(.., it)| it.images().is_some())
    }

    /// The variables with what does not depend on the violation.
    pub fn variables(&self) -> Vec<Variable> {
        let mut all = Vec::new();
        let owned =
            |it: &CompiledExemption| it.exemption.kinds.is_some() || it.exemption.names.is_some();
        if self.used.iter().any(|(.., it)| owned(it)) {
            all.extend(identities());
        }
        for (policy, place, it) in &self.used {
            let conditions = of_object(it);
            if !conditions.is_empty() {
                all.push(variable(format!("exempt{policy}x{place}"), conditions.join(" && ")));
            }
        }
        all
    }

    /// Whether one of them covers the element `x`, and has not expired; `None` if none can.
    pub fn cover(&self, entry: &Entry<'_>) -> Option<String> {
        let covers = self.fitting(entry).map(|(exemption, mut conditions)| {
            if let Some(end) = exemption.expires_at {
                conditions.push(format!("!({})", is_over(&end.to_string())));
            }
            if conditions.is_empty() {
                "true".to_owned()
            } else {
                format!("({})", conditions.join(" && "))
            }
        });
        let covers: Vec<_> = covers.collect();
        (!covers.is_empty()).then(|| any(&covers))
    }

    /// The end of the text of a violation that was exempt until now: of several exemptions, the one that expired last.
    pub fn expired(&self, entry: &Entry<'_>) -> String {
        let mut ended: Vec<_> =
            self.fitting(entry).filter(|(exemption, _)| exemption.expires_at.is_some()).collect();
        ended.sort_by_key(|(exemption, _)| exemption.expires_at);
        if ended.is_empty() {
            return String::new();
        }
        let told = ended.into_iter().fold(text(""), |rest, (exemption, mut conditions)| {
            conditions.extend(exemption.expires_at.map(|end| is_over(&end.to_string())));
            format!(
                "({} ? {} : {rest})",
                conditions.join(" && "),
                text(&told_end(&exemption.exemption))
            )
        });
        format!(" + {told}")
    }

    /// The exemptions that may cover an entry, with their conditions on the object and on the element `x`.
    fn fitting<'s>(
        &'s self,
        entry: &'s Entry<'_>,
    ) -> impl Iterator<Item = (&'s CompiledExemption, Vec<String>)> + 's {
        let of =
            self.used.iter().filter(|(policy, _, it)| *policy == entry.index && names(it, entry));
        of.filter_map(|&(policy, place, exemption)| {
            let mut conditions = Vec::new();
            if !of_object(exemption).is_empty() {
                conditions.push(format!("variables.exempt{policy}x{place}"));
            }
            if let Some(containers) = &exemption.exemption.containers {
                conditions.push(known(entry.finding.container, globs(containers, "x.n"))?);
            }
            if let Some(images) = exemption.images() {
                let matches =
                    format!("size(x.im) <= {} && {}", glob::MAX_TEXT, globs(images, "x.im"));
                conditions.push(known(entry.finding.image, matches)?);
            }
            Some((exemption, conditions))
        })
    }
}

fn names(exemption: &CompiledExemption, entry: &Entry<'_>) -> bool {
    exemption.exemption.rules.iter().any(|it| *it == entry.rule.id || *it == entry.id)
}

/// A condition on what the element may lack; `None` if it always lacks it.
fn known(known: Known, condition: String) -> Option<String> {
    match known {
        Known::Always => Some(condition),
        Known::IfNamed => Some(format!("x.n != '' && {condition}")),
        Known::Never => None,
    }
}

/// The conditions of an exemption on the whole object.
fn of_object(it: &CompiledExemption) -> Vec<String> {
    let mut conditions = Vec::new();
    if let Some(namespaces) = &it.exemption.namespaces {
        conditions.push(globs(namespaces, "request.namespace"));
    }
    let kinds = it.exemption.kinds.as_ref().map(|kinds| format!("i.k in {}", texts(kinds)));
    let names = it.exemption.names.as_ref().map(|names| globs(names, "i.n"));
    let identity: Vec<_> = kinds.into_iter().chain(names).collect();
    if !identity.is_empty() {
        conditions.push(format!("variables.idents.exists(i, {})", identity.join(" && ")));
    }
    conditions
}

/// Whether a time has come. The API server stamps an object before policies judge it: its creation, and each update
/// that sets a field. An update that only removes fields has no time of its own.
pub fn is_over(time: &str) -> String {
    format!("variables.stamps.exists(s, s >= timestamp({}))", text(time))
}

/// The times at which managers wrote the object's fields, in CEL.
pub const MANAGER_STAMPS: &str = "dyn(object).metadata.?managedFields.orValue([]).filter(f, has(f.time)).map(f, timestamp(f.time))";

/// The times at which the object was written, as the API server stamped them.
pub fn stamps() -> Variable {
    variable(
        "stamps",
        format!(
            "request.operation == 'CREATE' ? \
             (dyn(object).metadata.?creationTimestamp.orValue(null) == null ? [] : \
             [timestamp(dyn(object).metadata.creationTimestamp)]) : {MANAGER_STAMPS}"
        ),
    )
}

/// The controller of the object.
pub fn controller() -> Variable {
    variable(
        "ctrl",
        "dyn(object).metadata.?ownerReferences.orValue([]).filter(o, o.?controller.orValue(false))",
    )
}

/// The names that an exemption may match, as [`super::super::owner::object_names`] derives them: `k` kind, `n` name.
fn identities() -> [Variable; 6] {
    let own = "dyn(object).metadata.?name.orValue('') != '' ? dyn(object).metadata.name : \
               [dyn(object).metadata.?generateName.orValue('')].map(g, g.endsWith('-') ? g.substring(0, size(g) - 1) : g)[0]";
    let deployment = "variables.hash != '' && variables.rs.endsWith('-' + variables.hash) && \
                      size(variables.rs) > size(variables.hash) + 1";
    [
        variable("ownName", own),
        variable("hash", "dyn(object).metadata.?labels[?'pod-template-hash'].orValue('')"),
        variable(
            "rs",
            "size(variables.ctrl) > 0 ? (variables.ctrl[0].kind == 'ReplicaSet' ? variables.ctrl[0].name : dyn('')) : \
             request.kind.kind == 'ReplicaSet' ? variables.ownName : dyn('')",
        ),
        variable("isDeployment", deployment),
        variable(
            "owner",
            "variables.isDeployment ? {'k': dyn('Deployment'), \
             'n': dyn(variables.rs.substring(0, size(variables.rs) - size(variables.hash) - 1))} : \
             size(variables.ctrl) > 0 ? {'k': dyn(variables.ctrl[0].kind), 'n': dyn(variables.ctrl[0].name)} : \
             {'k': dyn(request.kind.kind), 'n': dyn(variables.ownName)}",
        ),
        variable(
            "idents",
            "[{'k': dyn(request.kind.kind), 'n': dyn(variables.ownName)}, variables.owner] + \
             (variables.owner.k == 'Job' && variables.owner.n.matches('^(?s:.+)-[0-9]+$') ? \
             [{'k': dyn('CronJob'), 'n': dyn(variables.owner.n.substring(0, variables.owner.n.lastIndexOf('-')))}] : [])",
        ),
    ]
}
