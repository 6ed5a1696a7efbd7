//! Clusters for tests.

use std::collections::BTreeMap;

use super::super::result::{Analysis, ClusterScore, OwnPolicies};
use super::Member;
use crate::api::{Classification, Severity};
use crate::findings::{Summary, Violation};

fn violation(number: usize, rule: &str, severity: Severity) -> Violation {
    Violation {
        file: None,
        line: None,
        column: None,
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "cart".to_owned(),
        policy: "shop/baseline".to_owned(),
        rule: rule.to_owned(),
        severity,
        container: None,
        path: format!("spec.containers[{number}]"),
        value: None,
        message: "it is wrong".to_owned(),
        decision: None,
        fix: None,
    }
}

pub fn analysis(violations: &[(&str, Severity)], policies: &[(&str, &str)]) -> Analysis {
    let results = violations.iter().enumerate();
    let results: Vec<_> = results.map(|(n, (rule, it))| violation(n, rule, *it)).collect();
    let counts =
        Summary { violations: results.len() as u64, score: Some(90), ..Summary::default() };
    let hash = |(name, hash): &(&str, &str)| ((*name).to_owned(), (*hash).to_owned());
    let hashes = policies.iter().map(hash).collect();
    Analysis {
        namespaces: Vec::new(),
        refused: Vec::new(),
        results,
        summary: ClusterScore {
            counts,
            classification: Some(Classification::Healthy),
            lost_points: BTreeMap::new(),
        },
        faults: Vec::new(),
        notes: Vec::new(),
        own: Some(OwnPolicies { hashes, incomplete: false }),
    }
}

pub fn member(context: &str, analysis: Analysis) -> Member {
    Member::new(context.to_owned(), None, None, Ok(analysis))
}
