//! Two API servers on one etcd, each in a network of its own, and podgate in a third. A beat proves the whole way
//! through both, so what cuts podgate off from one of them wakes the floor of both.

use std::process::ExitCode;

use super::asked::Asked;
use super::{SHOP, WEBHOOK, condition, judges, prepare, violating};
use crate::netns::{self, Network};
use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{self, ControlPlane, Options, Sibling, seconds};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::registered::NAMESPACE;
use crate::support::suite::{Alone, trials};

pub const ALONE: Alone<Result<(), String>> =
    trials![a_podgate_that_is_cut_off_from_all_api_servers_or_from_one_wakes_the_floor_of_both];
pub const LONG: Alone<Result<(), String>> =
    trials![one_api_server_that_is_down_says_nothing_and_the_other_goes_on];

/// Runs a trial again in namespaces of its own.
fn inside(name: &str, trial: fn()) -> Result<(), String> {
    if netns::inside() {
        netns::set_up();
        trial();
        return Ok(());
    }
    // Inside there is nobody to get them from.
    control_plane::assets();
    let name = format!("floor::several::{name}");
    let args = [name.as_str(), "--exact", "--include-ignored"].map(Into::into);
    let ended = netns::run_inside(args);
    if ended == ExitCode::SUCCESS { Ok(()) } else { Err("its failure is above".to_owned()) }
}

fn a_podgate_that_is_cut_off_from_all_api_servers_or_from_one_wakes_the_floor_of_both()
-> Result<(), String> {
    inside(
        "a_podgate_that_is_cut_off_from_all_api_servers_or_from_one_wakes_the_floor_of_both",
        || {
            let it = Two::start();
            it.cut_off_from_all();
            it.one_does_not_reach_podgate();
            it.one_and_podgate_do_not_reach_each_other();
        },
    )
}

fn one_api_server_that_is_down_says_nothing_and_the_other_goes_on() -> Result<(), String> {
    inside("one_api_server_that_is_down_says_nothing_and_the_other_goes_on", || {
        let it = Two::start();
        it.podgate_does_not_reach_one_that_calls_it();
        it.one_is_down();
    })
}

/// An API server as its users reach it.
struct Server<'t> {
    name: &'static str,
    two: &'t Two,
    kubeconfig: std::path::PathBuf,
}

impl Asked for Server<'_> {
    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.two.plane.kubectl(args).within(SHOP).by(self.kubeconfig.clone())
    }
}

struct Two {
    podgate: Podgate,
    sibling: std::sync::Mutex<Option<Sibling>>,
    kubeconfig: std::path::PathBuf,
    plane: ControlPlane,
    _certs: tempfile::TempDir,
    /// Where podgate runs, and where the second API server does.
    here: Network,
    there: Network,
}

impl Two {
    fn start() -> Self {
        let (here, there) = (Network::new(20), Network::new(30));
        let plane =
            ControlPlane::start_with(Options { address: netns::HOST, ..Options::default() });
        let sibling = plane.start_sibling(there.address, &there.by());
        prepare(&plane);
        let slice = ["get", "endpointslice", "kubernetes", "-n", "default", "-o"];
        let slice = [&slice[..], &["jsonpath={.endpoints[*].addresses[*]}"]].concat();
        eventually("both API servers to announce themselves", || {
            let found = plane.kubectl(&slice).ok();
            if found.split_whitespace().count() == 2 { Ok(()) } else { Err(found) }
        });
        let user = plane.kubeconfig_for("podgate").to_str().unwrap().to_owned();
        let certs = tempfile::tempdir().unwrap();
        let mut command = here.command();
        command.arg(binary::path());
        let listen = format!("{}:0", here.address);
        command.args(["serve", "--register", "--floor", "--kubeconfig", &user]);
        command.args(["--listen", &listen, "--metrics-listen", &listen]);
        command.args([
            "--lease-namespace",
            NAMESPACE,
            "--cert-dir",
            certs.path().to_str().unwrap(),
        ]);
        let podgate = Podgate::start_by(command, "serving");
        judges(&plane);
        let kubeconfig = sibling.kubeconfig.clone();
        let sibling = std::sync::Mutex::new(Some(sibling));
        let it = Self { podgate, sibling, kubeconfig, plane, _certs: certs, here, there };
        it.heard();
        it
    }

