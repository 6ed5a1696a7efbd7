//! One policy in one namespace: its open violations, its exempt ones, and its score.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::began::BeganTimes;
use super::facts::PodFinding;
use super::live_score::LiveScore;
use crate::api::Severity;
use crate::policy::compile::Policy;
use crate::policy::observed::{Fault, Summary, Violation, WorkloadKey};
use crate::policy::score::{Costs, Loss};

/// Identifies a violation among the findings of a namespace's pods, in the order in which violations are listed.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct OpenViolationKey {
    workload: Arc<WorkloadKey>,
    place: FaultPlace,
}

impl OpenViolationKey {
    /// `RULE` or `RULE/CHECK`.
    pub fn rule(&self) -> &str {
        &self.place.0.id
    }
}

/// A rule or check, a container and a path.
#[derive(Clone, Debug)]
struct FaultPlace(Arc<Fault>);

impl FaultPlace {
    fn parts(&self) -> (&str, Option<&str>, &str) {
        (&self.0.id, self.0.container.as_deref(), &self.0.path)
    }
}

impl Ord for FaultPlace {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.parts().cmp(&other.parts())
    }
}
impl PartialOrd for FaultPlace {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for FaultPlace {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}
impl Eq for FaultPlace {}

/// A violation, and how many pods have it.
#[derive(Clone, Debug)]
struct OpenViolation {
    began: Timestamp,
    pods: u32,
    /// The fault of the pod that changed last: its message may contain a number that differs between pods.
    fault: Arc<Fault>,
}

/// A violation that began or went.
pub(super) struct Transition {
    pub violation: Violation,
    pub gone: bool,
}

/// A policy's counts in a namespace.
#[derive(Default)]
pub(super) struct NamespaceCell {
    pub scope: LiveScore,
    /// By severity, worst first.
    open: [BTreeMap<OpenViolationKey, OpenViolation>; 4],
    undecided: u64,
    /// The number of pods with an exempt violation, by the exemption's place in `spec.exemptions` and the violation.
    exempt: BTreeMap<(u16, OpenViolationKey), u32>,
    /// This cell's part of the policy's sums, as last added.
    pub counted: CellSums,
}

/// What a cell adds to its policy's sums.
#[derive(Clone, Default)]
pub(super) struct CellSums {
    pub loss: Loss,
    pub workloads: u64,
    pub open: [u64; 4],
}

impl NamespaceCell {
    pub fn new(costs: Costs) -> Self {
        Self { scope: LiveScore::new(costs), ..Self::default() }
    }

    /// Replaces a pod's findings of this policy and returns the violations that began or went. `pods` is the number of
    /// the workload's pods that this cell counted before.
    pub fn change(
        &mut self,
        workload: &Arc<WorkloadKey>,
        pods: u64,
        before: Option<&[PodFinding]>,
        after: Option<&[PodFinding]>,
        policy: &Policy,
        began: &BeganTimes<'_>,
    ) -> Vec<Transition> {
        let violated = |findings: &[PodFinding]| {
            let counted = findings.iter().filter(|it| it.exemption.is_none());
            counted.map(|it| (it.fault.rule, it.degree)).collect::<Vec<_>>().into_iter()
        };
        self.scope.change(workload, pods, before.map(violated), after.map(violated));
        // Additions come first, so that a violation in both never ends in between.
        let added = after.into_iter().flatten();
        let mut transitions: Vec<_> =
            added.filter_map(|it| self.add(workload, it, policy, began)).collect();
        let removed = before.into_iter().flatten();
        transitions.extend(removed.filter_map(|it| self.remove(workload, it)));
        transitions
    }

