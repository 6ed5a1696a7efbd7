//! Renders JUnit XML: a suite for each file or namespace, and a case for each rule that an object violates. A report
//! does not list what passes, so the first suite has one passing case: readers of JUnit take a file without cases for
//! an error.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::summary;
use super::violations::{decision, object_name, place};
use crate::findings::{Fault, Report, Violation};
use crate::policy::text::count;

/// A suite's cases, by object and rule.
type Suite<'a> = BTreeMap<(String, &'a str), Vec<&'a Violation>>;

pub(super) fn xml(report: &Report) -> String {
    let mut suites: BTreeMap<&str, Suite<'_>> = BTreeMap::new();
    for violation in &report.results {
        let file = violation.file.as_deref().or(violation.namespace.as_deref());
        let suite = suites.entry(file.unwrap_or("cluster")).or_default();
        suite.entry((object_name(violation), &violation.rule)).or_default().push(violation);
    }
    let failures: usize = suites.values().map(BTreeMap::len).sum();
    let errors = report.faults.len();
    let tests = failures + errors.max(1);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites name=\"podgate\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">"
    );
    own_suite(&mut xml, report);
    for (name, suite) in &suites {
        let cases = suite.len();
        let name = attribute(name);
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{name}\" tests=\"{cases}\" failures=\"{cases}\" errors=\"0\">"
        );
        for ((object, rule), violations) in suite {
            case(&mut xml, object, rule, violations);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml + "</testsuites>\n"
}

fn own_suite(xml: &mut String, report: &Report) {
    let errors = report.faults.len();
    let _ = writeln!(
        xml,
        "  <testsuite name=\"podgate\" tests=\"{}\" failures=\"0\" errors=\"{errors}\">",
        errors.max(1)
    );
    if errors == 0 {
        xml.push_str("    <testcase classname=\"podgate\" name=\"every input can be judged\"/>\n");
    }
    for Fault { place, message, .. } in &report.faults {
        let (name, inner) = (attribute(place), text(message));
        let _ = writeln!(xml, "    <testcase classname=\"podgate\" name=\"{name}\">");
        let _ = write!(xml, "      <error message=\"{}\">", attribute(message));
        let _ = writeln!(xml, "{inner}</error>\n    </testcase>");
    }
    let _ = writeln!(xml, "    <system-out>{}</system-out>", text(&summary::line(report)));
    xml.push_str("  </testsuite>\n");
}

/// GitLab shows a case's name and its failure's text, Jenkins the failure's message too.
fn case(xml: &mut String, object: &str, rule: &str, violations: &[&Violation]) {
    let Some(first) = violations.iter().min_by_key(|violation| violation.severity) else { return };
    let file = first.file.as_ref().map(|file| format!(" file=\"{}\"", attribute(file)));
    let message = match violations {
        [only] => attribute(&only.message),
        several => count(several.len() as u64, "violation"),
    };
    let _ = writeln!(
        xml,
        "    <testcase classname=\"{}\" name=\"{}\"{}>",
        attribute(object),
        attribute(&format!("{object}: {rule}")),
        file.unwrap_or_default(),
    );
    let _ = write!(xml, "      <failure message=\"{message}\" type=\"{}\">", first.severity);
    let lines: Vec<_> = violations.iter().map(|violation| text(&line(violation))).collect();
    let _ = writeln!(xml, "{}</failure>\n    </testcase>", lines.join("\n"));
}

fn line(violation: &Violation) -> String {
    let Violation { severity, policy, container, message, .. } = violation;
    let place = place(violation).map(|place| format!("{place}: ")).unwrap_or_default();
    let container = container.as_ref().map(|it| format!(" · container {it}")).unwrap_or_default();
    let decision = match decision(violation) {
        "" => String::new(),
        decision => format!(" · {decision}"),
    };
    format!("{place}{severity}{decision} · policy {policy}{container}: {message}")
}

/// Escapes a text between tags.
pub(in crate::cli) fn text(raw: &str) -> String {
    raw.chars().fold(String::with_capacity(raw.len()), |mut xml, c| {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '\n' | '\t' => xml.push(c),
            // XML 1.0 has no way to write these, not even as a reference.
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            _ => xml.push(c),
        }
        xml
    })
}

