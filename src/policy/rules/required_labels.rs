//! Requires labels on every pod.
//!
//! Labels name a pod's owner and application; cost reports, alerts and network policies select pods by them. The labels
//! must be on the pod itself: in a workload, on its pod template, because a workload's own labels are not copied to its
//! pods. A pattern must match the whole value.

use regex::{Regex, RegexBuilder};

use super::super::object::{MAX_ENTRIES, Pairs};
use super::super::rule::{Breach, InvalidField, Phase, Rule, examples, module_comment};
use super::super::subject::Subject;
use super::super::text::{clip, quote};
use super::super::vap::expression::{quote as quoted, text};
use super::super::vap::form::{CelFinding, Form};
use crate::api::{DevOpsPolicySpec, RequiredLabel, Severity};
use crate::cel::library::check_pattern;

/// The most memory of a compiled pattern, in bytes, so that no policy takes more.
const MAX_PATTERN_SIZE: usize = 256 * 1024;

pub static RULE: Rule = Rule {
    id: "requiredLabels",
    severity: Severity::Low,
    phase: Phase::Spec(|spec| {
        let Some(labels) = &spec.required_labels else { return Ok(None) };
        let required = labels.iter().enumerate().map(|(index, label)| Required::new(index, label));
        let required = required.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Box::new(move |subject, breaches| {
            breaches.extend(required.iter().filter_map(|label| label.check(subject)));
        })))
    }),
    reads: &[],
    checks: &[],
    reads_document: false,
    vap: Form::Cel(in_cel),
    comment: module_comment!("required_labels.rs"),
    examples: examples!("requiredLabels", "fail", "pass"),
};

struct Required {
    key: String,
    /// The pattern as written, and compiled to match whole values.
    pattern: Option<(String, Regex)>,
}

impl Required {
    fn new(index: usize, label: &RequiredLabel) -> Result<Self, InvalidField> {
        let compile = |pattern: &String| match whole_value(pattern) {
            Ok(regex) => Ok((pattern.clone(), regex)),
            Err(error) => Err(InvalidField {
                path: format!("spec.requiredLabels[{index}].pattern"),
                message: reason(&error),
            }),
        };
        let pattern = label.pattern.as_ref().map(compile).transpose()?;
        Ok(Self { key: label.key.clone(), pattern })
    }

    fn check(&self, subject: &Subject<'_>) -> Option<Breach> {
        let labels = subject.pod_metadata.and_then(|metadata| metadata.labels.as_ref());
        let undecided = labels.is_some_and(Pairs::is_cut);
        let found = labels.filter(|_| !undecided).and_then(|labels| labels.get(&self.key));
        let (problem, remedy) = match (found, &self.pattern) {
            _ if undecided => (
                format!("could not be judged: there are more than {MAX_ENTRIES} labels"),
                "give the pod fewer".to_owned(),
            ),
            (None, None) => ("is missing".to_owned(), "add the label".to_owned()),
            (None, Some((pattern, _))) => (
                "is missing".to_owned(),
                format!("add it with a value that matches {}", clip(pattern)),
            ),
            (Some(value), Some((pattern, regex))) if !regex.is_match(value) => (
                format!("is {}", quote(value)),
                format!("give it a value that matches {}", clip(pattern)),
            ),
            (Some(_), _) => return None,
        };
        Some(Breach {
            path: subject.pod_path(&format!("metadata.labels[\"{}\"]", clip(&self.key))),
            // The value includes the key, so that two missing labels are two violations.
            value: Some(
                found.map_or_else(|| self.key.clone(), |value| format!("{}={value}", self.key)),
            ),
            problem,
            remedy,
            undecided,
            ..Breach::default()
        })
    }
}

/// Compiles a pattern so that it must match all of a value.
fn whole_value(pattern: &str) -> Result<Regex, regex::Error> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(MAX_PATTERN_SIZE).build();
    // The pattern must be valid alone: the group around it must not complete its parentheses.
    build(pattern)?;
    build(&format!("^(?:{pattern})$"))
}

