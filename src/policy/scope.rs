//! Which namespaces a policy judges.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use super::rule::InvalidField;

/// The label with a namespace's name, which Kubernetes maintains on each namespace and no user can change.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The namespaces a policy judges.
#[derive(Clone, Debug)]
pub enum Scope {
    /// The namespace of a `DevOpsPolicy`.
    Namespace(String),
    /// The namespaces that a `ClusterDevOpsPolicy` selects. A policy of a file without a namespace selects all.
    Cluster(Selection),
}

/// A selection among all namespaces: by labels, minus names.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `spec.namespaceSelector`; `None` selects all.
    selector: Option<Selector>,
    /// `spec.excludeNamespaces`.
    pub(super) excluded: Vec<String>,
}

impl Selection {
    /// # Errors
    /// The selector has an unknown operator, invalid values, or an expression without a key.
    pub fn new(
        selector: Option<&LabelSelector>,
        excluded: Option<Vec<String>>,
    ) -> Result<Self, InvalidField> {
        let invalid = |error: kube::core::ParseExpressionError| InvalidField {
            path: "spec.namespaceSelector".to_owned(),
            message: error.to_string(),
        };
        let expressions = selector.iter().flat_map(|it| it.match_expressions.iter().flatten());
        if expressions.into_iter().any(|it| it.key.is_empty()) {
            return Err(InvalidField {
                path: "spec.namespaceSelector".to_owned(),
                message: "an expression has no key".to_owned(),
            });
        }
        let selector = selector.cloned().map(Selector::try_from).transpose().map_err(invalid)?;
        let selector = selector.filter(|selector| !selector.selects_all());
        Ok(Self { selector, excluded: excluded.unwrap_or_default() })
    }

    /// `spec.namespaceSelector`, unless it selects all.
    pub(super) fn selector(&self) -> Option<&Selector> {
        self.selector.as_ref()
    }

    /// Whether the selector matches a namespace's labels.
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }
}

impl Scope {
    /// Whether the scope selects by labels, so that the labels of namespaces must be known.
    pub fn reads_labels(&self) -> bool {
        matches!(self, Self::Cluster(Selection { selector: Some(_), .. }))
    }

    /// Whether the scope includes a namespace. `None` stands for unknown labels, which match.
    pub fn covers(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        match self {
            Self::Namespace(own) => own == namespace,
            Self::Cluster(Selection { selector, excluded }) => {
                let selected = match (selector, labels) {
                    (Some(selector), Some(labels)) => selector.matches(labels),
                    _ => true,
                };
                selected && !excluded.iter().any(|name| name == namespace)
            }
        }
    }

    /// The namespaces that it names: its own, or those that it excludes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::Namespace(own) => std::slice::from_ref(own),
            Self::Cluster(Selection { excluded, .. }) => excluded,
        };
        names.iter().map(String::as_str)
    }

    /// Whether the scope includes every namespace.
    pub fn covers_all(&self) -> bool {
        matches!(self, Self::Cluster(Selection { selector: None, excluded }) if excluded.is_empty())
    }

    /// The namespace of a `DevOpsPolicy`; `None` for other scopes.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::Cluster(_) => None,
        }
    }
}
