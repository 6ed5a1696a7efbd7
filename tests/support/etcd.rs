//! The API server's etcd, through etcd's own JSON API.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

pub struct Etcd {
    url: String,
}

impl Etcd {
    pub(super) fn at(port: u16) -> Self {
        Self { url: format!("http://127.0.0.1:{port}") }
    }

    /// Forgets all history up to now. The API server still answers from its own cache; after a restart it answers a
    /// list or a watch from an older revision by 410.
    pub fn compact(&self) {
        let now = self.ask("/v3/kv/range", &json!({"key": base64(b"/"), "count_only": true}));
        let revision = &now["header"]["revision"];
        self.ask("/v3/kv/compaction", &json!({"revision": revision, "physical": true}));
    }

    /// The size in bytes of all values under this key prefix, such as `/registry/devops.stochastic.io/`.
    pub fn bytes_below(&self, prefix: &str) -> usize {
        let found = self.below(prefix);
        let value = |kv: &Value| serde_json::from_value::<ByteString>(kv["value"].clone()).unwrap();
        found.iter().map(|kv| value(kv).0.len()).sum()
    }

    /// The number of keys with this prefix.
    pub fn count_below(&self, prefix: &str) -> usize {
        self.below(prefix).len()
    }

    fn below(&self, prefix: &str) -> Vec<Value> {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().unwrap() += 1;
        let range = json!({"key": base64(prefix.as_bytes()), "range_end": base64(&end)});
        let found = self.ask("/v3/kv/range", &range);
        found["kvs"].as_array().cloned().unwrap_or_default()
    }

    fn ask(&self, path: &str, question: &Value) -> Value {
        let sent = ureq::post(format!("{}{path}", self.url)).send(question.to_string());
        let mut answer = sent.unwrap();
        let answer = answer.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

/// Base64, as Kubernetes and etcd write bytes in JSON.
fn base64(bytes: &[u8]) -> Value {
    serde_json::to_value(ByteString(bytes.to_vec())).unwrap()
}
