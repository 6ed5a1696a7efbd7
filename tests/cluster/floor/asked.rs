//! What is asked of an API server with a floor.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{FLOOR, LEASE, NEW_SECONDS, SHOP, WEBHOOK, age, compliant, deployment, violating};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::registered::NAMESPACE;

/// The longest time from the last beat until the floor is awake.
const WAKES: SignedDuration = SignedDuration::from_secs(45);
/// Between two questions, so that suites in parallel leave each other the processors.
const PAUSE: Duration = Duration::from_millis(300);

pub(super) trait Asked {
    /// kubectl in the shop.
    fn kubectl(&self, args: &[&str]) -> Kubectl;

    /// Creates an object in a dry run.
    fn create(&self, object: &Value) -> Result<String, String> {
        self.kubectl(&["create", "--dry-run=server", "-f", "-"]).given(object).result()
    }

    fn replace(&self, object: &Value) -> Result<String, String> {
        self.kubectl(&["replace", "-f", "-"]).given(object).result()
    }

    fn apply(&self, object: &Value, manager: &str) -> Result<String, String> {
        let manager = format!("--field-manager={manager}");
        let apply = ["apply", "--server-side", "--force-conflicts", &manager, "-f", "-"];
        self.kubectl(&apply).given(object).result()
    }

    fn patch(&self, what: &[&str], kind: &str, patch: &Value) -> Result<String, String> {
        let (kind, patch) = (format!("--type={kind}"), patch.to_string());
        self.kubectl(&[&["patch"], what, &[&kind, "-p", &patch]].concat()).result()
    }

    fn status(&self) -> Value {
        self.kubectl(&["get", "devopspolicy", "own", "-o", "json"]).json()["status"].take()
    }

    /// The `renewTime` of the Lease; empty if there is none.
    fn renewed(&self) -> String {
        let path = "jsonpath={.spec.renewTime}";
        self.kubectl(&["get", LEASE, "-n", NAMESPACE, "--ignore-not-found", "-o", path]).ok()
    }

    /// Waits until the last beat is a new one.
    fn beats(&self) {
        eventually("a new beat", || {
            let renewed = self.renewed();
            if age(&renewed).is_some_and(|it| it < NEW_SECONDS) { Ok(()) } else { Err(renewed) }
        });
    }

    /// The API server's time, from its stamp of a compliant object, which must pass.
    fn now(&self) -> Timestamp {
        let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let created = self.kubectl(&create).given(&compliant()).json();
        created["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until a violating pod is denied by whom this names.
    fn denied_by(&self, whom: &str) -> String {
        let what = format!("a denial by: {whom}");
        let (why, after) = eventually(&what, || match self.create(&violating()) {
            Err(why) if why.contains(whom) => Ok(why),
            other => {
                std::thread::sleep(PAUSE);
                Err(format!("{other:?}"))
            }
        });
        println!("   {what} after {}", seconds(after));
        why
    }

    /// Waits until the floor denies; a compliant pod passes. Both times are the API server's.
    fn wakes(&self, why: &str) -> String {
        let denied = self.denied_by(FLOOR);
        let (last, now) = (self.renewed().parse::<Timestamp>().unwrap(), self.now());
        let after = now.duration_since(last);
        println!("   {why}: awake {:.1} s after the last beat", after.as_secs_f64());
        assert!(after < WAKES, "{why}: it is awake {after} after the last beat");
        denied
    }

    /// Waits until podgate judges, and the floor sleeps.
    fn sleeps(&self) {
        let why = self.denied_by(WEBHOOK);
        assert!(!why.contains("podgate is away"), "{why}");
        assert!(self.now() > Timestamp::UNIX_EPOCH, "a compliant pod passes");
    }

    /// A Deployment as the API server has it, with all that it stamps.
    fn deployed(&self, name: &str) -> Value {
        self.kubectl(&["apply", "-f", "-"]).given(&deployment(name)).ok();
        self.kubectl(&["get", "deployment", name, "-o", "json", "--show-managed-fields"]).json()
    }

    /// Waits until an object passes that nobody may judge.
    fn passes(&self, object: &Value) {
        let started = Instant::now();
        eventually("a violating object to pass", || self.create(object));
        println!("   a violating object of {SHOP} passes after {}", seconds(started.elapsed()));
    }
}
