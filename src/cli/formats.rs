//! Renders the [`Report`] of `scan`: one file for each format. Pure: no output, no clock and no environment, so equal
//! reports give equal texts.

pub(super) mod github;
mod html;
pub(super) mod junit;
pub(super) mod markdown;
mod sarif;
mod summary;
mod table;
#[cfg(test)]
pub(super) mod testing;
mod violations;

use clap::ValueEnum;
use jiff::Timestamp;

use super::color::Coloring;
use super::failure::Failure;
use super::output::{Versioned, to_json, to_yaml};
use crate::findings::Report;

pub(super) use summary::by_severity;

/// The format of a report.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ReportFormat {
    /// For people: the violations of each object
    #[default]
    Table,
    /// One line for each violation, with policy, path and value
    Wide,
    /// For programs
    Json,
    /// The same as YAML
    Yaml,
    /// SARIF 2.1.0, for code scanning and editors
    Sarif,
    /// JUnit XML, for GitLab and Jenkins
    Junit,
    /// Annotations of a GitHub Actions run
    Github,
    /// For a pull request's comment or $GITHUB_STEP_SUMMARY
    Markdown,
    /// One page for a browser, with search and sorting
    Html,
}

/// What a format needs beside the report.
pub struct Printing {
    pub(super) coloring: Coloring,
    /// The inputs as they were given.
    pub inputs: String,
    pub at: Timestamp,
}

