//! Every kind of context in a kubeconfig, all for one cluster.

use std::path::Path;

use serde_json::{Value, json};

use super::{Fleet, apply, cluster, context, credentials, url};
use crate::support::control_plane::ControlPlane;

/// The parts of a kubeconfig.
#[derive(Default)]
pub struct Zoo {
    pub clusters: Vec<Value>,
    pub users: Vec<Value>,
    pub contexts: Vec<Value>,
    /// For each context, its state and a part of its message.
    pub expected: Vec<(&'static str, &'static str, &'static str)>,
}

impl Zoo {
    pub fn of(fleet: &Fleet) -> Self {
        let mut zoo = Self { clusters: vec![cluster("east", &fleet.east)], ..Self::default() };
        zoo.users_that_work(fleet);
        zoo.plugins_that_do_not(fleet);
        zoo.users_that_do_not(&fleet.east);
        zoo.clusters_that_do_not(fleet);
        zoo
    }

    fn add(
        &mut self,
        name: &'static str,
        cluster: &str,
        user: &Value,
        (state, message): (&'static str, &'static str),
    ) {
        self.users.push(json!({"name": name, "user": user}));
        self.contexts.push(context(name, cluster, name));
        self.expected.push((name, state, message));
    }

    fn users_that_work(&mut self, fleet: &Fleet) {
        let token = token(&fleet.east);
        fleet.write("token", &token);
        let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": {"token": token}});
        let plugin = fleet.script("plugin", &format!("echo '{credential}'"));
        let beside =
            json!({"client-certificate": "east-admin.crt", "client-key": "east-admin.key"});
        for (name, cluster, user) in [
            ("certificate", "east", credentials(&fleet.east, "admin")),
            ("token", "east", json!({"token": token})),
            ("token-file", "east", json!({"tokenFile": "token"})),
            ("exec", "east", exec(&plugin)),
            ("exec-beside", "east", exec(Path::new("./plugin"))),
            ("relative", "beside", beside),
        ] {
            self.add(name, cluster, &user, ("Reachable", ""));
        }
        let beside = json!({"server": url(&fleet.east), "certificate-authority": "east-ca.crt"});
        self.clusters.push(json!({"name": "beside", "cluster": beside}));
    }

    fn plugins_that_do_not(&mut self, fleet: &Fleet) {
        let script = |name: &str, script: &str| exec(&fleet.script(name, script));
        let fails = script("fails", "echo s3cret; echo log in first >&2; exit 3");
        let hangs = script("hangs", "echo $$ > \"$0.pid\"; exec sleep 1000");
        let rubbish = script("rubbish", "echo 's3cret: ['");
        let asks = json!({"exec": {"command": "sh", "interactiveMode": "Always"}});
        let odd = json!({"exec": {"command": "sh", "interactiveMode": "Sometimes"}});
        for (name, user, message) in [
            ("exec-fails", fails, "failed with exit status: 3: log in first"),
            ("exec-hangs", hangs, "gave no answer within"),
            ("exec-rubbish", rubbish, "no ExecCredential"),
            ("exec-missing", exec(Path::new("/no/such/plugin")), "/no/such/plugin cannot be run"),
            ("exec-asks", asks, "wants to ask at the terminal"),
            ("exec-odd", odd, "unknown variant `Sometimes`"),
        ] {
            self.add(name, "east", &user, ("Invalid", message));
        }
    }

    fn users_that_do_not(&mut self, east: &ControlPlane) {
        let missing = json!({"client-certificate": "/no/such.crt", "client-key": "/no/such.key"});
        for (name, user, expected) in [
            (
                "wrong-token",
                json!({"token": "s3cret"}),
                ("Unauthorized", "does not know who podgate is"),
            ),
            ("no-rights", credentials(east, "jane"), ("Forbidden", "refuses podgate")),
            ("no-certificate", missing, ("Invalid", "/no/such.crt")),
        ] {
            self.add(name, "east", &user, expected);
        }
        self.contexts.push(context("no-user", "east", "nobody"));
        self.expected.push(("no-user", "Invalid", "there is no user \"nobody\""));
        self.contexts.push(json!({"name": "empty"}));
        self.expected.push(("empty", "Invalid", "context empty is empty"));
    }

    fn clusters_that_do_not(&mut self, fleet: &Fleet) {
        let (east, admin) = (&fleet.east, credentials(&fleet.east, "admin"));
        let ca = fleet.west.kubeconfig("ca.crt");
        for (name, cluster, expected) in [
            (
                "other-ca",
                json!({"server": url(east), "certificate-authority": ca}),
                ("Unreachable", "certificate"),
            ),
            (
                "no-ca",
                json!({"server": url(east), "certificate-authority": "/no/ca.crt"}),
                ("Invalid", "/no/ca.crt"),
            ),
            ("no-server", json!({}), ("Invalid", "names no server")),
            (
                "no-scheme",
                json!({"server": east.address().to_string()}),
                ("Invalid", "is no URL as https://HOST:PORT"),
            ),
            (
                "nobody-listens",
                json!({"server": "https://jane:s3cret@127.0.0.1:1"}),
                ("Unreachable", "refused"),
            ),
        ] {
            self.clusters.push(json!({"name": name, "cluster": cluster}));
            self.add(name, name, &admin, expected);
        }
        self.add("no-cluster", "nowhere", &admin, ("Invalid", "there is no cluster \"nowhere\""));
    }
}

/// A user with a credential plugin that may be interactive.
fn exec(command: &Path) -> Value {
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "IfAvailable",
    }})
}

/// A token of a ServiceAccount with all permissions.
fn token(plane: &ControlPlane) -> String {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "default-may"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    });
    apply(plane, &binding);
    let created = plane.kubectl(&["create", "token", "default", "-n", "default"]).ok();
    created.trim().to_owned()
}
