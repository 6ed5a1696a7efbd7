//! Shared code of the fuzz targets: their policies, and a function that judges one body.

pub mod json;
pub mod odd;
pub mod pods;

use std::hash::RandomState;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use podgate::admission::judged::Judged;
use podgate::admission::review::BadReview;
use podgate::admission::validate::Reviewer;
use podgate::manifests::policy_file::{self, ParseOptions};
use podgate::policy::grace::ControllerUsers;
use podgate::policy::policy_set::PolicySet;
use serde_json::Value;

/// The policies of the hostile corpus, so that its reviews are seeds here.
pub fn policies() -> &'static PolicySet {
    static POLICIES: OnceLock<PolicySet> = OnceLock::new();
    POLICIES.get_or_init(|| {
        let parsed = parse(include_str!("../../tests/hostile/policy.yaml"));
        set_of(parsed.unwrap_or_else(|fault| panic!("policy.yaml:{fault}")))
    })
}

/// Reads a policy file in which a policy without a namespace judges all of them.
pub fn parse(
    text: &str,
) -> Result<Vec<policy_file::PolicyDocument>, podgate::manifests::error::ManifestError> {
    policy_file::parse(text, ParseOptions::default())
}

pub fn set_of(documents: Vec<policy_file::PolicyDocument>) -> PolicySet {
    PolicySet::new(documents.into_iter().map(|it| it.policy), Arc::default())
}

pub fn judge(body: &[u8], policies: &PolicySet) -> Result<Judged, BadReview> {
    let reviewer = Reviewer {
        policies,
        docs_url: None,
        own_user: None,
        controllers: &ControllerUsers::default(),
        cost: u64::MAX,
        now: Timestamp::UNIX_EPOCH,
        seed: &RandomState::new(),
        observer: None,
    };
    reviewer.validate(body)
}

/// The `response` of an answer, which must be an AdmissionReview.
pub fn response(judged: &Judged) -> Value {
    let mut answer: Value = serde_json::from_slice(&judged.answer).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    answer["response"].take()
}

/// A text for a terminal.
pub fn is_presentable(text: &str, max: usize) {
    assert!(text.len() <= max, "{} bytes: {text}", text.len());
    assert!(!text.contains(|it: char| it.is_control() && it != '\n'), "{text:?}");
}
