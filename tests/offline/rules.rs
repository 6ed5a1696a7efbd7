//! Every rule by example: `tests/rules/RULE/` holds a policy, pods that pass it, pods that fail it (each begins with
//! the findings as comments), and the fixed form of each failing pod that podgate can fix.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use podgate::api::DevOpsPolicySpec;
use podgate::cel::tree::Tree;
use podgate::policy::compile::Policy;
use podgate::policy::document::Document;
use podgate::policy::engine::{judge, judge_running};
use podgate::policy::object::Object;
use podgate::policy::patch;
use podgate::policy::pod_status::PodStatus;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::registry::RULES;
use podgate::policy::rule::{Fix, Phase, Rule};
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::subject::Subject;
use podgate::policy::workload::Kind;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::manifests::held_by;

/// When the fixtures are judged.
const NOW: &str = "2026-01-01T12:00:00Z";

/// One finding: the message, the field with its value, and the available fix.
struct RuleFinding {
    text: String,
    container: Option<String>,
    path: String,
    value: Option<String>,
    fix: Option<Fix>,
}

/// A rule's folder.
struct Fixtures {
    rule: &'static Rule,
    set: PolicySet,
    dir: PathBuf,
}

impl Fixtures {
    fn of(rule: &'static Rule) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules").join(rule.id);
        let spec = read(&dir.join("policy.yaml"))["spec"].take();
        let spec: DevOpsPolicySpec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Cluster(Selection::default());
        let policy = Policy::compile(scope, "fixture".to_owned(), &spec).unwrap();
        Self { rule, set: PolicySet::new([Arc::new(policy)], Arc::default()), dir }
    }

    /// The objects in files with this name prefix, by file name.
    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| name(path).starts_with(prefix)).collect();
        files.sort();
        files
    }

    fn judge(&self, kind: Kind, object: &Value) -> Vec<RuleFinding> {
        let plan = self.set.covering(None).unwrap();
        let namespace = self.set.namespace_object(None);
        let document = Document::of(kind, Tree::of(object).unwrap(), namespace);
        let view = Object::deserialize(object).unwrap();
        let mut subject = Subject::of(kind, &view).unwrap();
        subject.document = Some(&document);
        let now: Timestamp = NOW.parse().unwrap();
        let status = PodStatus::deserialize(object).unwrap();
        let judgement = match self.rule.phase {
            Phase::Spec(_) => judge(plan, &subject, now),
            Phase::Status(_) => judge_running(plan, &subject, &status.running(now), now),
        };
        let found = judgement.violations.into_iter().map(|finding| RuleFinding {
            text: format!("{}: {}", finding.id(), finding.breach.sentence()),
            container: finding.breach.container.clone(),
            path: finding.breach.path.clone(),
            value: finding.breach.value.clone(),
            fix: finding.breach.fix.clone(),
        });
        found.collect()
    }

    fn is_about_specs(&self) -> bool {
        matches!(self.rule.phase, Phase::Spec(_))
    }
}

