//! What each function does, in a line, for the documentation.

/// What a function does; operators and the helpers of macros have no description.
pub fn description(function: &str) -> Option<&'static str> {
    DESCRIPTIONS.iter().find(|(name, _)| *name == function).map(|(_, text)| *text)
}

/// What Kubernetes has and podgate refuses, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "authorizer",
        "podgate asks nobody but the object: an answer that depends on who is authorized to what is no property of a workload, and the audit has no request",
    ),
    (
        "request",
        "the audit and the scan judge objects, not requests, and must come to the same result",
    ),
    (
        "oldObject",
        "the audit and the scan see one object; podgate compares with the old one itself (an update inherits what the old object violated)",
    ),
    ("params", "a policy has no parameter resources"),
];

const DESCRIPTIONS: &[(&str, &str)] = &[("abs", "")];
