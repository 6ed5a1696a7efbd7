//! `docs/rules.md`, `docs/cel.md`, `docs/crd.md`, `docs/cli.md` and `docs/metrics.md` are generated from the code. This
//! test fails if one of them is out of date; `make docs` writes them.

mod cel;
mod metrics;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use podgate::api::{CRDS, REPORT_CRD, crds, report_crd};
use podgate::policy::registry::RULES;
use podgate::policy::rule::{Phase, Rule};
use serde_json::Value;

const NOTE: &str = "<!-- Made from the code by `make docs`. -->\n";

fn check(file: &str, expected: &str) {
    check_file(&format!("docs/{file}"), expected);
}

/// The same for a file anywhere in the repository.
fn check_file(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).position(|(a, b)| a != b);
    assert!(found == expected, "{file} is out of date from line {differs:?} on; run: make docs");
}

#[test]
fn the_page_of_every_rule_is_up_to_date() {
    let mut text = format!(
        "{NOTE}# Rules\n\nA rule is a field of a policy's `spec`, and its id is the field's name. `podgate explain RULE` prints its page.\n\n\
         | rule | severity | decided |\n|---|---|---|\n"
    );
    for rule in RULES {
        let _ = writeln!(
            text,
            "| [`{id}`](#{}) | {} | {} |",
            rule.id.to_lowercase(),
            rule.severity,
            phase(rule),
            id = rule.id
        );
    }
    for rule in RULES {
        let _ = write!(text, "\n## {}\n\n{}\n", rule.id, rule.page());
        if !rule.checks.is_empty() {
            let checks: Vec<_> =
                rule.checks.iter().map(|check| format!("`{}/{check}`", rule.id)).collect();
            let _ = write!(text, "\nIts checks: {}.\n", checks.join(", "));
        }
        let (before, after) = rule.examples();
        let _ =
            write!(text, "\nFails:\n\n```yaml\n{before}```\n\nPasses:\n\n```yaml\n{after}```\n");
    }
    check("rules.md", &text);
}

#[test]
fn the_page_of_expressions_is_up_to_date() {
    check("cel.md", &format!("{NOTE}{}", cel::page()));
}

fn phase(rule: &Rule) -> &'static str {
    match rule.phase {
        Phase::Spec(_) => "at admission, offline and in the audit",
        Phase::Status(_) => "in the audit only",
    }
}

#[test]
fn the_crds_in_the_binary_and_in_the_chart_are_those_of_the_types() {
    let yaml = |crd: &_| serde_saphyr::to_string(crd).unwrap();
    let names = ["devopspolicies", "clusterdevopspolicies"];
    for ((name, crd), embedded) in names.iter().zip(crds()).zip(CRDS) {
        let text = yaml(&crd);
        check_file(&format!("charts/podgate/definitions/{name}.devops.stochastic.io.yaml"), &text);
        let embedded = podgate::install::crd::parse(embedded).unwrap();
        assert_eq!(embedded.metadata.name, crd.metadata.name);
    }
    let report = report_crd().unwrap();
    check_file("src/api/report_crd.yaml", &yaml(&report));
    let embedded = podgate::install::crd::parse(REPORT_CRD);
    assert_eq!(embedded.unwrap().metadata.name, report.metadata.name, "build again");
}

#[test]
fn the_page_of_the_custom_resources_is_up_to_date() {
    let mut text = format!(
        "{NOTE}# Custom resources\n\nGroup `devops.stochastic.io`, version `v1`. `podgate crd generate` prints them.\n"
    );
    for crd in crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let names = &crd["spec"]["names"];
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let _ = write!(
            text,
            "\n## {} ({}, {})\n\n{}\n\n| field | type | |\n|---|---|---|\n",
            names["kind"].as_str().unwrap(),
            names["shortNames"][0].as_str().unwrap(),
            crd["spec"]["scope"].as_str().unwrap().to_lowercase(),
            sentence(schema),
        );
        for part in ["spec", "status"] {
            fields(&mut text, part, &schema["properties"][part]);
        }
    }
    check("crd.md", &text);
}

/// A row for each field of a schema.
fn fields(text: &mut String, path: &str, schema: &Value) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let _ = writeln!(text, "| `{path}` | {} | {} |", type_of(field), sentence(field));
        // Kubernetes' own types are documented by Kubernetes.
        if !["namespaceSelector", "conditions"].contains(&name.as_str()) {
            fields(text, &path, field);
            fields(text, &format!("{path}[]"), &field["items"]);
        }
    }
}