/// The message of a syntax error: its last line. The others draw the position.
fn reason(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(_) = error {
        return "the pattern is too large".to_owned();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("it is no regular expression: {}", last.trim_start_matches("error: "))
}

fn in_cel(spec: &DevOpsPolicySpec) -> Vec<CelFinding> {
    spec.required_labels.iter().flatten().map(label_in_cel).collect()
}

fn label_in_cel(RequiredLabel { key, pattern }: &RequiredLabel) -> CelFinding {
    let name = text(key);
    let field = format!("metadata.labels[\"{}\"]", clip(key));
    let Some(pattern) = pattern else {
        let found = CelFinding::of_pod(&field, format!("!({name} in p.labels)"));
        return found.because(name, text("is missing")).remedy("add the label").by_removal();
    };
    let whole = format!("^(?:{pattern})$");
    if let Err(reason) = is_same_in_re2(&whole) {
        return CelFinding::lost(format!("the pattern of {key}: {reason}"));
    }
    let (start, shown) = (text(&format!("{key}=")), clip(pattern));
    CelFinding::of_pod(
        &field,
        format!("!({name} in p.labels && p.labels[{name}].matches({}))", text(&whole)),
    )
    .because(
        format!("({name} in p.labels ? {start} + p.labels[{name}] : {name})"),
        format!(
            "({name} in p.labels ? 'is ' + {} : 'is missing')",
            quoted(&format!("p.labels[?{name}].orValue('')"))
        ),
    )
    .remedy_of(format!(
        "({name} in p.labels ? {} : {})",
        text(&format!("give it a value that matches {shown}")),
        text(&format!("add it with a value that matches {shown}")),
    ))
    .by_removal()
}

/// Whether the API server's regular expressions (RE2) read a pattern as podgate's do: labels are ASCII, so only syntax
/// that one of them lacks matters.
fn is_same_in_re2(pattern: &str) -> Result<(), String> {
    check_pattern(pattern).map_err(|error| format!("in CEL, {error}"))?;
    let other =
        ["&&", "--", "~~", "\\<", "\\>", "\\b{"].into_iter().find(|it| pattern.contains(it));
    let nested = pattern.match_indices('[').any(|(at, _)| {
        let before = pattern.get(..at).unwrap_or_default();
        before.rfind('[').is_some_and(|open| !before.get(open..).unwrap_or_default().contains(']'))
    });
    match other {
        Some(syntax) => Err(format!("{syntax} means something else in CEL")),
        None if nested => Err("a [ in brackets means something else in CEL; write \\[".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::object::Object;
    use super::super::super::subject::Subject;
    use super::super::super::workload::Kind;
    use super::super::testing::enabled;
    use super::*;

    fn found(labels: &str, kind: Kind, object: &str) -> Vec<String> {
        breaches(labels, kind, object).iter().map(Breach::sentence).collect()
    }

    fn breaches(labels: &str, kind: Kind, object: &str) -> Vec<Breach> {
        let Phase::Spec(compile) = RULE.phase else { unreachable!() };
        let check = compile(&enabled("requiredLabels", labels)).unwrap().unwrap();
        let object: Object = serde_json::from_str(object).unwrap();
        let mut breaches = Vec::new();
        check(&Subject::of(kind, &object).unwrap(), &mut breaches);
        breaches
    }

    fn pod(labels: &str) -> String {
        format!(
            r#"{{"metadata": {{"labels": {labels}}}, "spec": {{"containers": [{{"name": "web"}}]}}}}"#
        )
    }

    #[test]
    fn a_label_must_be_there_and_match_its_pattern_as_a_whole() {
        let labels = r#"[{"key": "team", "pattern": "a|bc"}, {"key": "app.kubernetes.io/name"}]"#;
        let named = r#""app.kubernetes.io/name": """#;
        assert!(
            found(labels, Kind::Pod, &pod(&format!(r#"{{"team": "bc", {named}}}"#))).is_empty()
        );
        assert_eq!(
            found(labels, Kind::Pod, &pod(r#"{"team": "abc"}"#)),
            [
                r#"metadata.labels["team"] is "abc"; give it a value that matches a|bc"#,
                r#"metadata.labels["app.kubernetes.io/name"] is missing; add the label"#,
            ]
        );
        assert_eq!(found(labels, Kind::Pod, &pod("null")).len(), 2);
    }

    #[test]
    fn a_workloads_own_labels_do_not_count_since_they_do_not_reach_its_pods() {
        let object = r#"{"metadata": {"labels": {"team": "a"}}, "spec": {"template": {"spec": {"containers": [{"name": "web"}]}}}}"#;
        assert_eq!(
            found(r#"[{"key": "team"}]"#, Kind::Deployment, object),
            [r#"spec.template.metadata.labels["team"] is missing; add the label"#]
        );
    }

    #[test]
    fn the_value_of_a_breach_tells_two_labels_apart() {
        let labels = r#"[{"key": "team", "pattern": "a"}, {"key": "tier"}]"#;
        let found = breaches(labels, Kind::Pod, &pod(r#"{"team": "b"}"#));
        let values: Vec<_> = found.iter().map(|it| it.value.as_deref().unwrap()).collect();
        assert_eq!(values, ["team=b", "tier"]);
    }

    #[test]
    fn of_more_labels_than_are_looked_at_none_is_known_to_be_there() {
        let many: Vec<_> = (0..10_001).map(|number| format!(r#""k{number}": "v""#)).collect();
        let labels = |many: &[String]| pod(&format!(r#"{{"team": "a", {}}}"#, many.join(",")));
        let asked = r#"[{"key": "team"}]"#;
        assert_eq!(
            found(asked, Kind::Pod, &labels(&many)),
            [
                r#"metadata.labels["team"] could not be judged: there are more than 10000 labels; give the pod fewer"#
            ]
        );
        assert!(breaches(asked, Kind::Pod, &labels(&many))[0].undecided);
        assert!(found(asked, Kind::Pod, &labels(&many[..9_999])).is_empty());
    }

    #[test]
    fn a_pattern_that_is_none_or_too_large_refuses_the_policy() {
        let Phase::Spec(compile) = RULE.phase else { unreachable!() };
        let refused = |pattern: &str| {
            let policy =
                enabled("requiredLabels", &format!(r#"[{{"key": "a", "pattern": "{pattern}"}}]"#));
            compile(&policy).err().expect("the pattern was accepted").to_string()
        };
        insta::assert_snapshot!(refused("a)(b"), @"spec.requiredLabels[0].pattern: it is no regular expression: unopened group");
        insta::assert_snapshot!(refused("a{1000}{1000}"), @"spec.requiredLabels[0].pattern: the pattern is too large");
    }

    #[test]
    fn the_pattern_of_a_dns_name_is_not_too_large() {
        let label = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
        assert!(whole_value(&format!("{label}([.]{label}){{0,3}}")).is_ok());
    }

    #[test]
    fn a_pattern_that_the_api_server_would_read_as_another_is_told() {
        for (pattern, same) in
            [("[ab][cd]|e", true), ("[a[b]]", false), ("[a&&b]", false), ("(?x) a", false)]
        {
            assert_eq!(is_same_in_re2(pattern).is_ok(), same, "{pattern}");
        }
    }
}
