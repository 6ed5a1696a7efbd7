//! Manifests with every safe fix put in place: what `podgate fix` does.

use json_patch::PatchOperation;
use serde_json::Value;

use super::manifest::Judge;
use crate::findings::{Fault, FaultKind};
use crate::manifests::documents;
use crate::manifests::edit::{self, Edit};
use crate::policy::patch;

/// A text after its fixes.
#[derive(Default)]
pub struct Fixed {
    pub text: String,
    /// The objects that changed.
    pub patches: Vec<ObjectPatch>,
    /// How many violations there were, and how many of them no fix is known for.
    pub violations: usize,
    pub left: usize,
    pub faults: Vec<Fault>,
}

/// What changed in one object.
pub struct ObjectPatch {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub operations: Vec<PatchOperation>,
}

/// An object of the text, as it was and as it should be.
struct Planned {
    expected: Value,
    edits: Vec<Edit>,
    patch: Option<ObjectPatch>,
    line: String,
}

/// Fixes what can be fixed safely, and changes nothing else in the text.
pub fn fix(judge: &Judge<'_>, file: &str, text: &str) -> Fixed {
    let mut fixed = Fixed::default();
    let mut planned = Vec::new();
    documents::read(text, |object| {
        let fault = |at, message: String| Fault {
            place: format!("{file}:{at}"),
            message,
            kind: FaultKind::Input,
        };
        let manifest = match object {
            Ok(manifest) => manifest,
            Err(error) => return fixed.faults.push(fault(error.at, error.message)),
        };
        let mut object = Planned {
            expected: manifest.node.to_json(),
            edits: Vec::new(),
            patch: None,
            line: format!("{file}:{}", manifest.node.at),
        };
        let judged = judge.workload(&manifest, |found| {
            let safe: Vec<_> =
                found.findings.iter().filter_map(|it| it.breach.fix.as_ref()).collect();
            fixed.violations += found.findings.len();
            fixed.left += found.findings.len() - safe.len();
            let operations = patch::operations(&object.expected, safe);
            let Some(edits) = edit::edits(text, &manifest.node, &operations) else {
                let message =
                    "an alias stands for what should change; it is left as it was".to_owned();
                return fixed.faults.push(fault(manifest.node.at, message));
            };
            if operations.is_empty()
                || json_patch::patch(&mut object.expected, &operations).is_err()
            {
                return;
            }
            object.edits = edits;
            object.patch = Some(ObjectPatch {
                kind: manifest.kind.clone(),
                namespace: found.subject.namespace.map(str::to_owned),
                name: found.subject.metadata.map(|it| it.name.to_string()).unwrap_or_default(),
                operations,
            });
        });
        if let Err((at, message)) = judged {
            fixed.faults.push(fault(at, message));
        }
        planned.push(object);
    });
    put_in_place(text, planned, &mut fixed);
    fixed
}

/// Applies the edits, reads the result again, and gives up on a text that does not say what it should: an anchor may
/// have carried a change to where it was not wanted.
fn put_in_place(text: &str, planned: Vec<Planned>, fixed: &mut Fixed) {
    let edits = planned.iter().flat_map(|plan| plan.edits.iter().cloned()).collect();
    let edited = edit::apply(text, edits);
    let mut found = Vec::new();
    documents::read(&edited, |object| found.extend(object.map(|object| object.node.to_json())));
    let differs = planned.iter().map(|plan| &plan.expected).ne(&found);
    if differs {
        text.clone_into(&mut fixed.text);
        let place = planned.iter().find(|plan| plan.patch.is_some()).map(|plan| plan.line.clone());
        fixed.faults.push(Fault {
            place: place.unwrap_or_default(),
            message: "it shares text with something that must not change; apply the patch instead: podgate fix -o patch".to_owned(),
            kind: FaultKind::Input,
        });
    } else {
        fixed.text = edited;
    }
    fixed.patches = planned.into_iter().filter_map(|plan| plan.patch).collect();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::api::DevOpsPolicySpec;
    use crate::policy::compile::Policy;
    use crate::policy::policy_set::PolicySet;
    use crate::policy::scope::{Scope, Selection};

    fn fixed(text: &str) -> Fixed {
        let spec: DevOpsPolicySpec = serde_json::from_str(
            r#"{"forbidLatestTag": true, "requireReadinessProbe": true, "requireResourceLimits": ["memory"],
                "imageTags": [{"image": "nginx", "from": "latest", "to": "1.29"}],
                "defaultResources": {"memoryLimit": "256Mi"}, "defaultProbe": {}}"#,
        )
        .unwrap();
        let scope = Scope::Cluster(Selection::default());
        let policy = Policy::compile(scope, "p".to_owned(), &spec).unwrap();
        let policies = PolicySet::new([Arc::new(policy)], Arc::default());
        let judge = Judge {
            policies: &policies,
            namespace: None,
            now: Timestamp::UNIX_EPOCH,
            as_written: true,
        };
        fix(&judge, "a.yaml", text)
    }

    const DEPLOYMENT: &str = "\
# Source: chart/templates/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
        - name: web # the server
          image: nginx
          ports: [{containerPort: 80}]
        - name: odd
          image: other
---
apiVersion: v1
kind: ConfigMap
";

    #[test]
    fn what_is_safe_is_fixed_and_everything_else_stays_as_it_was_written() {
        let fixed = fixed(DEPLOYMENT);
        insta::assert_snapshot!(fixed.text, @"
        # Source: chart/templates/web.yaml
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          template:
            spec:
              containers:
                - name: web # the server
                  image: nginx:1.29
                  ports: [{containerPort: 80}]
                  resources:
                    limits:
                      memory: 256Mi
                  readinessProbe:
                    tcpSocket:
                      port: 80
                - name: odd
                  image: other
                  resources:
                    limits:
                      memory: 256Mi
        ---
        apiVersion: v1
        kind: ConfigMap
        ");
        assert_eq!((fixed.violations, fixed.left, fixed.faults.len()), (6, 2, 0));
    }

    #[test]
    fn fixing_twice_changes_nothing_more() {
        let once = fixed(DEPLOYMENT);
        let twice = fixed(&once.text);
        assert_eq!(twice.text, once.text);
        assert!(twice.patches.is_empty());
    }

    #[test]
    fn a_text_that_shares_what_should_change_is_left_alone_and_told() {
        let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - &c {name: web, image: nginx}\nother: *c\n";
        let fixed = fixed(text);
        assert_eq!(fixed.text, text);
        assert!(fixed.faults[0].message.contains("podgate fix -o patch"), "{:?}", fixed.faults);
        assert!(!fixed.patches.is_empty());
    }
}
