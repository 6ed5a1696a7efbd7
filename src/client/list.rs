//! Lists, page by page, each object as the JSON it came in: whoever asks decodes what it reads and keeps nothing else.

use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, Request};
use kube::{Client, Resource};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How many objects a page has: kubectl's own number.
const PAGE: u32 = 500;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    r#continue: Option<String>,
}

/// Hands every object of a kind to `each`: of a namespace, or of all; with a label selector, those it selects.
///
/// # Errors
/// As the API server answers; objects of the pages before have been handed out.
pub async fn list<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
    mut each: impl FnMut(&str) + Send,
) -> Result<(), kube::Error> {
    pages(client, K::url_path(&(), namespace), selector, &mut each).await
}

/// The same of a kind that is only known when it is asked for, without a selector.
///
/// # Errors
/// As [`list`].
pub async fn list_resource(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    mut each: impl FnMut(&str) + Send,
) -> Result<(), kube::Error> {
    pages(client, DynamicObject::url_path(resource, namespace), None, &mut each).await
}

/// One for all kinds and callers: it is large, and generic it would be in the binary once for each.
async fn pages(
    client: &Client,
    path: String,
    selector: Option<&str>,
    mut each: impl FnMut(&str) + Send,
) -> Result<(), kube::Error> {
    let request = Request::new(path);
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = selector.map(str::to_owned);
    loop {
        let page = request.list(&params).map_err(kube::Error::BuildRequest)?;
        let next = match client.request_text(page).await {
            Ok(text) => {
                let page: Page = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
                for object in page.items.into_iter().flatten() {
                    each(object.get());
                }
                page.metadata.r#continue
            }
            // The state that the list began with is no longer kept, and a token comes with that answer to go on
            // from the same place in the present one.
            Err(kube::Error::Api(status)) if status.code == 410 => {
                let token = status.metadata.as_ref().and_then(|it| it.continue_.clone());
                Some(token.ok_or(kube::Error::Api(status))?)
            }
            Err(error) => return Err(error),
        };
        match next.filter(|token| !token.is_empty()) {
            None => return Ok(()),
            token => params.continue_token = token,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use crate::client::script::Script;

    async fn list(answers: &[(u16, Value)]) -> (Result<(), kube::Error>, Vec<String>, Vec<String>) {
        let script = Script::new(answers.to_vec());
        let mut objects = Vec::new();
        let listed = super::list::<Pod>(&script.client(), Some("shop"), Some("a=b"), |it| {
            objects.push(it.to_owned());
        })
        .await;
        let path = |asked: String| asked.strip_prefix("GET ").unwrap().to_owned();
        let asked = script.asked().into_iter().map(path).collect();
        (listed, objects, asked)
    }

    fn expired(token: &Value) -> (u16, Value) {
        (410, json!({"kind": "Status", "code": 410, "metadata": {"continue": token}}))
    }

    #[tokio::test]
    async fn every_page_is_asked_for_also_where_the_list_expires_in_between() {
        let (listed, objects, asked) = list(&[
            (200, json!({"metadata": {"continue": "one"}, "items": [{"a": 1}, {"a": 2}]})),
            expired(&json!("two")),
            (200, json!({"metadata": {"continue": ""}, "items": [{"a": 3}]})),
        ])
        .await;
        listed.unwrap();
        assert_eq!(objects, [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]);
        let path = "/api/v1/namespaces/shop/pods?&labelSelector=a%3Db&limit=500";
        assert_eq!(
            asked,
            [path.to_owned(), format!("{path}&continue=one"), format!("{path}&continue=two")]
        );
    }

    #[tokio::test]
    async fn an_empty_list_is_empty_and_a_refusal_is_an_error() {
        let (listed, objects, _) = list(&[(200, json!({"items": null}))]).await;
        listed.unwrap();
        assert!(objects.is_empty());
        let refused = json!({"kind": "Status", "code": 403, "message": "no"});
        for answer in [(403, refused), expired(&Value::Null), (200, json!("no list"))] {
            assert!(list(std::slice::from_ref(&answer)).await.0.is_err(), "{answer:?}");
        }
    }
}