/// Renders a report as a text that ends with a line break.
///
/// # Errors
/// The error of the format's serializer; no report is known to cause one.
pub fn render(
    format: ReportFormat,
    report: &Report,
    printing: &Printing,
) -> Result<String, Failure> {
    Ok(match format {
        ReportFormat::Table => table::table(report, printing.coloring),
        ReportFormat::Wide => table::wide(report, printing.coloring),
        ReportFormat::Json => to_json(&Versioned::of(report))?,
        ReportFormat::Yaml => to_yaml(&Versioned::of(report))?,
        ReportFormat::Sarif => to_json(&sarif::log(report))?,
        ReportFormat::Junit => junit::xml(report),
        ReportFormat::Github => github::commands(report),
        ReportFormat::Markdown => markdown::page(report),
        ReportFormat::Html => html::page(report, &printing.inputs, printing.at),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::testing::{clean, faulty, plain, violated, with};
    use super::*;
    use crate::findings::Violation;

    fn render(
        format: ReportFormat,
        report: &Report,
        coloring: Coloring,
    ) -> Result<String, Failure> {
        let printing =
            Printing { coloring, inputs: "deploy/".to_owned(), at: Timestamp::UNIX_EPOCH };
        super::render(format, report, &printing)
    }

    fn parsed(format: ReportFormat, report: &Report) -> Value {
        let text = render(format, report, Coloring::Colored).unwrap();
        match format {
            ReportFormat::Json => serde_json::from_str(&text).unwrap(),
            _ => serde_saphyr::from_str(&text).unwrap(),
        }
    }

    #[test]
    fn json_is_the_report_under_its_version() {
        let report = with(vec![plain()]);
        insta::assert_snapshot!(render(ReportFormat::Json, &report, Coloring::Plain).unwrap(), @r#"
        {
          "apiVersion": "podgate/v1",
          "results": [
            {
              "file": "deploy/cart.yaml",
              "line": 14,
              "column": 18,
              "kind": "Deployment",
              "namespace": "shop",
              "name": "cart",
              "policy": "shop/baseline",
              "rule": "forbidLatestTag",
              "severity": "high",
              "decision": null,
              "container": "web",
              "path": "spec.template.spec.containers[0].image",
              "value": "nginx",
              "message": "spec.template.spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION",
              "fix": null
            }
          ],
          "summary": {
            "documents": 3,
            "workloads": 2,
            "skipped": 0,
            "violations": 1,
            "score": 71
          },
          "known": null,
          "unjudged": {
            "kinds": {},
            "protected": {},
            "uncovered": 0,
            "passedOver": {},
            "unrenderedCharts": 0,
            "unrenderedKustomizations": 0
          },
          "unread": [],
          "faults": []
        }
        "#);
        insta::assert_snapshot!(render(ReportFormat::Json, &faulty(), Coloring::Plain).unwrap(), @r#"
        {
          "apiVersion": "podgate/v1",
          "results": [],
          "summary": {
            "documents": 1,
            "workloads": 0,
            "skipped": 1,
            "violations": 0,
            "score": 100
          },
          "known": null,
          "unjudged": {
            "kinds": {},
            "protected": {},
            "uncovered": 0,
            "passedOver": {},
            "unrenderedCharts": 0,
            "unrenderedKustomizations": 0
          },
          "unread": [],
          "faults": [
            {
              "place": "deploy/<bad>.yaml:3:1",
              "message": "this is no YAML:\nfound \"\t\u001b\" & more"
            }
          ]
        }
        "#);
    }

    #[test]
    fn yaml_is_the_same_and_easier_on_the_eye() {
        let report = with(vec![plain()]);
        insta::assert_snapshot!(render(ReportFormat::Yaml, &report, Coloring::Plain).unwrap(), @r#"
        apiVersion: podgate/v1
        results:
        - file: deploy/cart.yaml
          line: 14
          column: 18
          kind: Deployment
          namespace: shop
          name: cart
          policy: shop/baseline
          rule: forbidLatestTag
          severity: high
          decision: null
          container: web
          path: spec.template.spec.containers[0].image
          value: nginx
          message: "spec.template.spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION"
          fix: null
        summary:
          documents: 3
          workloads: 2
          skipped: 0
          violations: 1
          score: 71
        known: null
        unjudged:
          kinds: {}
          protected: {}
          uncovered: 0
          passedOver: {}
          unrenderedCharts: 0
          unrenderedKustomizations: 0
        unread: []
        faults: []
        "#);
        insta::assert_snapshot!(render(ReportFormat::Yaml, &faulty(), Coloring::Plain).unwrap(), @r#"
        apiVersion: podgate/v1
        results: []
        summary:
          documents: 1
          workloads: 0
          skipped: 1
          violations: 0
          score: 100
        known: null
        unjudged:
          kinds: {}
          protected: {}
          uncovered: 0
          passedOver: {}
          unrenderedCharts: 0
          unrenderedKustomizations: 0
        unread: []
        faults:
        - place: deploy/<bad>.yaml:3:1
          message: "this is no YAML:\nfound \"\t\e\" & more"
        "#);
    }

    #[test]
    fn json_and_yaml_read_back_as_the_report() {
        for report in [violated(), clean(), faulty()] {
            let expected = json!({
                "apiVersion": "podgate/v1",
                "results": report.results,
                "summary": report.summary,
                "known": report.known,
                "unjudged": report.unjudged,
                "unread": report.unread,
                "faults": report.faults,
            });
            assert_eq!(parsed(ReportFormat::Json, &report), expected);
            assert_eq!(parsed(ReportFormat::Yaml, &report), expected);
        }
    }

    #[test]
    fn a_text_that_looks_like_something_else_stays_a_text() {
        let words = "no On y true null ~ 1 +1 1e3 0x1F 0o17 017 1_000 .5 .inf 12:30:45 2024-01-01 = << &a *a !a \
                     %a @a `a ' \" [ {a} | > ? --- ...";
        let others = [
            "", " ", "- a", "a: b", "a #b", " a ", "a\nb\n", "\n", "\t", "\r\n", "\u{1b}",
            "\u{85}", "\u{feff}", "\u{2028}",
        ];
        for text in words.split(' ').chain(others) {
            let value = Some(text.to_owned());
            let violation = Violation { message: text.to_owned(), value, ..plain() };
            let yaml = parsed(ReportFormat::Yaml, &with(vec![violation]));
            assert_eq!(yaml["results"][0]["value"], text);
            assert_eq!(yaml["results"][0]["message"], text);
        }
    }

    #[test]
    fn every_format_ends_its_last_line_and_only_those_for_terminals_are_coloured() {
        for format in ReportFormat::value_variants() {
            for report in [violated(), clean(), faulty()] {
                let text = render(*format, &report, Coloring::Colored).unwrap();
                assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{format:?}: {text}");
                let colored = !report.results.is_empty()
                    && matches!(format, ReportFormat::Table | ReportFormat::Wide);
                assert_eq!(text.contains('\u{1b}'), colored, "{format:?}: {text}");
            }
        }
    }
}
