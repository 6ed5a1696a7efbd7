//! The state of the floor ([`super::vap::floor`]), as the leader and the beat observe it.

use std::collections::BTreeMap;

/// Whether every API server knows podgate's newest beat, as the floor's canary tells.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Canary {
    /// No beat has decided yet.
    #[default]
    Undecided,
    Fresh,
    /// One does not: why, as a sentence.
    Stale(String),
}

/// The floor as the statuses of policies show it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FloorState {
    /// `None` where podgate keeps no floor.
    pub kept: Option<Kept>,
}

/// A floor that is kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Kept {
    /// Whether the API servers have it, or why not, as a sentence; `None` until that is known.
    pub ready: Option<Result<(), String>>,
    /// What it does not hold, by the labels of the policies that enforce, one sentence each. `None` until it is known.
    pub missing: Option<BTreeMap<String, Vec<String>>>,
}
