//! Previews what policies would do to a live cluster if they were enforced, and what those in force do. It never
//! writes.
//!
//! [`preview`] reads the objects; `judge` judges each as the webhook would at its creation (`created`), by two `sets`
//! of policies: those in force, and those in force after the change. [`answer`] is the result.

pub mod answer;
pub(super) mod created;
mod judge;
mod sets;

use std::sync::Arc;

use jiff::Timestamp;

use super::analyzer::Analyzer;
use super::cluster::{AnalysisError, Extent, resolve, unusable};
use super::read::{ResolvedExtent, read, unread_in};
use super::result::Analysis;
use crate::clusters::{Cluster, ClusterError};
use crate::findings::{Fault, FaultKind};
use crate::policies::list::ClusterPolicies;
use crate::policy::compile::Policy;
use crate::policy::made_pod::MAKERS;
use crate::policy::policy_set::PolicySet;
use crate::policy::protected::Protected;
use crate::policy::workload::Kind;
use answer::{Change, NamespaceChange, Preview, Standing};
use judge::PreviewJudge;
use sets::Sets;

/// The policies to preview.
pub enum Previewed {
    /// These, in their modes, together with the cluster's policies that they do not replace. If each has a namespace,
    /// only those namespaces are read.
    Given(Vec<Arc<Policy>>),
    /// Those in force in these namespaces, as they are.
    InForce(Extent),
}

/// Previews policies.
///
/// # Errors
/// No namespace can be previewed, or the API server does not answer. A list that it refuses is a fault of the preview.
pub async fn preview(
    cluster: &Cluster,
    previewed: Previewed,
    protected: Protected,
    now: Timestamp,
) -> Result<Preview, AnalysisError> {
    let (given, wanted, notes) = match previewed {
        Previewed::Given(policies) => {
            let (wanted, notes) = resolve_namespaces(cluster, &policies, &protected).await?;
            (Some(policies), wanted, notes)
        }
        Previewed::InForce(extent) => {
            (None, resolve(cluster, extent, &protected).await?, Vec::new())
        }
    };
    let names = || wanted.names.iter().map(String::as_str);
    let found = ClusterPolicies::read(cluster, wanted.everywhere, names()).await?;
    let replacing: Vec<_> = given.iter().flatten().map(|it| policy_name(it)).collect();
    let (own, namespaces) = (found.policies, wanted.metadata.clone());
    let sets = match given {
        Some(policies) => Sets::new(own, policies, namespaces, &protected),
        None => Sets::in_force(own, namespaces, &protected),
    };
    let default_checks = PolicySet::default_checks();
    let analyzer = |set| Analyzer::new(set, &default_checks, names().map(str::to_owned), now);
    let mut reader = Reader {
        cluster,
        wanted: &wanted,
        judge: PreviewJudge::new(&sets, names().map(str::to_owned), now),
        scores: [analyzer(&sets.before), analyzer(&sets.after)],
        faults: Vec::new(),
    };
    for kind in Kind::ALL {
        reader.read(kind).await?;
    }
    let Reader { judge, scores: [before, after], faults, .. } = reader;
    let any = !after.is_empty();
    let (mut preview, before, after) = (judge.finish(), before.finish(), after.finish());
    preview.namespaces = changes(&before, &after);
    preview.summary.score =
        any.then(|| Change { before: cluster_standing(&before), after: cluster_standing(&after) });
    let unusable = found.unusable.iter().filter(|it| !replacing.contains(&it.name)).map(unusable);
    // Without podgate, the cluster has no policies; that is a note, not a fault.
    let (absent, unread): (Vec<_>, Vec<_>) =
        found.faults.into_iter().partition(|it| it.kind == FaultKind::NotServed);
    preview.notes = notes;
    preview.notes.extend(absent.into_iter().map(|it| it.message));
    let refused = wanted.note.iter().map(|note| Fault::cluster("the namespaces", note));
    // Both analyses read the same pods and namespaces, and report the same faults.
    let mut reported = Vec::new();
    for fault in refused.chain(unread).chain(unusable).chain(faults).chain(after.faults) {
        if !reported.contains(&(fault.place.clone(), fault.message.clone())) {
            reported.push((fault.place.clone(), fault.message.clone()));
            preview.faults.push(fault);
        }
    }
    Ok(preview)
}