fn type_of(field: &Value) -> String {
    let own = || {
        if let Some(values) = field["enum"].as_array() {
            let values: Vec<_> =
                values.iter().filter_map(|it| Some(format!("`{}`", it.as_str()?))).collect();
            return values.join(", ");
        }
        let name = field["type"].as_str().unwrap_or("any").to_owned();
        match field["format"].as_str() {
            Some("date-time") => "time".to_owned(),
            _ => name,
        }
    };
    match (field["type"].as_str(), &field["additionalProperties"]) {
        (Some("array"), _) => format!("list of {}", type_of(&field["items"])),
        (_, Value::Object(_)) => format!("map of {}", type_of(&field["additionalProperties"])),
        _ => own(),
    }
}

fn sentence(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_page_of_the_command_line_is_up_to_date() {
    let mut command = podgate::cli::command();
    command.build();
    let mut text =
        format!("{NOTE}# Command line\n\nData goes to stdout, everything else to stderr.\n");
    commands(&mut text, &command, &[]);
    check("cli.md", &text);
}

/// The pages with commands that people run.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> =
        ["README.md", "CONTRIBUTING.md", "charts/podgate/README.md"].map(|it| root.join(it)).into();
    for folder in ["docs", "docs/guides"] {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|it| it.unwrap().path());
        pages.extend(entries.filter(|it| it.extension().is_some_and(|it| it == "md")));
    }
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root).unwrap().display().to_string(), text)
    };
    pages.into_iter().map(read).collect()
}

/// The podgate commands in a page's code blocks, each with its line; shell syntax around them is ignored.
fn commands_in(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut code = false;
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
        let begun = open.take();
        let going_on = begun.is_some();
        let (first, line) = match begun {
            Some((first, begun)) => (first, begun + " " + line),
            None => (number + 1, line.to_owned()),
        };
        if let Some(begun) = line.strip_suffix('\\').filter(|_| code || going_on) {
            open = Some((first, begun.trim_end().to_owned()));
            continue;
        }
        let parts = line
            .split(['|', '>', ';', '#', '&', ')', '('])
            .map(|it| it.trim().trim_start_matches("$ "));
        let parts = parts.filter(|it| code && it.starts_with("podgate "));
        let words = |part: &str| {
            part.split_whitespace().map(|word| word.trim_matches(['\'', '"']).to_owned()).collect()
        };
        found.extend(parts.map(|part| (first, words(part))));
    }
    found
}

#[test]
fn every_command_that_a_page_names_is_one() {
    let mut read = 0;
    for (page, mut text) in pages() {
        if page == "docs/cli.md" {
            // Only the examples in the help texts, which are indented.
            let examples = |line: &str| line.starts_with("  ") || line.starts_with("```");
            let kept = text.lines().map(|line| if examples(line) { line } else { "" });
            text = kept.collect::<Vec<_>>().join("\n");
        }
        for (line, words) in commands_in(&text) {
            read += 1;
            if let Err(error) = podgate::cli::command().try_get_matches_from(&words) {
                let shown =
                    [clap::error::ErrorKind::DisplayHelp, clap::error::ErrorKind::DisplayVersion];
                assert!(
                    shown.contains(&error.kind()),
                    "{page}:{line}: {}: {error}",
                    words.join(" ")
                );
            }
        }
    }
    assert!(read > 40, "only {read} commands were found");
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (page, text) in pages() {
        let folder = root.join(&page).parent().unwrap().to_owned();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#', ' ']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            assert!(folder.join(target).exists(), "{page} links to {target}, which is not there");
        }
    }
}

/// A section for each command without subcommands.
fn commands(text: &mut String, command: &clap::Command, above: &[&str]) {
    let path = [above, &[command.get_name()]].concat();
    let mut below = command.get_subcommands().filter(|it| it.get_name() != "help").peekable();
    if below.peek().is_none() {
        let help = command.clone().term_width(100).render_long_help().to_string();
        let help: Vec<_> = help.lines().map(str::trim_end).collect();
        let _ = write!(
            text,
            "\n## {}\n\n```text\n{}\n```\n",
            path.join(" "),
            help.join("\n").trim_end()
        );
    }
    for inner in below {
        commands(text, inner, &path);
    }
}

/// Each test that the threat model names exists: a trial, a function, or a file of tests.
#[test]
fn the_threat_model_names_tests_that_exist() {
    fn sources(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|it| it == "rs") {
                all.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    for folder in ["tests", "src"] {
        sources(&root.join(folder), &mut all);
    }
    let page = fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let mut lines = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.contains("| held by |"))
    {
        lines += 1;
        let held_by = line.trim_end_matches('|').rsplit('|').next().unwrap();
        let named: Vec<_> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || line.contains("ccepted, because*"), "nothing holds: {line}");
        for test in named {
            let file = test.starts_with("tests/") && root.join(test).exists();
            let trial =
                all.contains(&format!("\"{test}\"")) || all.contains(&format!("fn {test}("));
            assert!(file || trial, "docs/threat-model.md names {test}, which is no test");
        }
    }
    assert!(lines >= 30, "{lines} lines were read");
}