/// Escapes an attribute's value, where a reader would turn plain line breaks and tabs into blanks.
pub(in crate::cli) fn attribute(raw: &str) -> String {
    text(raw).replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use roxmltree::{Document, Node};

    use super::super::testing::{clean, faulty, plain, violated, with};
    use super::*;

    fn named<'a>(xml: &'a Document<'_>, tag: &str) -> Vec<Node<'a, 'a>> {
        xml.descendants().filter(|node| node.has_tag_name(tag)).collect()
    }

    #[test]
    fn a_file_is_a_suite_and_a_rule_that_an_object_breaks_is_a_case() {
        insta::assert_snapshot!(xml(&violated()), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="podgate" tests="5" failures="4" errors="0">
          <testsuite name="podgate" tests="1" failures="0" errors="0">
            <testcase classname="podgate" name="every input can be judged"/>
            <system-out>5 violations (1 critical, 1 high, 1 medium, 2 low) in 3 workloads (6 documents, 2 skipped); score 62</system-out>
          </testsuite>
          <testsuite name="./a,b/50% é:|&lt;x&gt;.yaml" tests="1" failures="1" errors="0">
            <testcase classname="Pod 日本`|&lt;b&gt;@admin�[31m" name="Pod 日本`|&lt;b&gt;@admin�[31m: validations/no-1.0" file="./a,b/50% é:|&lt;x&gt;.yaml">
              <failure message="100% &quot;wrong&quot; | `a` &lt;b&gt;&amp;&#10;::error::gotcha�[2J&#9;#1 @all" type="low">./a,b/50% é:|&lt;x&gt;.yaml: low · policy all: 100% "wrong" | `a` &lt;b&gt;&amp;
        ::error::gotcha�[2J	#1 @all</failure>
            </testcase>
          </testsuite>
          <testsuite name="deploy/cart.yaml" tests="2" failures="2" errors="0">
            <testcase classname="Deployment shop/cart" name="Deployment shop/cart: forbidLatestTag" file="deploy/cart.yaml">
              <failure message="2 violations" type="high">deploy/cart.yaml:14:18: high · policy shop/baseline · container web: spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
        deploy/cart.yaml:14:18: medium · policy shop/baseline · container sidecar: spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION</failure>
            </testcase>
            <testcase classname="Deployment shop/cart" name="Deployment shop/cart: requireReadinessProbe" file="deploy/cart.yaml">
              <failure message="spec.template.spec.containers[0].readinessProbe is missing; add one" type="low">deploy/cart.yaml:12:9: low · policy shop/baseline · container web: spec.template.spec.containers[0].readinessProbe is missing; add one</failure>
            </testcase>
          </testsuite>
          <testsuite name="shop" tests="1" failures="1" errors="0">
            <testcase classname="StatefulSet shop/db" name="StatefulSet shop/db: maxRestartCount">
              <failure message="status.containerStatuses[0].restartCount is 12; at most 3 are allowed" type="critical">critical · policy shop/baseline · container postgres: status.containerStatuses[0].restartCount is 12; at most 3 are allowed</failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn without_violations_one_case_passes() {
        insta::assert_snapshot!(xml(&clean()), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="podgate" tests="1" failures="0" errors="0">
          <testsuite name="podgate" tests="1" failures="0" errors="0">
            <testcase classname="podgate" name="every input can be judged"/>
            <system-out>all 5 workloads pass (12 documents, 2 skipped); score 100</system-out>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn what_could_not_be_judged_is_an_error() {
        insta::assert_snapshot!(xml(&faulty()), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="podgate" tests="1" failures="0" errors="1">
          <testsuite name="podgate" tests="1" failures="0" errors="1">
            <testcase classname="podgate" name="deploy/&lt;bad&gt;.yaml:3:1">
              <error message="this is no YAML:&#10;found &quot;&#9;�&quot; &amp; more">this is no YAML:
        found "	�" &amp; more</error>
            </testcase>
            <system-out>nothing to judge: no workload found (1 document, 1 skipped); 1 input could not be judged</system-out>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn a_parser_reads_back_the_texts_and_the_counts() {
        for report in [violated(), clean(), faulty()] {
            let text = xml(&report);
            let xml = Document::parse(&text).unwrap();
            for suite in named(&xml, "testsuite").into_iter().chain([xml.root_element()]) {
                for (count, tag) in
                    [("tests", "testcase"), ("failures", "failure"), ("errors", "error")]
                {
                    let found = suite.descendants().filter(|node| node.has_tag_name(tag)).count();
                    assert_eq!(
                        suite.attribute(count),
                        Some(found.to_string().as_str()),
                        "{count}: {text}"
                    );
                }
            }
        }
        let text = xml(&violated());
        let xml = Document::parse(&text).unwrap();
        let failure = named(&xml, "failure")[0];
        let message = "100% \"wrong\" | `a` <b>&\n::error::gotcha\u{fffd}[2J\t#1 @all";
        assert_eq!(failure.attribute("message"), Some(message));
        assert!(failure.text().unwrap().ends_with(message));
        assert_eq!(named(&xml, "testcase")[1].attribute("file"), Some("./a,b/50% é:|<x>.yaml"));
    }

    #[test]
    fn every_character_that_rust_knows_makes_well_formed_xml() {
        let all = || (0..=0x1_1000).filter_map(char::from_u32).collect::<String>();
        let violation = Violation { name: all(), message: all() + "]]>", ..plain() };
        let text = xml(&with(vec![violation]));
        Document::parse(&text).unwrap();
    }
}
