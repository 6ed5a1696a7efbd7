//! One policy in one namespace: what is open there, what is exempt, and its score.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::PodFinding;
use super::scope::Scope;
use crate::api::Severity;
use crate::policy::observed::{Fault, Summary, Violation, WorkloadKey};
use crate::policy::score::{Loss, Weights};

/// What makes two findings in the pods of a namespace one violation, in the order in which violations are told.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ViolationKey {
    workload: Arc<WorkloadKey>,
    place: Place,
}

/// A rule or check, a container and a path.
#[derive(Clone, Debug)]
struct Place(Arc<Fault>);

impl Place {
    fn parts(&self) -> (&str, Option<&str>, &str) {
        (&self.0.id, self.0.container.as_deref(), &self.0.path)
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}
impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}
impl Eq for Place {}

/// A violation, and how many pods have it.
#[derive(Clone, Debug)]
struct Open {
    began: Timestamp,
    pods: u32,
    /// As the pod has it that changed last: its message may tell a number.
    fault: Arc<Fault>,
}

/// A violation that came or went.
pub(super) struct Turn {
    pub violation: Violation,
    pub gone: bool,
}

#[derive(Default)]
pub(super) struct Cell {
    pub scope: Scope,
    /// By severity, worst first.
    open: [BTreeMap<ViolationKey, Open>; 4],
    undecided: u64,
    /// By what lets it pass, in how many pods it stands.
    exempt: BTreeMap<(u16, ViolationKey), u32>,
    /// What the policy's sums hold of this cell.
    pub counted: Counted,
}

/// What a cell adds to its policy's sums.
#[derive(Clone, Default)]
pub(super) struct Counted {
    pub loss: Loss,
    pub workloads: u64,
    pub open: [u64; 4],
}

impl Cell {
    pub fn new(weights: Weights) -> Self {
        Self { scope: Scope::new(weights), ..Self::default() }
    }

    /// Takes a pod's findings of this policy out and others in; so many of the workload's `pods` were counted before. What is
    /// new began `now`, or when `began` says.
    pub fn change(
        &mut self,
        workload: &Arc<WorkloadKey>,
        pods: u64,
        before: Option<&[PodFinding]>,
        after: Option<&[PodFinding]>,
        began: &mut impl FnMut(&WorkloadKey, &Fault) -> Timestamp,
        turns: &mut Vec<Turn>,
    ) {
        let violated = |findings: &[PodFinding]| {
            let counted = findings.iter().filter(|it| it.exemption.is_none());
            counted.map(|it| (it.fault.rule, it.degree)).collect::<Vec<_>>().into_iter()
        };
        self.scope.change(workload, pods, before.map(violated), after.map(violated));
        // In first, so that what stays never ends.
        for finding in after.into_iter().flatten() {
            self.add(workload, finding, began, turns);
        }
        for finding in before.into_iter().flatten() {
            self.remove(workload, finding, turns);
        }
    }

    fn add(
        &mut self,
        workload: &Arc<WorkloadKey>,
        finding: &PodFinding,
        began: &mut impl FnMut(&WorkloadKey, &Fault) -> Timestamp,
        turns: &mut Vec<Turn>,
    ) {
        let key = key(workload, &finding.fault);
        if let Some(place) = finding.exemption {
            *self.exempt.entry((place, key)).or_default() += 1;
            return;
        }
        // A policy's edit may have changed the severity of what began long ago.
        let earlier = self.open.iter().find_map(|open| open.get(&key)).map(|open| open.began);
        let Some(open) = self.open.get_mut(finding.severity as usize) else { return };
        if let Some(open) = open.get_mut(&key) {
            open.pods += 1;
            self.undecided += u64::from(finding.fault.undecided);
            self.undecided -= u64::from(open.fault.undecided);
            open.fault = Arc::clone(&finding.fault);
            return;
        }
        let began = earlier.unwrap_or_else(|| began(workload, &finding.fault));
        let fault = Arc::clone(&finding.fault);
        let state = Open { began, pods: 1, fault };
        turns.push(Turn { violation: violation(&key, finding.severity, &state), gone: false });
        self.undecided += u64::from(finding.fault.undecided);
        open.insert(key, state);
    }

    fn remove(&mut self, workload: &Arc<WorkloadKey>, finding: &PodFinding, turns: &mut Vec<Turn>) {
        let key = key(workload, &finding.fault);
        if let Some(place) = finding.exemption {
            let key = (place, key);
            if let Some(pods) = self.exempt.get_mut(&key) {
                *pods -= 1;
                if *pods == 0 {
                    self.exempt.remove(&key);
                }
            }
            return;
        }
        let Some(open) = self.open.get_mut(finding.severity as usize) else { return };
        let Some(state) = open.get_mut(&key) else { return };
        state.pods -= 1;
        if state.pods == 0
            && let Some(state) = open.remove(&key)
        {
            self.undecided -= u64::from(state.fault.undecided);
            let violation = violation(&key, finding.severity, &state);
            turns.push(Turn { violation, gone: true });
        }
    }

    /// What is open of a severity, in the order in which it is told.
    pub fn open_at(&self, severity: Severity) -> impl Iterator<Item = Violation> {
        let open = self.open.get(severity as usize).into_iter().flatten();
        open.map(move |(key, state)| violation(key, severity, state))
    }

    /// The workloads of which anything is open.
    pub fn violating(&self) -> Vec<Arc<WorkloadKey>> {
        let open = self.open.iter().flat_map(BTreeMap::keys);
        open.map(|it| Arc::clone(&it.workload)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What it adds to its policy's sums now.
    pub fn count(&self) -> Counted {
        Counted {
            loss: self.scope.loss(),
            workloads: self.scope.workloads(),
            open: [0, 1, 2, 3].map(|at| self.open.get(at).map_or(0, BTreeMap::len) as u64),
        }
    }

    /// The places in `spec.exemptions` of those that let something pass here.
    pub fn used(&self) -> impl Iterator<Item = usize> {
        self.exempt.keys().map(|(place, _)| usize::from(*place))
    }

    pub fn summary(&self) -> Summary {
        let open = self.open.iter().map(BTreeMap::len).sum::<usize>() as u64;
        Summary {
            pass: self.scope.kept(),
            fail: open - self.undecided,
            error: self.undecided,
            skip: self.exempt.len() as u64,
        }
    }
}

fn key(workload: &Arc<WorkloadKey>, fault: &Arc<Fault>) -> ViolationKey {
    ViolationKey { workload: Arc::clone(workload), place: Place(Arc::clone(fault)) }
}

fn violation(key: &ViolationKey, severity: Severity, open: &Open) -> Violation {
    Violation {
        workload: Arc::clone(&key.workload),
        severity,
        fault: Arc::clone(&open.fault),
        began: open.began,
        pods: open.pods,
    }
}