    fn servers(&self) -> [Server<'_>; 2] {
        let first = self.plane.kubeconfig("admin");
        [("the first API server", first), ("the second API server", self.kubeconfig.clone())]
            .map(|(name, kubeconfig)| Server { name, two: self, kubeconfig })
    }

    /// Waits until podgate judges at both, and the floor is ready.
    fn heard(&self) {
        let [first, second] = self.servers();
        let ((), after) = eventually("FloorReady", || {
            let status = first.status();
            match condition(&status, "FloorReady") {
                Some(found) if found.starts_with("True") => Ok(()),
                _ => Err(format!("{status} {}", self.podgate.whole_log())),
            }
        });
        println!("   the floor is ready after {}", seconds(after));
        first.beats();
        first.sleeps();
        second.sleeps();
    }

    /// Waits until both floors are awake.
    fn awake(&self, why: &str) {
        for server in self.servers() {
            server.wakes(&format!("{why}, {}", server.name));
        }
    }

    fn ports(&self) -> (u16, u16) {
        let webhook = self.podgate.listen.rsplit_once(':').unwrap().1.parse().unwrap();
        (self.plane.address().port(), webhook)
    }

    fn cut_off_from_all(&self) {
        let (api, _) = self.ports();
        let cuts = [netns::HOST, self.there.address].map(|it| self.here.cut(it, api));
        self.awake("cut off from all");
        drop(cuts);
        self.heard();
    }

    /// podgate sees by its beat through it that it does not call.
    fn one_does_not_reach_podgate(&self) {
        let (_, webhook) = self.ports();
        let cut = self.there.cut(self.here.address, webhook);
        self.awake("one does not reach podgate");
        drop(cut);
        self.heard();
    }

    /// An API server that is alive announces itself, and podgate cannot see whether it calls: what it admits is not
    /// judged.
    fn one_and_podgate_do_not_reach_each_other(&self) {
        let (api, webhook) = self.ports();
        let cuts =
            [self.here.cut(self.there.address, api), self.there.cut(self.here.address, webhook)];
        self.awake("one and podgate do not reach each other");
        let [first, _] = self.servers();
        let why = eventually("the reason", || {
            let found = condition(&first.status(), "Enforcing").unwrap_or_default();
            if found.contains("announces itself") { Ok(found) } else { Err(found) }
        });
        println!("   {}", why.0);
        drop(cuts);
        self.heard();
    }

    /// It calls podgate, but podgate cannot know.
    fn podgate_does_not_reach_one_that_calls_it(&self) {
        let (api, _) = self.ports();
        let cut = self.here.cut(self.there.address, api);
        self.awake("podgate does not reach one");
        drop(cut);
        self.heard();
    }

    /// Its address is taken out before it counts.
    fn one_is_down(&self) {
        let [first, _] = self.servers();
        drop(self.sibling.lock().unwrap().take());
        let slice = [
            "get",
            "endpointslice",
            "kubernetes",
            "-n",
            "default",
            "-o",
            "jsonpath={.endpoints[*].addresses[*]}",
        ];
        let ((), after) = eventually("its address to be taken out", || {
            assert!(first.create(&violating()).is_err_and(|it| it.contains(WEBHOOK)));
            let found = self.plane.kubectl(&slice).ok();
            if found.split_whitespace().count() == 1 { Ok(()) } else { Err(found) }
        });
        println!(
            "   the address of an API server that is down is taken out after {}",
            seconds(after)
        );
        let removed = first.now().to_string();
        let ((), _) = eventually("a beat after that", || {
            assert!(first.create(&violating()).is_err_and(|it| it.contains(WEBHOOK)));
            if first.renewed() > removed { Ok(()) } else { Err(first.renewed()) }
        });
    }
}
