//! `podgate explain`

use clap::Args;

use super::color::{ColorArgs, Coloring};
use super::columns::{self, TableCell};
use super::failure::Failure;
use super::output;
use crate::policy::registry::RULES;
use crate::policy::rule::{Phase, Rule};

/// The rule whose checks are named by the policy.
const VALIDATIONS: &str = "validations";
/// The least similarity of a suggestion (Jaro-Winkler, 0 to 1).
const LIKE: f64 = 0.7;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  podgate explain                                # every rule
  podgate explain forbidLatestTag
  podgate explain podSecurity/hostPathVolumes    # one check of a rule that has several")]
pub(super) struct ExplainArgs {
    /// The rule as a denial names it, which is also the policy's field [default: list all rules]
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    #[command(flatten)]
    color: ColorArgs,
}

impl ExplainArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        output::print(&match &self.rule {
            None => catalogue(&RULES, self.color.coloring()),
            Some(name) => page(&RULES, name).map_err(Failure::Input)?,
        })
    }
}

fn catalogue(rules: &[&Rule], coloring: Coloring) -> String {
    let rows = rules.iter().map(|rule| {
        let phase = match rule.phase {
            Phase::Spec(_) => "admission, audit",
            Phase::Status(_) => "audit only",
        };
        let severity = TableCell::severity(rule.severity, coloring);
        vec![
            TableCell::new(rule.id),
            severity,
            TableCell::new(phase),
            TableCell::new(&rule.title()),
        ]
    });
    columns::table(&["RULE", "SEVERITY", "DECIDED", "WHAT"], rows.collect())
}

/// The page of a rule or check, by name.
fn page(rules: &[&Rule], name: &str) -> Result<String, String> {
    let (id, check) = name.split_once('/').map_or((name, None), |(id, check)| (id, Some(check)));
    let rule = rules.iter().find(|rule| rule.id == id);
    let rule = rule.ok_or_else(|| unknown(rules, name, "rule"))?;
    if let Some(check) = check
        && !rule.checks.contains(&check)
        && rule.id != VALIDATIONS
    {
        return Err(if rule.checks.is_empty() {
            format!("{id} has no checks; see: podgate explain {id}")
        } else {
            unknown(&[rule], name, "check")
        });
    }
    let phase = match rule.phase {
        Phase::Spec(_) => "decided at admission and in the audit",
        Phase::Status(_) => "seen by the audit only; it never denies",
    };
    let check = check.map(|check| match rule.check_title(check) {
        Some(title) => format!("{name}: {title}\n\nIt is a check of "),
        None => format!("{name} is a check of "),
    });
    let check = check.unwrap_or_default();
    let (fails, passes) = rule.examples();
    Ok(format!(
        "{check}{id}: severity {}, {phase}\n\n{}\n\nFails:\n\n{}\nPasses:\n\n{}",
        rule.severity,
        rule.page(),
        indented(fails),
        indented(passes),
    ))
}

fn indented(yaml: &str) -> String {
    yaml.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}

fn unknown(rules: &[&Rule], name: &str, what: &str) -> String {
    let hint = nearest(rules, name).map_or_else(
        || "podgate explain lists the rules".to_owned(),
        |nearest| format!("did you mean {nearest}?"),
    );
    format!("there is no {what} {name:?}; {hint}")
}

/// The rule or check with the most similar name.
fn nearest(rules: &[&Rule], name: &str) -> Option<String> {
    let name = name.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // The name may be a check's, without its rule.
        let check = candidate.rsplit('/').next().unwrap_or_default();
        strsim::jaro_winkler(&name, &candidate).max(strsim::jaro_winkler(&name, check))
    };
    let names = rules.iter().flat_map(|rule| {
        let checks = rule.checks.iter().map(|check| format!("{}/{check}", rule.id));
        std::iter::once(rule.id.to_owned()).chain(checks)
    });
    let rated = names.map(|name| (likeness(&name), name)).filter(|(likeness, _)| *likeness > LIKE);
    rated.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Severity;
    use crate::policy::vap::form::Form;

    static SECURITY: Rule = Rule {
        id: "podSecurity",
        severity: Severity::High,
        phase: Phase::Spec(|_| Ok(None)),
        reads: &[],
        checks: &["hostPathVolumes", "runAsNonRoot"],
        reads_document: false,
        vap: Form::None(""),
        comment: "//! Meets a Pod\n//! Security Standard.\n//!\n//! - `runAsNonRoot`: true in the pod\n//!   or in every container.\n//! - `more`: x.\n",
        examples: ["# not shown\nkind: Pod\n\nspec: 1\n", "kind: Pod\nspec: 2\n"],
    };
    static VALIDATIONS: Rule = Rule {
        id: "validations",
        severity: Severity::Medium,
        phase: Phase::Status(|_| Ok(None)),
        reads: &[],
        checks: &[],
        reads_document: false,
        vap: Form::None(""),
        comment: "//! Rules of your own.\n",
        examples: ["", ""],
    };
    const BOTH: [&Rule; 2] = [&SECURITY, &VALIDATIONS];

    #[test]
    fn the_catalogue_is_a_line_a_rule() {
        insta::assert_snapshot!(catalogue(&BOTH, Coloring::Plain), @r"
        RULE          SEVERITY   DECIDED            WHAT
        podSecurity   high       admission, audit   Meets a Pod Security Standard.
        validations   medium     audit only         Rules of your own.
        ");
    }

    #[test]
    fn a_check_has_the_page_of_its_rule() {
        insta::assert_snapshot!(page(&BOTH, "podSecurity/runAsNonRoot").unwrap(), @r"
        podSecurity/runAsNonRoot: true in the pod or in every container.

        It is a check of podSecurity: severity high, decided at admission and in the audit

        Meets a Pod
        Security Standard.

        - `runAsNonRoot`: true in the pod
          or in every container.
        - `more`: x.

        Fails:

            kind: Pod

            spec: 1

        Passes:

            kind: Pod
            spec: 2
        ");
    }

    #[test]
    fn the_page_of_a_rule_with_checks_says_what_each_asks() {
        for rule in RULES {
            for check in rule.checks {
                assert!(rule.check_title(check).is_some(), "{}'s page misses {check}", rule.id);
            }
        }
    }

    #[test]
    fn a_validation_may_have_any_name() {
        let page = page(&BOTH, "validations/no-root").unwrap();
        assert!(page.contains("Rules of your own.\n"), "{page}");
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest_rule_or_check() {
        for (name, nearest) in [
            ("podsecurity", "podSecurity"),
            ("hostpathvolume", "podSecurity/hostPathVolumes"),
            ("podSecurity/runAsNonroot", "podSecurity/runAsNonRoot"),
        ] {
            let error = page(&BOTH, name).unwrap_err();
            assert!(error.contains(&format!("did you mean {nearest}?")), "{error}");
        }
        let error = page(&BOTH, "zzz\u{1b}[2J").unwrap_err();
        assert_eq!(error, r#"there is no rule "zzz\u{1b}[2J"; podgate explain lists the rules"#);
        let error = page(&BOTH, "").unwrap_err();
        assert!(!error.contains("mean"), "{error}");
    }
}