fn all() -> impl Iterator<Item = Fixtures> {
    RULES.into_iter().map(Fixtures::of)
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn read(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The expected findings in the comments of a failing file.
fn announced(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map_while(|line| line.strip_prefix("# ").map(str::to_owned)).collect()
}

/// The value at a path such as `spec.containers[0].image`.
fn at<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    object.pointer(&format!("/{}", path.replace(['.', '['], "/").replace(']', "")))
}

fn texts(found: &[RuleFinding]) -> Vec<String> {
    found.iter().map(|found| found.text.clone()).collect()
}

#[test]
fn every_rule_has_cases_that_pass_and_cases_that_fail() {
    for fixtures in all() {
        for prefix in ["pass", "fail"] {
            assert!(!fixtures.files(prefix).is_empty(), "{} has no {prefix}", fixtures.rule.id);
        }
    }
}

#[test]
fn passing_fixtures_pass() {
    for fixtures in all() {
        for path in fixtures.files("pass").into_iter().chain(fixtures.files("fixed")) {
            let found = texts(&fixtures.judge(Kind::Pod, &read(&path)));
            assert!(found.is_empty(), "{}: {found:#?}", path.display());
        }
    }
}

#[test]
fn failing_fixtures_fail_with_their_expected_sentences() {
    for fixtures in all() {
        for path in fixtures.files("fail") {
            let found = texts(&fixtures.judge(Kind::Pod, &read(&path)));
            assert_eq!(found, announced(&path), "{}", path.display());
        }
    }
}

#[test]
fn a_finding_names_the_container_of_its_field_and_holds_the_fields_value() {
    for fixtures in all() {
        for path in fixtures.files("fail") {
            let pod = read(&path);
            for RuleFinding { text, container, path, value, .. } in fixtures.judge(Kind::Pod, &pod)
            {
                let place = path.split_once("].").filter(|(list, _)| list.contains("ontainer"));
                let named = place.and_then(|(list, _)| at(&pod, list)?["name"].as_str());
                assert_eq!(container.as_deref(), named, "{text}");
                // A validation has no field, and the value of a label includes its key.
                if path.is_empty() || fixtures.rule.id == "requiredLabels" {
                    continue;
                }
                let field = at(&pod, &path);
                assert_eq!(value.is_some(), field.is_some(), "{text}");
                // Of a list or an object, the value is a part.
                if let Some(field) = field.filter(|it| !it.is_array() && !it.is_object()) {
                    let written = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
                    assert_eq!(value, Some(written), "{text}");
                }
            }
        }
    }
}

#[test]
fn a_failing_pod_is_fixed_as_in_the_fixed_file_and_passes() {
    for fixtures in all() {
        for path in fixtures.files("fail") {
            let mended =
                path.with_file_name(format!("{}.yaml", name(&path).replacen("fail", "fixed", 1)));
            let mut object = read(&path);
            let found = fixtures.judge(Kind::Pod, &object);
            let fixes: Vec<_> = found.into_iter().filter_map(|found| found.fix).collect();
            assert_eq!(fixes.is_empty(), !mended.exists(), "{}: {fixes:?}", path.display());
            if mended.exists() {
                let operations = patch::operations(&object, &fixes);
                json_patch::patch(&mut object, &operations).unwrap();
                assert_eq!(object, read(&mended), "{}", path.display());
                assert!(fixtures.judge(Kind::Pod, &object).is_empty(), "{}", path.display());
            }
        }
    }
}

#[test]
fn the_verdict_is_the_same_through_every_kind_of_controller() {
    for fixtures in all().filter(Fixtures::is_about_specs) {
        for path in fixtures.files("pass").into_iter().chain(fixtures.files("fail")) {
            let pod = read(&path);
            let expected = texts(&fixtures.judge(Kind::Pod, &pod));
            let mut ending = pod.clone();
            ending["spec"]["restartPolicy"] = json!("Never");
            let of_ending = texts(&fixtures.judge(Kind::Pod, &ending));
            for kind in Kind::ALL {
                let prefix = kind.names().spec_path.strip_suffix("spec").unwrap();
                let found = texts(&fixtures.judge(kind, &held_by(kind, &pod)));
                // A Job's pods run to completion, whatever their restart policy.
                let ends = matches!(kind, Kind::Job | Kind::CronJob);
                let expected = if ends { &of_ending } else { &expected };
                let expected: Vec<_> = expected
                    .iter()
                    .map(|text| {
                        let (id, sentence) = text.split_once(": ").unwrap();
                        let rooted =
                            sentence.starts_with("spec.") || sentence.starts_with("metadata.");
                        format!("{id}: {}{sentence}", if rooted { prefix } else { "" })
                    })
                    .collect();
                assert_eq!(found, expected, "{} as {kind:?}", path.display());
            }
        }
    }
}

#[test]
fn a_failing_container_fails_as_an_init_container_too_where_the_rule_applies() {
    for fixtures in all().filter(Fixtures::is_about_specs) {
        // Init containers need no probes, and validations choose their own containers.
        let excepted = ["requireLivenessProbe", "requireReadinessProbe", "validations"];
        for path in fixtures.files("fail") {
            let mut pod = read(&path);
            let before = fixtures.judge(Kind::Pod, &pod);
            let failing: Vec<_> =
                before.iter().filter_map(|found| found.container.clone()).collect();
            if failing.is_empty() || excepted.contains(&fixtures.rule.id) {
                continue;
            }
            let containers = pod["spec"]["containers"].as_array_mut().unwrap();
            let moved: Vec<_> = containers
                .extract_if(.., |it| failing.contains(&it["name"].as_str().unwrap().to_owned()))
                .collect();
            let innocent = read(&fixtures.dir.join("pass.yaml"))["spec"]["containers"].clone();
            containers.splice(0..0, innocent.as_array().unwrap().iter().cloned());
            let init = pod["spec"].as_object_mut().unwrap().entry("initContainers");
            init.or_insert_with(|| json!([])).as_array_mut().unwrap().extend(moved);
            let after = fixtures.judge(Kind::Pod, &pod);
            let still: Vec<_> = after.iter().filter_map(|found| found.container.clone()).collect();
            assert_eq!(still, failing, "{}: {:#?}", path.display(), texts(&after));
        }
    }
}
