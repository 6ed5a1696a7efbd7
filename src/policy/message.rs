//! The text of denials and warnings. Its form is a contract (`docs/admission.md`), which snapshot tests check.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::decision::Decision;
use super::engine::Finding;
use super::recheck::Recheck;
use super::rule::Breach;
use super::subject::Subject;
use super::text::{MAX_VALUE, brief, clip};

/// The longest denial, in bytes. The API server passes it on whole.
const MAX_DENIAL: usize = 4096;
/// The most contacts in a denial.
const MAX_CONTACTS: usize = 3;
/// The most policies named beside a contact.
const MAX_NAMES: usize = 4;
/// The most warnings of one review, and the longest warning, in bytes. The API server cuts warnings to 256 characters
/// each once they exceed 4096 in total.
const MAX_WARNINGS: usize = 5;
const MAX_WARNING: usize = 120;

/// The object as a developer names it: `Deployment shop/cart`, or `Pod shop/cart-*` if the API server has yet to
/// generate the name.
pub fn object_name(subject: &Subject<'_>, namespace: Option<&str>) -> String {
    let kind = subject.kind.names().kind;
    let (name, generate_name) =
        subject.metadata.map_or(("", ""), |metadata| (&*metadata.name, &*metadata.generate_name));
    let name = if name.is_empty() { format!("{}*", clip(generate_name)) } else { clip(name) };
    match namespace {
        Some(namespace) => format!("{kind} {}/{name}", clip(namespace)),
        None => format!("{kind} {name}"),
    }
}

/// The text of a denial: every violation with the field at fault, the value found and the remedy; then where to learn
/// more, how to judge the object again, and the contacts of the policies.
pub fn denial(
    object: &str,
    decision: &Decision<'_>,
    docs_url: Option<&str>,
    recheck: &Recheck<'_>,
) -> String {
    let denied = &decision.denied;
    let mut rules: Vec<_> = denied.iter().map(Finding::id).collect();
    rules.sort_unstable();
    rules.dedup();
    let mut text = String::with_capacity(MAX_DENIAL);
    let _ = writeln!(text, "{object} breaks {}", broken(rules.len(), denied.len()));
    let mut learn_more = format!(
        "learn more: podgate explain {}\ncheck before you push: {recheck}",
        denied.first().map_or(Cow::Borrowed("RULE"), Finding::id),
    );
    if denied.iter().any(is_template_lacking) {
        learn_more.insert_str(0, "a template is judged as it is written: what a LimitRange or another webhook would add is not seen\n");
    }
    if let Some(url) = docs_url {
        let _ = write!(learn_more, "\ndocs: {}", clip(url));
    }
    learn_more += &contacts(denied);
    let room = MAX_DENIAL - learn_more.len() - "  and 1000000 more violations\n".len();
    let mut sentence = LastSentence::default();
    for (rendered, finding) in denied.iter().enumerate() {
        let before = text.len();
        render(finding, sentence.of(finding), &mut text);
        if text.len() > room {
            text.truncate(before);
            let more = denied.len() - rendered;
            let _ = writeln!(text, "  and {more} more violation{}", plural(more));
            break;
        }
    }
    text + &learn_more
}