    fn add(
        &mut self,
        workload: &Arc<WorkloadKey>,
        finding: &PodFinding,
        policy: &Policy,
        began: &BeganTimes<'_>,
    ) -> Option<Transition> {
        let key = key(workload, &finding.fault);
        if let Some(place) = finding.exemption {
            *self.exempt.entry((place, key)).or_default() += 1;
            return None;
        }
        // An edit of the policy may have changed the severity of a violation that began long ago.
        let earlier = self.open.iter().find_map(|open| open.get(&key)).map(|open| open.began);
        let open = self.open.get_mut(finding.severity as usize)?;
        if let Some(open) = open.get_mut(&key) {
            open.pods += 1;
            self.undecided += u64::from(finding.fault.undecided);
            self.undecided -= u64::from(open.fault.undecided);
            open.fault = Arc::clone(&finding.fault);
            return None;
        }
        let began = earlier.unwrap_or_else(|| began.of(policy, workload, &finding.fault));
        let fault = Arc::clone(&finding.fault);
        let state = OpenViolation { began, pods: 1, fault };
        let violation = violation(&key, finding.severity, &state);
        self.undecided += u64::from(finding.fault.undecided);
        open.insert(key, state);
        Some(Transition { violation, gone: false })
    }

    fn remove(&mut self, workload: &Arc<WorkloadKey>, finding: &PodFinding) -> Option<Transition> {
        let key = key(workload, &finding.fault);
        if let Some(place) = finding.exemption {
            let key = (place, key);
            if let Some(pods) = self.exempt.get_mut(&key) {
                *pods -= 1;
                if *pods == 0 {
                    self.exempt.remove(&key);
                }
            }
            return None;
        }
        let open = self.open.get_mut(finding.severity as usize)?;
        let state = open.get_mut(&key)?;
        state.pods -= 1;
        if state.pods > 0 {
            return None;
        }
        let state = open.remove(&key)?;
        self.undecided -= u64::from(state.fault.undecided);
        Some(Transition { violation: violation(&key, finding.severity, &state), gone: true })
    }

    /// The open violations of a severity, in the order in which they are listed.
    pub fn open_at(&self, severity: Severity) -> impl Iterator<Item = Violation> {
        let open = self.open.get(severity as usize).into_iter().flatten();
        open.map(move |(key, state)| violation(key, severity, state))
    }

    /// The open violations with their severity.
    pub fn open_keys(&self) -> impl Iterator<Item = (&OpenViolationKey, Severity)> {
        let by_severity = self.open.iter().zip(Severity::ALL);
        by_severity.flat_map(|(open, severity)| open.keys().map(move |key| (key, severity)))
    }

    /// The workloads with an open violation.
    pub fn violating(&self) -> Vec<Arc<WorkloadKey>> {
        let open = self.open.iter().flat_map(BTreeMap::keys);
        open.map(|it| Arc::clone(&it.workload)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// This cell's part of the policy's sums, counted now.
    pub fn count(&self) -> CellSums {
        CellSums {
            loss: self.scope.loss(),
            workloads: self.scope.workloads(),
            open: [0, 1, 2, 3].map(|at| self.open.get(at).map_or(0, BTreeMap::len) as u64),
        }
    }

    /// Each exemption and workload with a violation that the exemption lets pass here, as the exemption's place in
    /// `spec.exemptions`. Places come in ascending order, once for each workload.
    pub fn exempted(&self) -> impl Iterator<Item = usize> {
        let mut pairs: Vec<_> =
            self.exempt.keys().map(|(place, key)| (*place, &key.workload)).collect();
        // The keys are in the order of places and workloads.
        pairs.dedup();
        pairs.into_iter().map(|(place, _)| usize::from(place))
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

fn key(workload: &Arc<WorkloadKey>, fault: &Arc<Fault>) -> OpenViolationKey {
    OpenViolationKey { workload: Arc::clone(workload), place: FaultPlace(Arc::clone(fault)) }
}

fn violation(key: &OpenViolationKey, severity: Severity, open: &OpenViolation) -> Violation {
    Violation {
        workload: Arc::clone(&key.workload),
        severity,
        fault: Arc::clone(&open.fault),
        began: open.began,
        pods: open.pods,
    }
}
