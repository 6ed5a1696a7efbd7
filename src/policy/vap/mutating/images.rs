//! `imageTags`, as `end_of_chain` of [`crate::policy::mutation`] follows them.
//!
//! `variables.retagged` lists the images that are replaced: `at` is the path, `cur` the new image, `im` the same in
//! canonical form, and `by` the label of the policy.

use std::collections::{BTreeMap, BTreeSet};

use super::super::expression::text;
use super::super::pods::{Variable, variable};
use super::covers::covers;
use super::mark::escaped;
use crate::api::ImageTag;
use crate::policy::compile::Policy;
use crate::policy::image::ImageReference;

/// The fields of an image while its chain is followed, each with the expression that copies it.
const FIELDS: [&str; 12] =
    ["at", "n", "i", "name", "g", "r", "tag", "im", "cur", "by", "seen", "end"];

/// `exempt` is whether a policy, by its place, exempts the image `x`.
pub fn variables(policies: &[&Policy], exempt: impl Fn(usize) -> Option<String>) -> Vec<Variable> {
    let (mut table, mut blocked, mut graph) = (Vec::new(), Vec::new(), Graph::default());
    for (index, policy) in policies.iter().enumerate() {
        let tags = policy.injector.iter().flat_map(|it| &it.image_tags);
        let before = table.len();
        table.extend(tags.filter_map(|tag| row(index, policy, tag, &mut graph)));
        if table.len() == before {
            continue;
        }
        let elsewhere = covers(index, policy).map(|it| format!("!{it}"));
        let conditions: Vec<_> = elsewhere.into_iter().chain(exempt(index)).collect();
        if !conditions.is_empty() {
            blocked.push(format!("e.p == '{index}' && ({})", conditions.join(" || ")));
        }
    }
    if table.is_empty() {
        return vec![variable(
            "retagged",
            "variables.pods.filter(x, false).map(x, {'at': dyn('')})",
        )];
    }
    let allowed =
        if blocked.is_empty() { String::new() } else { format!(" && !({})", blocked.join(" || ")) };
    let mut all = vec![
        variable("tags", format!("[{}]", table.join(", "))),
        variable(
            "chain0",
            "variables.img[0].filter(x, x.bad == '' && !x.pinned).map(x, {'at': x.at, 'n': x.n, 'i': x.i, \
             'name': x.name, 'g': dyn(x.reg.lowerAscii()), 'r': x.repo, 'tag': dyn(x.tagged ? x.tag : dyn('latest')), \
             'im': x.im, 'cur': dyn(''), 'by': dyn(''), 'seen': dyn([]), 'end': dyn(false)})",
        ),
    ];
    let step = step(&allowed);
    let steps = graph.longest_chain();
    for number in 0..steps {
        all.push(variable(
            format!("chain{}", number + 1),
            format!("variables.chain{number}.map(x, {step})"),
        ));
    }
    all.push(variable("retagged", format!("variables.chain{steps}.filter(x, x.cur != '')")));
    all
}

/// An entry: `g` registry, `r` repository, `f` the tag before, `t` the tag or digest after it with `s`, its separator,
/// `p` the place of the policy, and `l` its label.
fn row(index: usize, policy: &Policy, tag: &ImageTag, graph: &mut Graph) -> Option<String> {
    let ImageTag { image, from, to } = tag;
    let named = ImageReference::parse(image).ok()?;
    let (registry, repository) = (named.registry().to_ascii_lowercase(), named.repository());
    let pins = to.contains(':');
    graph.add(format!("{registry}/{repository}"), from, (!pins).then_some(to));
    let fields = [
        ("g", &*registry),
        ("r", &*repository),
        ("f", from),
        ("s", if pins { "@" } else { ":" }),
        ("t", to),
        ("p", &index.to_string()),
        ("l", &escaped(&policy.label)),
    ];
    let fields = fields.map(|(name, value)| format!("'{name}': {}", text(value)));
    Some(format!("{{{}}}", fields.join(", ")))
}

/// The next step of the image `x`, unless its chain has ended.
fn step(allowed: &str) -> String {
    let stays = record(&[("end", "dyn(true)")]);
    let circular = record(&[("end", "dyn(true)"), ("cur", "dyn('')")]);
    let next = record(&[
        ("tag", "dyn(h[0].s == ':' ? h[0].t : '')"),
        ("im", "dyn(x.g + '/' + x.r + h[0].s + h[0].t)"),
        ("cur", "dyn(next)"),
        ("by", "dyn(h[0].l)"),
        ("seen", "dyn(x.seen + [next])"),
    ]);
    format!(
        "x.end ? x : [variables.tags.filter(e, e.g == x.g && e.r == x.r && e.f == x.tag{allowed})].map(h, \
         size(h) == 0 ? {stays} : [x.name + h[0].s + h[0].t].map(next, \
         next == x.i || next in x.seen ? {circular} : {next})[0])[0]"
    )
}

/// The image `x` with other fields.
fn record(changed: &[(&str, &str)]) -> String {
    let field = |name: &&str| {
        let value = changed.iter().find(|(it, _)| it == name).map(|(_, value)| (*value).to_owned());
        format!("'{name}': {}", value.unwrap_or_else(|| format!("x.{name}")))
    };
    format!("{{{}}}", FIELDS.iter().map(field).collect::<Vec<_>>().join(", "))
}

/// The tags of each repository, and those that replace them.
#[derive(Default)]
struct Graph(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Graph {
    fn add(&mut self, repository: String, from: &str, to: Option<&String>) {
        let of = self.0.entry(repository).or_default().entry(from.to_owned()).or_default();
        of.extend(to.cloned());
    }

    /// The number of steps after which every chain has ended, also a circular one.
    fn longest_chain(&self) -> usize {
        let longest = |tags: &BTreeMap<String, BTreeSet<String>>| {
            let mut at: BTreeSet<&String> = tags.keys().collect();
            let mut steps = 0;
            while !at.is_empty() && steps <= tags.len() {
                let next = at.iter().filter_map(|tag| tags.get(*tag)).flatten();
                at = next.filter(|tag| tags.contains_key(*tag)).collect();
                steps += 1;
            }
            steps
        };
        self.0.values().map(longest).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_followed_to_its_end_and_a_circle_once_around() {
        let steps = |entries: &[(&str, &str)]| {
            let mut graph = Graph::default();
            for (from, to) in entries {
                let to = (*to).to_owned();
                graph.add(
                    "docker.io/library/nginx".to_owned(),
                    from,
                    (!to.contains(':')).then_some(&to),
                );
            }
            graph.longest_chain()
        };
        assert_eq!(steps(&[]), 0);
        assert_eq!(steps(&[("latest", "1.29"), ("1.0", "1.29")]), 1);
        assert_eq!(steps(&[("latest", "1.29"), ("1.29", "sha256:0")]), 2);
        assert_eq!(steps(&[("1", "2"), ("2", "3"), ("3", "1")]), 4);
    }
}