/// `2 rules`, or `2 rules (5 violations)` where the list has several violations of a rule.
pub fn broken(rules: usize, violations: usize) -> String {
    let text = format!("{rules} rule{}", plural(rules));
    if rules == violations { text } else { format!("{text} ({violations} violations)") }
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A line for each contact of the policies that denied. Of several contacts, each says whose it is.
fn contacts(denied: &[Finding<'_>]) -> String {
    let mut contacts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for policy in denied.iter().map(|it| it.policy) {
        if let Some(contact) = &policy.contact {
            contacts.entry(contact).or_default().insert(&policy.label);
        }
    }
    let several = contacts.len() > 1;
    let line = |(contact, policies): (&str, BTreeSet<&str>)| {
        let line = format!("\ncontact: {}", clip(contact));
        if !several {
            return line;
        }
        let policy = if policies.len() == 1 { "policy" } else { "policies" };
        let names: Vec<_> = policies.into_iter().take(MAX_NAMES).map(clip).collect();
        format!("{line} ({policy} {})", brief(names.join(", "), MAX_VALUE))
    };
    contacts.into_iter().take(MAX_CONTACTS).map(line).collect()
}

/// Whether the field is missing in a template, and a LimitRange or a webhook may add it to the pods.
fn is_template_lacking(finding: &Finding<'_>) -> bool {
    let Breach { path, value, .. } = &*finding.breach;
    value.is_none() && path.contains("template.") && path.contains(".resources.")
}

/// The sentence of the last breach that was asked for: the findings of policies that share one follow each other.
#[derive(Default)]
struct LastSentence {
    breach: Option<Arc<Breach>>,
    sentence: String,
}

impl LastSentence {
    fn of(&mut self, finding: &Finding<'_>) -> &str {
        let known = self.breach.as_ref().is_some_and(|it| Arc::ptr_eq(it, &finding.breach));
        if !known {
            self.breach = Some(Arc::clone(&finding.breach));
            self.sentence = finding.breach.sentence();
        }
        &self.sentence
    }
}

fn render(finding: &Finding<'_>, sentence: &str, text: &mut String) {
    for part in ["  ", &finding.id(), " (", finding.severity.as_str(), ") · policy "] {
        text.push_str(part);
    }
    text.push_str(&clip(&finding.policy.label));
    if let Some(container) = &finding.breach.container {
        for part in [" · container \"", &clip(container), "\""] {
            text.push_str(part);
        }
    }
    for part in ["\n    ", sentence, &finding.expiry(), "\n"] {
        text.push_str(part);
    }
}

/// The warnings of a review, allowed or denied. kubectl prints one line for each.
pub fn warnings(decision: &Decision<'_>) -> Vec<String> {
    let mut lines: Vec<_> = grace(decision).into_iter().collect();
    let room = MAX_WARNINGS - lines.len();
    let warned = decision.graced.len() + decision.warned.len();
    let shown = if warned > room { room - 1 } else { warned };
    lines.extend(decision.graced.iter().chain(&decision.warned).take(shown).map(warning));
    if warned > shown {
        lines.push(format!("podgate: and {} more: podgate scan FILE --live", warned - shown));
    }
    lines
}

/// The line that says until when the object is admitted, and by which policy's grace: of several, the one that ends
/// first.
fn grace(decision: &Decision<'_>) -> Option<String> {
    let ends = decision.graced.iter().filter_map(|it| Some((it.policy.grace_until?, it.policy)));
    let (end, policy) = ends.min_by_key(|(end, _)| *end)?;
    let text = format!("podgate: denied from {end} on (graceUntil of policy {})", policy.label);
    Some(brief(text, MAX_WARNING))
}

fn warning(finding: &Finding<'_>) -> String {
    let breach = &finding.breach;
    let container = breach.container.as_deref().map(|name| format!(" {}", clip(name)));
    let field = field(&breach.path);
    let gap = if field.is_empty() { "" } else { " " };
    let text = format!(
        "podgate: {} ({}){}: {field}{gap}{}{}",
        finding.id(),
        finding.severity,
        container.unwrap_or_default(),
        breach.problem,
        finding.expiry(),
    );
    // The API server drops a warning with a control character.
    brief(text, MAX_WARNING)
}

/// The end of a path that names a field: `image`, `limits.memory`, `capabilities.drop`.
fn field(path: &str) -> &str {
    // A key in brackets may contain dots.
    let named = path.split("[\"").next().unwrap_or_default();
    let Some(dot) = named.rfind('.') else { return path };
    let parent = named.get(..dot).unwrap_or_default();
    let start = parent.rfind('.').map_or(0, |dot| dot + 1);
    let holder = parent.get(start..).unwrap_or_default();
    // The parents of many fields, and elements of lists, say nothing that the rule and the container do not.
    let plain = matches!(holder, "spec" | "metadata" | "securityContext") || holder.ends_with(']');
    path.get(if plain { dot + 1 } else { start }..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
