//! Which namespaces a policy judges.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use super::rule::InvalidField;

/// The namespaces a policy judges.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Its own: a `DevOpsPolicy` of a cluster.
    Namespace(String),
    /// Those it selects: a `ClusterDevOpsPolicy`; or all, where a file's policy names none.
    Cluster(Selection),
}

/// Which namespaces, of all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// By their labels; `None` selects all.
    selector: Option<Selector>,
    /// Names that are left out.
    pub(super) excluded: Vec<String>,
}

impl Selection {
    /// # Errors
    /// The selector's operator or values are not what Kubernetes knows.
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
}

impl Scope {
    /// Whether namespaces are chosen by labels, so that their labels must be known.
    pub fn reads_labels(&self) -> bool {
        matches!(self, Self::Cluster(Selection { selector: Some(_), .. }))
    }

    /// Whether it covers a namespace. Labels that are not known are taken to match.
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

    /// Whether there is no namespace that it leaves out.
    pub fn covers_all(&self) -> bool {
        matches!(self, Self::Cluster(Selection { selector: None, excluded }) if excluded.is_empty())
    }

    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::Cluster(_) => None,
        }
    }
}
