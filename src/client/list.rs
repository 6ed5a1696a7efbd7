//! Lists objects page by page. Each object is the API server's JSON; the caller decodes the fields that it needs.

use std::ops::Range;

use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, Request};
use kube::{Client, Resource};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How many objects a page has: kubectl's own number.
const PAGE: u32 = 500;

#[derive(Deserialize)]
struct PageView<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    r#continue: Option<String>,
}

/// Calls `each` with every object of a kind, of one namespace or of all. A label selector restricts the list.
///
/// # Errors
/// The API server's error. `each` has been called with the objects of the pages before it.
pub async fn list<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
    mut each: impl FnMut(&str) + Send,
) -> Result<(), kube::Error> {
    let mut pages = Pages::of::<K>(client, namespace, selector);
    while let Some(page) = pages.next().await? {
        page.objects().for_each(&mut each);
    }
    Ok(())
}

/// The pages of a list that are left to read.
pub struct Pages {
    client: Client,
    request: Request,
    params: ListParams,
    /// Whether the last page has been read.
    done: bool,
}

/// A page of a list.
pub struct Page {
    text: String,
    /// The bytes of each object in the text.
    objects: Vec<Range<usize>>,
}

impl Pages {
    /// A list of a kind, of one namespace or of all. A label selector restricts it.
    pub fn of<K: Resource<DynamicType = ()>>(
        client: &Client,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> Self {
        Self::at(client, K::url_path(&(), namespace), selector)
    }

    /// A list of a kind that is chosen at run time.
    pub fn of_resource(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Self {
        Self::at(client, DynamicObject::url_path(resource, namespace), None)
    }

    fn at(client: &Client, path: String, selector: Option<&str>) -> Self {
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = selector.map(str::to_owned);
        Self { client: client.clone(), request: Request::new(path), params, done: false }
    }

    /// Reads the next page; `None` after the last one.
    ///
    /// # Errors
    /// The API server's error.
    pub async fn next(&mut self) -> Result<Option<Page>, kube::Error> {
        while !self.done {
            let page = self.request.list(&self.params).map_err(kube::Error::BuildRequest)?;
            match self.client.request_text(page).await {
                Ok(text) => {
                    let (page, token) = Page::parse(text)?;
                    self.go_on(token);
                    return Ok(Some(page));
                }
                // The API server no longer has the state with which the list began. The error holds a token that
                // continues at the same place in the present state.
                Err(kube::Error::Api(status)) if status.code == 410 => {
                    let token = status.metadata.as_ref().and_then(|it| it.continue_.clone());
                    self.go_on(Some(token.ok_or(kube::Error::Api(status))?));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn go_on(&mut self, token: Option<String>) {
        self.params.continue_token = token.filter(|token| !token.is_empty());
        self.done = self.params.continue_token.is_none();
    }
}

impl Page {
    /// The page, and the token of the next one.
    fn parse(text: String) -> Result<(Self, Option<String>), kube::Error> {
        let view: PageView<'_> = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
        let range = |object: &RawValue| {
            let start = object.get().as_ptr().addr() - text.as_ptr().addr();
            start..start + object.get().len()
        };
        let objects = view.items.into_iter().flatten().map(range).collect();
        let token = view.metadata.r#continue;
        Ok((Self { text, objects }, token))
    }

    /// The JSON of each object.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().map(|range| self.text.get(range.clone()).unwrap_or_default())
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
    async fn every_page_is_read_even_if_the_list_expires_in_between() {
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
