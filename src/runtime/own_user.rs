//! The user name by which the API server knows podgate.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Client;
use kube::api::{Api, PostParams};

/// Asks the API server for the user name of a client's credentials.
pub(super) async fn own_user(client: Client) -> Result<Arc<str>, kube::Error> {
    let api = Api::<SelfSubjectReview>::all(client);
    let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|it| it.user_info).and_then(|it| it.username);
    Ok(user.unwrap_or_default().into())
}
