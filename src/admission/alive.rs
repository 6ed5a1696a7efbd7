//! `/alive`: reviews writes of the Lease `podgate-alive`. Its `renewTime` says when the API servers last called
//! podgate, so only podgate itself may write it, and only a time that is not in the future.
//!
//! A dry run that carries one of podgate's nonces proves that the caller is an API server: [`Alive::judge`] records the
//! caller's address, and answers with the echo. To somebody else who sees a nonce (in an audit log of whole requests,
//! or as another webhook on Leases) it is worth little: it is valid once in each replica, for 30 s, and proves one
//! address for a minute.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use super::answer;
use super::callers::Callers;
use super::judged::Judged;
use super::log_limit::LogLimit;
use super::review::{BadReview, Operation, Request, decode};
use crate::client::api_time::ApiTime;
use crate::nonce::{self, ANNOTATION, FRESH_MILLISECONDS, Issued, LEASE};
use crate::policy::decision::Outcome;
use crate::policy::text;
use crate::policy::vap::floor;

/// How far `renewTime` may be ahead of the time that an API server told last. API servers' clocks may differ as far as
/// the floor allows.
const AHEAD_SECONDS: i64 = floor::EARLIEST_SECONDS;
/// The most nonces that are remembered. Only podgate can sign one, and a replica sends one to each API server in 10 s.
const MAX_USED: usize = 10_000;

/// Reviews writes of the Lease.
#[derive(Default)]
pub struct Alive {
    pub key: nonce::SharedKey,
    /// The user name by which the API server knows podgate; unset until it is known.
    pub own_user: OnceLock<Arc<str>>,
    pub callers: Callers,
    /// The API servers' time, by which nonces and `renewTime` are judged; before it is known, this replica's clock.
    pub api_time: ApiTime,
    /// The nonces that were used, while they are fresh.
    used: Mutex<BTreeSet<Issued>>,
    log_limit: LogLimit,
}

/// The time of a review, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub time: Timestamp,
    pub instant: Instant,
}

/// Why a write is refused.
enum LeaseRefusal {
    /// Another user's write: 403 Forbidden.
    Forbidden(String),
    /// podgate's own write, with a content that podgate does not write: 422 Invalid, which does not look like missing
    /// RBAC.
    Invalid(String),
}

impl LeaseRefusal {
    fn why(&self) -> &str {
        match self {
            Self::Forbidden(why) | Self::Invalid(why) => why,
        }
    }
}

