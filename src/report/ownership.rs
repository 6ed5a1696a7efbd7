//! The marks of the objects that podgate writes.

/// The field manager of podgate's reports.
pub(super) const FIELD_MANAGER: &str = "podgate";
/// The label of every report and Event that podgate writes: key and value.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "podgate");
