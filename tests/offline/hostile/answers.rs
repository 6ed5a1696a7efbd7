//! podgate's answer to a body, and whether it is allowed.

use serde_json::Value;

use super::MARKER;
use crate::support::binary::Podgate;
use crate::support::review::patch_of;

/// The most bytes of a denial, as in `docs/admission.md`, and of a refusal, which API servers log.
const MAX_DENIAL: usize = 4096;
const MAX_REFUSAL: usize = 1024;

/// The status codes for invalid bodies. Slow bodies (408) and shed reviews (429) do not occur here.
const REFUSED: u16 = 400;
const TOO_LARGE: u16 = 413;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    Refused,
    Denied,
    Admitted,
}

impl Expected {
    pub const ALL: [Self; 3] = [Self::Refused, Self::Denied, Self::Admitted];

    pub fn folder(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Admitted => "admitted",
        }
    }
}

/// Status and body of an HTTP answer.
pub struct Verdict {
    status: u16,
    text: String,
}

impl Verdict {
    pub fn of(podgate: &Podgate, body: &[u8]) -> Self {
        Self::of_door(podgate, "/validate", body)
    }

    pub fn of_door(podgate: &Podgate, door: &str, body: &[u8]) -> Self {
        let path = format!("{door}?timeout=10s");
        let (status, text) = podgate.post_to(&path, "application/json", body);
        Self { status, text }
    }

    pub fn check(&self, expected: Expected, body: &[u8]) -> Result<(), String> {
        let found = match self.status {
            200 => self.answer(body)?,
            REFUSED | TOO_LARGE => self.refusal()?,
            status => return Err(format!("HTTP {status}: {}", self.text)),
        };
        if found == expected { Ok(()) } else { Err(format!("{found:?}: {}", self.summary())) }
    }

    fn refusal(&self) -> Result<Expected, String> {
        let large = self.text.contains("is larger than");
        must(large == (self.status == TOO_LARGE), "the status of a refusal", &self.text)?;
        let text = self.text.strip_prefix("podgate: ").and_then(|it| it.strip_suffix('\n'));
        let text = text.ok_or_else(|| format!("no sentence: {:?}", self.text))?;
        must(text.len() > 10 && text.len() <= MAX_REFUSAL, "a refusal's length", text)?;
        must(!text.contains(char::is_control), "control characters in a refusal", text)?;
        must(!text.contains(MARKER), "a secret in a refusal", text)?;
        Ok(Expected::Refused)
    }

    /// Checks an answer of `/mutate`: a refusal, a valid patch, or no patch. Returns whether there is a patch.
    pub fn check_mutation(&self, body: &[u8]) -> Result<bool, String> {
        match self.status {
            200 => {
                let response = self.response(
                    body,
                    &["allowed", "auditAnnotations", "patch", "patchType", "uid"],
                )?;
                let Some(patch) = patch_of(&response) else { return Ok(false) };
                let mut review: Value =
                    serde_json::from_slice(body).map_err(|it| it.to_string())?;
                let applied = json_patch::patch(&mut review["request"]["object"], &patch);
                applied.map(|()| true).map_err(|error| error.to_string())
            }
            REFUSED | TOO_LARGE => self.refusal().map(|_| false),
            status => Err(format!("HTTP {status}: {}", self.text)),
        }
    }

    /// The response of an AdmissionReview, with no other fields than the API server expects.
    fn response(&self, body: &[u8], known: &[&str]) -> Result<Value, String> {
        let answer: Value = serde_json::from_str(&self.text).map_err(|it| it.to_string())?;
        must(keys(&answer) == ["apiVersion", "kind", "response"], "other fields", &self.text)?;
        must(answer["apiVersion"] == "admission.k8s.io/v1", "apiVersion", &self.text)?;
        must(answer["kind"] == "AdmissionReview", "kind", &self.text)?;
        let response = &answer["response"];
        must(response["uid"] == uid(body), "the uid is not echoed", &self.text)?;
        must(keys(response).iter().all(|key| known.contains(key)), "other fields", &self.text)?;
        Ok(response.clone())
    }

    fn answer(&self, body: &[u8]) -> Result<Expected, String> {
        // `/validate` must not send a patch.
        let known = ["allowed", "auditAnnotations", "status", "uid", "warnings"];
        let response = self.response(body, &known)?;
        for warning in response["warnings"].as_array().into_iter().flatten() {
            let warning = warning.as_str().ok_or("a warning is no string")?;
            must(warning.len() <= 120, "a long warning", warning)?;
            must(!warning.contains(char::is_control), "control characters in a warning", warning)?;
        }
        let warnings = response["warnings"].as_array().map_or(0, Vec::len);
        must(warnings <= 5, "many warnings", &self.text)?;
        if response["allowed"].as_bool().ok_or("allowed is missing")? {
            must(response["status"].is_null(), "a status on an admission", &self.text)?;
            return Ok(Expected::Admitted);
        }
        let status = &response["status"];
        let forbidden = status["code"] == 403 && status["reason"] == "Forbidden";
        let invalid = status["code"] == 422 && status["reason"] == "Invalid";
        must(forbidden || invalid, "status", &self.text)?;
        let message = status["message"].as_str().ok_or("a denial without a message")?;
        must(message.len() <= MAX_DENIAL, "a long message", message)?;
        let control = |it: char| it.is_control() && it != '\n';
        must(!message.contains(control), "control characters in a message", message)?;
        must(!message.contains('\u{202e}'), "a bidi override in a message", message)?;
        must(!message.contains(MARKER), "a secret in a message", message)?;
        Ok(Expected::Denied)
    }

    /// Status and [`Self::summary`], shortened if it is long.
    pub fn short(&self) -> String {
        const MOST: usize = 160;
        let summary = self.summary();
        let short: String = summary.chars().take(MOST).collect();
        let rest = if short.len() < summary.len() { "…" } else { "" };
        let status = if self.status == 200 { "200 " } else { "" };
        format!("{status}{short}{rest}").trim_end().to_owned()
    }

    /// The reason on one line: each violation's rule and field, the warnings, or the refusal.
    pub fn summary(&self) -> String {
        let Ok(answer) = serde_json::from_str::<Value>(&self.text) else {
            return format!("{} {}", self.status, self.text.trim_end());
        };
        let response = &answer["response"];
        let Some(message) = response["status"]["message"].as_str() else {
            let warnings = response["warnings"].as_array();
            let warnings = warnings.into_iter().flatten().filter_map(Value::as_str);
            return warnings.collect::<Vec<_>>().join(" | ");
        };
        let lines: Vec<_> = message.lines().collect();
        let violations = lines.windows(2).filter(|it| it[1].starts_with("    "));
        let policy = message.lines().nth(1).filter(|_| response["status"]["code"] == 422);
        if let Some(fault) = policy {
            return fault.trim_start().to_owned();
        }
        let words = violations.map(|it| {
            let rule = it[0].trim_start().split(' ').next().unwrap_or_default();
            let sentence = it[1].trim_start();
            let own = rule.starts_with("validations/");
            let place = if own { sentence } else { sentence.split(' ').next().unwrap_or_default() };
            format!("{rule} {place}")
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

fn must(holds: bool, what: &str, text: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: {text:.300?}")) }
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().into_iter().flatten().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys
}

/// The uid of a body, read without podgate's own parser.
fn uid(body: &[u8]) -> Value {
    // Some bodies nest deeper than this parser goes; the uid is near the start of all.
    let text = String::from_utf8_lossy(body);
    let start = text.find("\"uid\":").expect("an answered body has a uid") + 6;
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
    values.next().unwrap().unwrap()
}