/// The fields of a review that decide.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LeaseReview {
    request: LeaseRequest,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LeaseRequest {
    object: Option<LeaseView>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LeaseView {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: Option<String>,
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    renew_time: Option<String>,
}

impl Alive {
    /// Reports the callers that are proved to be API servers to these.
    pub fn reporting_to(callers: Callers) -> Self {
        Self { callers, ..Self::default() }
    }

    /// Judges an AdmissionReview that came from this address.
    ///
    /// # Errors
    /// The body is not an AdmissionReview.
    pub(super) fn judge(&self, body: &[u8], from: IpAddr, now: Now) -> Result<Judged, BadReview> {
        let request = decode(body)?;
        let operation = request.operation()?;
        let is_lease =
            &*request.kind.group == "coordination.k8s.io" && &*request.kind.kind == "Lease";
        let changes = matches!(operation, Operation::Create | Operation::Update);
        let lease = serde_json::from_slice::<LeaseReview>(body).map(|it| it.request.object);
        let named = |lease: &LeaseView| lease.metadata.name.as_deref() == Some(LEASE);
        match lease {
            // Other objects are always admitted, even if somebody changed the webhook's rules.
            _ if !is_lease || !changes => Ok(Judged::allowed(&request, None, operation)),
            Ok(Some(lease)) if !named(&lease) => Ok(Judged::allowed(&request, None, operation)),
            Ok(Some(lease)) => Ok(match self.verdict(&request, &lease, from, now) {
                Ok(warnings) => {
                    let answer = answer::allowed_with(&request.uid, warnings);
                    Judged::with_outcome(Outcome::Allow, None, operation, answer)
                }
                Err(refusal) => self.refuse(&request, operation, &refusal),
            }),
            // podgate writes no Lease that cannot be read.
            Ok(None) | Err(_) => {
                let refusal = LeaseRefusal::Invalid("it cannot be read".to_owned());
                Ok(self.refuse(&request, operation, &refusal))
            }
        }
    }

    /// The warnings of an allowed write: the echo, where the write carries a nonce.
    fn verdict(
        &self,
        request: &Request<'_>,
        lease: &LeaseView,
        from: IpAddr,
        now: Now,
    ) -> Result<Vec<String>, LeaseRefusal> {
        let own = self.own_user.get().ok_or_else(|| {
            let why = "podgate does not know its own user name yet; try again in a few seconds";
            LeaseRefusal::Forbidden(why.to_owned())
        })?;
        if *request.user_info.username != **own {
            let why = format!("only podgate itself ({}) writes it", text::clip(own));
            return Err(LeaseRefusal::Forbidden(why));
        }
        self.check_own_write(request, lease, from, now).map_err(LeaseRefusal::Invalid)
    }

    fn check_own_write(
        &self,
        request: &Request<'_>,
        lease: &LeaseView,
        from: IpAddr,
        Now { time, instant }: Now,
    ) -> Result<Vec<String>, String> {
        let now = self.api_time.at(instant).unwrap_or(time);
        let renewed = lease.spec.renew_time.as_deref().and_then(|it| it.parse::<Timestamp>().ok());
        let renewed = renewed.ok_or("its spec.renewTime is missing, or no time")?;
        let latest = now.checked_add(AHEAD_SECONDS.seconds()).unwrap_or(now);
        if renewed > latest {
            return Err(format!(
                "its spec.renewTime is more than {AHEAD_SECONDS} s from now; compare the clocks of the API servers"
            ));
        }
        let annotations = lease.metadata.annotations.as_ref();
        let Some(nonce) = annotations.and_then(|it| it.get(ANNOTATION)) else {
            return Ok(Vec::new());
        };
        if request.dry_run != Some(true) {
            return Err(format!("{ANNOTATION} belongs into dry runs, where it is not stored"));
        }
        let nonce = nonce.as_str().unwrap_or_default();
        let key = self.key.key().ok_or("this replica has no certificate yet")?;
        let invalid = |why: &dyn std::fmt::Display| format!("its nonce is not valid: {why}");
        let issued = key.verify(nonce, now).map_err(|error| invalid(&error))?;
        if !self.use_once(issued, now) {
            return Err(invalid(&"it was used before"));
        }
        // A request without a peer address did not come through this server.
        if !from.is_unspecified() {
            self.callers.proved(from, instant);
        }
        Ok(vec![key.echo(nonce)])
    }

    fn refuse(
        &self,
        request: &Request<'_>,
        operation: Operation,
        refusal: &LeaseRefusal,
    ) -> Judged {
        let why = refusal.why();
        if let Some(left_out) = self.log_limit.next_line(Instant::now()) {
            tracing::info!(why, left_out, "a write of the Lease {LEASE} is refused");
        }
        let message = format!(
            "the Lease {LEASE} shows when API servers last called podgate, and this write is refused: {why}\n\
             to remove the Lease: kubectl delete lease {LEASE} · to stop all reviews: podgate webhook delete"
        );
        let answer = match refusal {
            LeaseRefusal::Forbidden(_) => answer::forbidden(&request.uid, message),
            LeaseRefusal::Invalid(_) => answer::invalid(&request.uid, message),
        };
        Judged::with_outcome(Outcome::Deny, None, operation, answer)
    }

    /// Marks a nonce as used; false if it was used before, or if too many are remembered to tell.
    fn use_once(&self, issued: Issued, now: Timestamp) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = now.as_millisecond().saturating_sub(FRESH_MILLISECONDS);
        *used = used.split_off(&Issued { time: oldest, sender: String::new() });
        used.len() < MAX_USED && used.insert(issued)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::nonce::Key;

    const OWN: &str = "system:serviceaccount:podgate-system:podgate";
    const NOW: &str = "2027-01-15T08:00:00.000000Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn alive() -> Alive {
        let alive = Alive::default();
        alive.key.derive_from("a private key");
        alive.own_user.set(OWN.into()).unwrap();
        alive
    }

    fn nonce(private_key: &str, seconds: i64) -> String {
        Key::of(private_key).nonce("0a1b-1", now().checked_add(seconds.seconds()).unwrap())
    }

    type Change = Box<dyn Fn(&mut Value)>;

    /// A beat, changed in one place.
    fn review(change: impl Fn(&mut Value)) -> Vec<u8> {
        let mut review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": {"group": "coordination.k8s.io", "version": "v1", "kind": "Lease"},
            "namespace": "podgate-system", "name": LEASE, "operation": "UPDATE", "dryRun": true,
            "userInfo": {"username": OWN},
            "object": {
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": LEASE, "annotations": {ANNOTATION: nonce("a private key", 0)}},
                "spec": {"renewTime": NOW},
            },
        }});
        change(&mut review["request"]);
        review.to_string().into_bytes()
    }

    fn answer(alive: &Alive, body: &[u8]) -> Value {
        let from = "10.0.0.1".parse().unwrap();
        let now = Now { time: now(), instant: Instant::now() };
        let judged = alive.judge(body, from, now).unwrap();
        serde_json::from_slice::<Value>(&judged.answer).unwrap()["response"].take()
    }

    fn known(alive: &Alive) -> bool {
        alive.callers.is_known("10.0.0.1".parse().unwrap(), Instant::now())
    }

    #[test]
    fn a_beat_is_echoed_and_who_brought_it_is_an_api_server_from_then_on() {
        let alive = alive();
        let answered = answer(&alive, &review(|_| {}));
        assert_eq!(answered["allowed"], true);
        let (nonce, echo) = (nonce("a private key", 0), answered["warnings"][0].as_str().unwrap());
        assert!(Key::of("a private key").is_echo(&nonce, echo), "{echo}");
        assert!(known(&alive));
        let again = answer(&alive, &review(|_| {}));
        assert_eq!(again["allowed"], false, "a nonce counts once");
        assert!(again["status"]["message"].as_str().unwrap().contains("it was used before"));
    }

    #[test]
    fn everybody_elses_write_is_refused_and_no_wrong_nonce_or_time_counts() {
        let of = |seconds, key: &'static str| {
            move |it: &mut Value| {
                it["object"]["metadata"]["annotations"][ANNOTATION] = json!(nonce(key, seconds));
            }
        };
        let time =
            |time: Value| move |it: &mut Value| it["object"]["spec"]["renewTime"] = time.clone();
        let cases: [(&str, Change); 15] = [
            ("only podgate itself", Box::new(|it| it["userInfo"]["username"] = json!("admin"))),
            ("only podgate itself", Box::new(|it| it["userInfo"] = json!({}))),
            ("more than 15 s from now", Box::new(time(json!("2027-01-15T08:00:16.000000Z")))),
            ("more than 15 s from now", Box::new(time(json!("9999-01-01T00:00:00.000000Z")))),
            ("missing, or no time", Box::new(time(json!("9999-12-31T23:59:59.999999Z")))),
            ("missing, or no time", Box::new(time(json!("soon")))),
            ("missing, or no time", Box::new(time(json!(null)))),
            ("missing, or no time", Box::new(|it| it["object"]["spec"] = json!({}))),
            ("cannot be read", Box::new(time(json!(7)))),
            ("cannot be read", Box::new(|it| it["object"] = json!(null))),
            ("signed by another key", Box::new(of(0, "another key"))),
            ("older or newer than 30 s", Box::new(of(-31, "a private key"))),
            ("older or newer than 30 s", Box::new(of(31, "a private key"))),
            (
                "none of podgate's",
                Box::new(|it| {
                    it["object"]["metadata"]["annotations"][ANNOTATION] = json!(["x"]);
                }),
            ),
            ("belongs into dry runs", Box::new(|it| it["dryRun"] = json!(false))),
        ];
        for (why, change) in cases {
            let alive = alive();
            let answered = answer(&alive, &review(change));
            assert_eq!(answered["allowed"], false, "{why}");
            let message = answered["status"]["message"].as_str().unwrap();
            assert!(message.contains(why), "{why}: {message}");
            assert!(message.contains("kubectl delete lease podgate-alive"), "{message}");
            assert!(!known(&alive), "{why}");
            let code = if why == "only podgate itself" { 403 } else { 422 };
            assert_eq!(answered["status"]["code"], code, "{why}");
        }
    }

    #[test]
    fn the_real_write_carries_no_nonce_and_teaches_no_address() {
        let alive = alive();
        let real = review(|it| {
            it["dryRun"] = json!(false);
            it["object"]["metadata"] = json!({"name": LEASE});
        });
        let answered = answer(&alive, &real);
        assert_eq!((&answered["allowed"], &answered["warnings"]), (&json!(true), &Value::Null));
        assert!(!known(&alive));
    }

    #[test]
    fn the_clocks_of_two_api_servers_may_differ_as_far_as_a_floor_sleeps() {
        for (ahead, allowed) in [(10, true), (15, true), (16, false)] {
            let alive = alive();
            let time = now().checked_add(ahead.seconds()).unwrap();
            let real = review(|it| {
                it["dryRun"] = json!(false);
                it["object"]["metadata"] = json!({"name": LEASE});
                it["object"]["spec"]["renewTime"] = json!(time.to_string());
            });
            assert_eq!(answer(&alive, &real)["allowed"], allowed, "{ahead} s");
        }
    }

    #[test]
    fn a_clock_that_is_an_hour_off_decides_nothing_once_an_api_server_has_told_its_time() {
        for told in ["Fri, 15 Jan 2027 07:00:00 GMT", "Fri, 15 Jan 2027 09:00:00 GMT"] {
            let alive = alive();
            alive.api_time.learn(told, Instant::now());
            let stale = answer(&alive, &review(|_| {}));
            assert_eq!(stale["allowed"], false, "a beat by this replica's clock: {told}");
            let told: Timestamp = told
                .replace("Fri, 15 Jan 2027 ", "2027-01-15T")
                .replace(" GMT", "Z")
                .parse()
                .unwrap();
            let own = review(|it| {
                let nonce = Key::of("a private key").nonce("0a1b-2", told);
                it["object"]["metadata"]["annotations"][ANNOTATION] = json!(nonce);
                it["object"]["spec"]["renewTime"] =
                    json!(told.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
            });
            assert_eq!(answer(&alive, &own)["allowed"], true, "{told}");
        }
    }

    #[test]
    fn the_leases_of_others_are_never_refused() {
        let alive = Alive::default();
        for change in [
            |it: &mut Value| it["object"]["metadata"]["name"] = json!("kube-controller-manager"),
            |it: &mut Value| it["object"]["metadata"]["name"] = json!(null),
            |it: &mut Value| it["kind"] = json!({"version": "v1", "kind": "ConfigMap"}),
            |it: &mut Value| it["operation"] = json!("DELETE"),
        ] {
            assert_eq!(answer(&alive, &review(change))["allowed"], true);
        }
        assert_eq!(answer(&alive, &review(|_| {}))["allowed"], false, "before it knows who it is");
    }
}
