//! Applies every safe fix to a text, for `podgate fix`.

use json_patch::PatchOperation;
use serde_json::Value;

use super::manifest::{JudgedWorkload, ManifestJudge};
use super::passed_over::{self, Source};
use crate::findings::Fault;
use crate::manifests::documents::{self, Manifest};
use crate::manifests::edit::{self, Edit};
use crate::manifests::error::ManifestError;
use crate::policy::patch;

/// A text after its fixes.
#[derive(Default)]
pub struct Fixed {
    pub text: String,
    pub changed: bool,
    /// The changes, one for each object that changed.
    pub patches: Vec<ObjectPatch>,
    /// How many violations the text had.
    pub violations: usize,
    /// How many of them have no safe fix.
    pub left: usize,
    pub faults: Vec<Fault>,
}

/// The changes to one object.
pub struct ObjectPatch {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub operations: Vec<PatchOperation>,
}

/// The fix of one object.
struct ObjectFix {
    /// The object that the edited text must decode to.
    expected: Value,
    edits: Vec<Edit>,
    /// `None` if the object does not change.
    patch: Option<ObjectPatch>,
    /// `FILE:LINE:COLUMN`.
    place: String,
}

/// Fixes the violations that have a safe fix, and changes nothing else in the text.
/// Of a text of a folder, only the objects count: without one, nothing is fixed, and the text is empty.
pub fn fix(judge: &ManifestJudge<'_>, file: &str, text: &str, source: Source) -> Fixed {
    let mut fixed = Fixed::default();
    let mut objects = Vec::new();
    // A chart's template is edited by nobody but its author.
    if source == Source::Template || source.unread(text).is_some() {
        return fixed;
    }
    let refused = |error| match passed_over::of(source, text, &error) {
        Some(_) => None,
        None => Some(error.in_file(file)),
    };
    for object in documents::read(text) {
        let manifest = match object {
            Ok(manifest) => manifest,
            Err(error) => {
                fixed.faults.extend(refused(error));
                continue;
            }
        };
        let mut object = ObjectFix {
            expected: manifest.node.to_json(),
            edits: Vec::new(),
            patch: None,
            place: format!("{file}:{}", manifest.node.at),
        };
        match judge.workload(&manifest) {
            Ok(None) => {}
            Ok(Some(found)) => {
                let safe = found.findings.iter().filter_map(|it| it.finding.breach.fix.as_ref());
                let safe: Vec<_> = safe.collect();
                fixed.violations += found.findings.len();
                fixed.left += found.findings.len() - safe.len();
                let operations = patch::operations(&object.expected, safe);
                if let Err(error) = object.plan(text, &manifest, &found, operations) {
                    fixed.faults.push(error.in_file(file));
                }
            }
            Err(error) => fixed.faults.extend(refused(error)),
        }
        objects.push(object);
    }
    if objects.is_empty() && source == Source::Folder {
        return fixed;
    }
    apply(text, objects, &mut fixed);
    fixed
}

impl ObjectFix {
    /// Plans the edits that have the effect of the patch.
    ///
    /// # Errors
    /// An alias stands for a value that should change.
    fn plan(
        &mut self,
        text: &str,
        manifest: &Manifest<'_>,
        found: &JudgedWorkload<'_>,
        operations: Vec<PatchOperation>,
    ) -> Result<(), ManifestError> {
        let Some(edits) = edit::edits(text, &manifest.node, &operations) else {
            let message =
                "an alias stands for a value that should change; the object is left unchanged";
            return Err(ManifestError::new(manifest.node.at, message));
        };
        if operations.is_empty() || json_patch::patch(&mut self.expected, &operations).is_err() {
            return Ok(());
        }
        self.edits = edits;
        self.patch = Some(ObjectPatch {
            kind: manifest.kind.clone(),
            namespace: found.namespace.clone(),
            name: found.name.clone(),
            operations,
        });
        Ok(())
    }
}

/// Applies the edits. If the result does not decode to the expected objects, the text is left unchanged.
fn apply(text: &str, objects: Vec<ObjectFix>, fixed: &mut Fixed) {
    let edits = objects.iter().flat_map(|fix| fix.edits.iter().cloned()).collect();
    let expected: Vec<_> = objects.iter().map(|fix| fix.expected.clone()).collect();
    if let Some(edited) = edit::checked(text, edits, &expected) {
        fixed.changed = edited != text;
        fixed.text = edited;
    } else {
        text.clone_into(&mut fixed.text);
        let place = objects.iter().find(|fix| fix.patch.is_some()).map(|fix| fix.place.clone());
        let message = "it shares text with something that must not change; apply the patch instead: podgate fix -o patch";
        fixed.faults.push(Fault::input(place.unwrap_or_default(), message));
    }
    fixed.patches = objects.into_iter().filter_map(|fix| fix.patch).collect();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::super::manifest::Creator;
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
        let judge = ManifestJudge {
            policies: &policies,
            namespace: None,
            now: Timestamp::UNIX_EPOCH,
            as_written: true,
            creator: Creator::User,
        };
        fix(&judge, "a.yaml", text, Source::Named)
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
    fn a_text_with_an_alias_to_a_changed_value_is_left_alone_with_a_fault() {
        let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - &c {name: web, image: nginx}\nother: *c\n";
        let fixed = fixed(text);
        assert_eq!(fixed.text, text);
        assert!(fixed.faults[0].message.contains("podgate fix -o patch"), "{:?}", fixed.faults);
        assert!(!fixed.patches.is_empty());
    }
}
