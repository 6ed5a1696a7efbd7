//! The result of a check of `podgate check`.

use serde::Serialize;

use crate::clusters::cause;

/// The result of one check.
#[derive(Debug, Serialize)]
pub struct Check {
    pub state: CheckState,
    pub subject: CheckSubject,
    /// What was found, as a sentence.
    pub what: String,
    /// The next step; null where none is needed.
    pub todo: Option<String>,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    Ok,
    /// podgate works, but something should be changed.
    Warning,
    /// podgate does not work.
    Error,
}

impl CheckState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The subject of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckSubject {
    Api,
    Permission,
    Crd,
    Webhook,
    Policy,
}

impl CheckSubject {
    pub(super) fn ok(self, what: impl Into<String>) -> Check {
        Check { state: CheckState::Ok, subject: self, what: what.into(), todo: None }
    }

    pub(super) fn warning(self, what: impl Into<String>, todo: impl Into<String>) -> Check {
        Check {
            state: CheckState::Warning,
            subject: self,
            what: what.into(),
            todo: Some(todo.into()),
        }
    }

    pub(super) fn error(self, what: impl Into<String>, todo: impl Into<String>) -> Check {
        Check { state: CheckState::Error, ..self.warning(what, todo) }
    }

    /// The check could not read an object; that alone is no fault of the cluster.
    pub(super) fn unseen(self, what: &str, error: &kube::Error) -> Check {
        self.warning(
            format!("{what} cannot be seen: {}", cause(error)),
            "ask a cluster admin to run podgate check",
        )
    }
}
