//! Checks whether the kubeconfig's user has the permissions that podgate needs.

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::super::permissions::{Names, Need, PERMISSIONS, Permission, Scope};
use super::check::{Check, CheckSubject};
use crate::clusters::Cluster;

/// Checks each permission of the table.
pub(super) async fn permissions(
    cluster: &Cluster,
    release_namespace: &str,
    names: &Names,
) -> Vec<Check> {
    let api = Api::<SelfSubjectAccessReview>::all(cluster.client.clone());
    let check = |permission| check(&api, permission, release_namespace, names);
    join_all(PERMISSIONS.iter().map(check)).await
}

async fn check(
    api: &Api<SelfSubjectAccessReview>,
    permission: &Permission,
    release_namespace: &str,
    names: &Names,
) -> Check {
    let namespace = match permission.scope {
        Scope::Cluster => None,
        Scope::Release => Some(release_namespace),
    };
    let name = permission.name.of(names);
    let name = name.as_deref();
    let mut refused = Vec::new();
    for verb in permission.verbs {
        match allowed(api, permission, verb, namespace, name).await {
            Ok(true) => {}
            Ok(false) => refused.push(*verb),
            Err(error) => {
                return CheckSubject::Permission
                    .unseen(&describe(permission, permission.verbs, namespace, name), &error);
            }
        }
    }
    if refused.is_empty() {
        return CheckSubject::Permission
            .ok(format!("may {}", describe(permission, permission.verbs, namespace, name)));
    }
    let missing = format!("may not {}", describe(permission, &refused, namespace, name));
    let why = permission.why;
    match permission.need {
        Need::Always => CheckSubject::Permission
            .error(missing, format!("podgate needs it to {why}; the chart's roles grant it")),
        Need::For(purpose) => CheckSubject::Permission.warning(
            missing,
            format!("only {purpose} needs it, to {why}; the chart's values grant it"),
        ),
    }
}

/// A permission as a phrase: `list, watch pods in namespace x`.
fn describe(
    permission: &Permission,
    verbs: &[&str],
    namespace: Option<&str>,
    name: Option<&str>,
) -> String {
    let Permission { group, resource, subresource, .. } = permission;
    let mut objects = (*resource).to_owned();
    if !group.is_empty() {
        objects = format!("{objects}.{group}");
    }
    if !subresource.is_empty() {
        objects = format!("{objects}/{subresource}");
    }
    if let Some(name) = name {
        objects = format!("{objects} {name}");
    }
    let place = namespace.map(|it| format!(" in namespace {it}")).unwrap_or_default();
    format!("{} {objects}{place}", verbs.join(", "))
}

async fn allowed(
    api: &Api<SelfSubjectAccessReview>,
    permission: &Permission,
    verb: &str,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<bool, kube::Error> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: given(permission.group),
                resource: given(permission.resource),
                subresource: given(permission.subresource),
                verb: given(verb),
                namespace: namespace.map(str::to_owned),
                name: name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
