//! The reasons of the Events that podgate writes. Each has one type.

/// The `type` of an Event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The `reason` of an Event, as `kubectl describe` shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventReason {
    PolicyViolation,
    PolicyViolationResolved,
    PodsRefused,
    /// A workload was admitted while podgate did not judge.
    AdmittedUnjudged,
    /// An exemption ends soon, or has ended.
    ExemptionEnds,
    RemediationProposed,
    RemediationConflict,
    Repairing,
    Repaired,
    RepairUndone,
    RolledBack,
    RollbackRefused,
}

impl EventReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PolicyViolation => "PolicyViolation",
            Self::PolicyViolationResolved => "PolicyViolationResolved",
            Self::PodsRefused => "PodsRefused",
            Self::AdmittedUnjudged => "AdmittedUnjudged",
            Self::ExemptionEnds => "ExemptionEnds",
            Self::RemediationProposed => "RemediationProposed",
            Self::RemediationConflict => "RemediationConflict",
            Self::Repairing => "Repairing",
            Self::Repaired => "Repaired",
            Self::RepairUndone => "RepairUndone",
            Self::RolledBack => "RolledBack",
            Self::RollbackRefused => "RollbackRefused",
        }
    }

    pub const fn event_type(self) -> EventType {
        match self {
            Self::PolicyViolationResolved
            | Self::RemediationProposed
            | Self::Repairing
            | Self::Repaired => EventType::Normal,
            Self::PolicyViolation
            | Self::PodsRefused
            | Self::AdmittedUnjudged
            | Self::ExemptionEnds
            | Self::RemediationConflict
            | Self::RepairUndone
            | Self::RolledBack
            | Self::RollbackRefused => EventType::Warning,
        }
    }
}
