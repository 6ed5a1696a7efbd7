//! The lists of pods and workloads. Each kind is listed and watched on its own.

use std::collections::BTreeMap;

use super::super::namespace::PolicyTransitions;
use crate::policy::made_pod::MAKERS;
use crate::policy::observed::WorkloadKey;
use crate::policy::registry;
use crate::policy::workload::Kind;

/// The lists of all kinds, by kind.
#[derive(Default)]
pub(super) struct Lists(BTreeMap<Kind, KindList>);

#[derive(Default)]
struct KindList {
    /// The number of the last list.
    number: u32,
    first: FirstList,
}

/// The state of a kind's first list.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum FirstList {
    #[default]
    Pending,
    Complete,
    /// podgate may not list the kind.
    Forbidden,
}

impl Lists {
    /// The number of the last list of a kind.
    pub fn number(&self, kind: Kind) -> u32 {
        self.0.get(&kind).map_or(0, |list| list.number)
    }

    pub fn begins(&mut self, kind: Kind) {
        let list = self.0.entry(kind).or_default();
        list.number = list.number.wrapping_add(1);
    }

    pub fn ends(&mut self, kind: Kind) {
        self.0.entry(kind).or_default().first = FirstList::Complete;
    }

    pub fn is_forbidden(&mut self, kind: Kind) {
        let list = self.0.entry(kind).or_default();
        if list.first == FirstList::Pending {
            list.first = FirstList::Forbidden;
        }
    }

    /// Whether every kind has been listed once, but for workloads that podgate may not list.
    pub fn are_complete(&self) -> bool {
        self.first(Kind::Pod) == FirstList::Complete
            && MAKERS.into_iter().all(|kind| self.first(kind) != FirstList::Pending)
    }

    /// Whether a workload of this kind that has neither pods nor a template has ended. A ReplicaSet or a Job may have
    /// an owner, and podgate does not know the owners that it does not judge.
    fn know_ends_of(&self, kind: &str) -> bool {
        let known = |it: &Kind| it.names().kind == kind;
        match Kind::ALL.into_iter().find(known) {
            Some(Kind::Pod) => true,
            Some(Kind::ReplicaSet | Kind::Job) | None => false,
            Some(kind) => self.first(kind) == FirstList::Complete,
        }
    }

    /// Of changes by which a workload has no pod left, drops the ends of violations that nobody mended: those of status
    /// rules where its template stands in, which no template can break, and all where podgate would not see the
    /// workload's own end.
    pub fn drop_unknown_ends(
        &self,
        workload: &WorkloadKey,
        stands_in: bool,
        changed: &mut [PolicyTransitions],
    ) {
        for PolicyTransitions { transitions, .. } in changed {
            transitions.retain(|it| {
                let rule = it.violation.fault.rule;
                !it.gone
                    || (stands_in && registry::denies(rule))
                    || (!stands_in && self.know_ends_of(&workload.kind))
            });
        }
    }

    fn first(&self, kind: Kind) -> FirstList {
        self.0.get(&kind).map_or(FirstList::Pending, |list| list.first)
    }
}
