//! The built-in bundles, and the default checks.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::rule::InvalidField;
use crate::api::{BundleName, DevOpsPolicySpec};

/// The version of the bundles. It changes whenever a bundle does.
pub const VERSION: &str = "2";

/// The spec of a bundle: rules, and no mode. A policy without `enforcementMode` audits, whatever its bundle.
pub fn spec(bundle: BundleName) -> DevOpsPolicySpec {
    // A test decodes every bundle.
    serde_json::from_value(fields(bundle)).unwrap_or_default()
}

fn fields(bundle: BundleName) -> Value {
    match bundle {
        BundleName::Permissive => json!({
            "forbidLatestTag": true,
            "requireLivenessProbe": true,
            "requireReadinessProbe": true,
            "maxRestartCount": 10,
            "forbidPendingDuration": 600,
        }),
        BundleName::Baseline => json!({
            "forbidLatestTag": true,
            "requireReadinessProbe": true,
            "podSecurity": "baseline",
            "requireResourceRequests": ["cpu", "memory"],
        }),
        BundleName::Restricted => json!({
            "forbidLatestTag": true,
            "requireLivenessProbe": true,
            "requireReadinessProbe": true,
            "maxRestartCount": 3,
            "forbidPendingDuration": 300,
            "podSecurity": "restricted",
            "requireResourceRequests": ["cpu", "memory"],
            "requireResourceLimits": ["memory"],
        }),
    }
}

/// The name of the default checks where a policy is named.
pub const DEFAULT_CHECKS: &str = "founding-checks";

/// The five default checks. They apply if no policy is given.
pub fn default_checks() -> DevOpsPolicySpec {
    DevOpsPolicySpec {
        forbid_latest_tag: Some(true),
        require_liveness_probe: Some(true),
        require_readiness_probe: Some(true),
        max_restart_count: Some(3),
        forbid_pending_duration: Some(300),
        ..DevOpsPolicySpec::default()
    }
}

/// A spec merged over its bundle. A field that is set wins, also an explicit `false`, and lists replace lists.
///
/// # Errors
/// The merged spec does not decode.
pub fn effective(spec: &DevOpsPolicySpec) -> Result<Cow<'_, DevOpsPolicySpec>, InvalidField> {
    let Some(bundle) = spec.bundle else { return Ok(Cow::Borrowed(spec)) };
    let mut merged = fields(bundle);
    let own = serde_json::to_value(spec).map_err(|error| unreadable(&error))?;
    if let (Value::Object(merged), Value::Object(own)) = (&mut merged, own) {
        merged.extend(own);
    }
    serde_json::from_value(merged).map(Cow::Owned).map_err(|error| unreadable(&error))
}

/// The error of a spec that cannot be converted to or from JSON. A spec that was decoded from JSON always can.
pub(super) fn unreadable(error: &serde_json::Error) -> InvalidField {
    InvalidField { path: "spec".to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EnforcementMode;
    use crate::policy::text;

    #[test]
    fn every_bundle_is_a_spec() {
        for bundle in BundleName::ALL {
            serde_json::from_value::<DevOpsPolicySpec>(fields(bundle)).unwrap();
        }
    }

    /// `status.bundle.version` has the version in force, so a bundle and its version must change together.
    #[test]
    fn a_bundle_that_changes_has_another_version() {
        let asked = BundleName::ALL.map(|bundle| {
            format!("{} {}", bundle.as_str(), text::hash(&fields(bundle).to_string()))
        });
        insta::assert_snapshot!(format!("version {VERSION}\n{}", asked.join("\n")), @"
        version 2
        permissive 7fcf26a6096a29cd5983ed745cf6ae2f
        baseline 3d90367ee5d16b32af03f133629f8c7b
        restricted df01eac7afa7b797a96523ff46a644f8
        ");
    }

    #[test]
    fn a_field_that_is_set_wins_over_the_bundle_and_the_rest_is_the_bundles() {
        let own: DevOpsPolicySpec = serde_json::from_value(json!({
            "bundle": "restricted",
            "enforcementMode": "warn",
            "requireLivenessProbe": false,
            "requireResourceRequests": ["memory"],
        }))
        .unwrap();
        let spec = effective(&own).unwrap();
        assert_eq!(spec.enforcement_mode, Some(EnforcementMode::Warn));
        assert_eq!(spec.require_liveness_probe, Some(false));
        assert_eq!(spec.require_resource_requests.as_ref().unwrap().len(), 1);
        assert_eq!(spec.require_readiness_probe, Some(true));
        assert_eq!(spec.max_restart_count, Some(3));
    }
}
