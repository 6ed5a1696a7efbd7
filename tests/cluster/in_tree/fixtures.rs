//! The fixtures of every rule, in an object of every kind.

use std::fs;
use std::path::{Path, PathBuf};

use podgate::policy::registry::RULES;
use podgate::policy::rule::Phase;
use serde_json::{Value, json};

use super::door::{Door, Open, Tally, creation, of_every_kind, set};
use crate::cel::judge::Judge;
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> =
    trials![every_fixture_in_every_kind_gets_the_verdict_and_the_findings_of_podgate];

fn read(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn every_fixture_in_every_kind_gets_the_verdict_and_the_findings_of_podgate() -> Result<(), String>
{
    fixtures(Door::open)
}

/// Every fixture in every kind.
pub fn fixtures(open: Open) -> Result<(), String> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut judge = Judge::start();
    let mut whole = Tally::default();
    for rule in RULES.into_iter().filter(|rule| matches!(rule.phase, Phase::Spec(_))) {
        let folder = rules.join(rule.id);
        let mut spec = read(&folder.join("policy.yaml"))["spec"].take();
        spec["enforcementMode"] = json!("enforce");
        let mut door = open(judge, set(&[("fixture", &spec)]));
        assert_eq!(door.losses, [], "{}", rule.id);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| !path.ends_with("policy.yaml"));
        files.sort();
        for file in &files {
            let pod = read(file);
            let writes: Vec<_> = of_every_kind(&pod).map(|it| creation(&it)).collect();
            whole.add(Tally::of(&mut door, &writes), &file.display().to_string());
        }
        judge = door.close();
    }
    whole.finish("fixtures", 100)
}