/// A policy's name in the form of [`ClusterPolicies`].
fn policy_name(policy: &Policy) -> String {
    match policy.scope.namespace() {
        Some(_) => format!("DevOpsPolicy {}", policy.label),
        None => format!("ClusterDevOpsPolicy {}", policy.label),
    }
}

/// The namespaces of the policies, and a note for each that does not exist or is protected.
async fn resolve_namespaces(
    cluster: &Cluster,
    policies: &[Arc<Policy>],
    protected: &Protected,
) -> Result<(ResolvedExtent, Vec<String>), AnalysisError> {
    let own: Option<Vec<_>> = policies.iter().map(|it| it.scope.namespace()).collect();
    let Some(mut own) = own else {
        let or_else = cluster.client.default_namespace().to_owned();
        let all = resolve(cluster, Extent::All { or_else }, protected).await?;
        return Ok((all, Vec::new()));
    };
    own.sort_unstable();
    own.dedup();
    let (mut together, mut notes, mut error) = (ResolvedExtent::default(), Vec::new(), None);
    for name in own {
        match resolve(cluster, Extent::One(name.to_owned()), protected).await {
            Ok(one) => {
                together.names.extend(one.names);
                together.metadata.extend(one.metadata);
            }
            Err(it @ (AnalysisError::NoNamespace(_) | AnalysisError::Protected(_))) => {
                notes.push(it.to_string());
                error = Some(it);
            }
            Err(it) => return Err(it),
        }
    }
    match error {
        // A folder may have policies of a namespace that does not exist yet; a missing namespace alone is mistyped.
        Some(error) if together.names.is_empty() => Err(error),
        _ => Ok((together, notes)),
    }
}

/// Reads every object and has it judged.
struct Reader<'c, 'p> {
    cluster: &'c Cluster,
    wanted: &'c ResolvedExtent,
    judge: PreviewJudge<'p>,
    scores: [Analyzer<'p>; 2],
    faults: Vec<Fault>,
}

impl Reader<'_, '_> {
    /// Reads the objects of a kind. Pods come before workloads, whose scores depend on whether they have pods.
    async fn read(&mut self, kind: Kind) -> Result<(), ClusterError> {
        let Self { cluster, wanted, .. } = *self;
        let unread = read(cluster, wanted, kind, |json| self.judge(kind, json)).await?;
        if let Some((place, message)) = unread_in(&unread).zip(unread.values().next()) {
            let fault = Fault::cluster(kind.names().resource, format!("{place}: {message}"));
            self.faults.push(fault);
        }
        if kind == Kind::Pod {
            for (name, message) in &unread {
                for score in &mut self.scores {
                    score.leave_out(name, &format!("it has no score: {message}"));
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self, kind: Kind, json: &str) {
        if let Err(message) = self.judge.object(kind, json) {
            let place = format!("a {}", kind.names().kind);
            self.faults.push(Fault::cluster(&place, format!("cannot be read: {message}")));
        }
        for score in &mut self.scores {
            match kind {
                Kind::Pod => score.pod(json),
                maker if MAKERS.contains(&maker) => score.workload(maker, json),
                _ => {}
            }
        }
    }
}

fn cluster_standing(analysis: &Analysis) -> Standing {
    let summary = &analysis.summary;
    Standing { score: summary.counts.score, classification: summary.classification }
}

fn changes(before: &Analysis, after: &Analysis) -> Vec<NamespaceChange> {
    let both = before.namespaces.iter().zip(&after.namespaces);
    let changes = both.map(|(before, after)| {
        let [was, would] = [before, after]
            .map(|it| Standing { score: it.score, classification: it.classification });
        NamespaceChange {
            namespace: after.namespace.clone(),
            change: Change { before: was, after: would },
        }
    });
    changes.collect()
}
