//! A network of the suite's own: the test binary runs itself again in new network, mount and process namespaces, where
//! a bridge connects the networks of nodes and pods. Nothing outside is reached or changed. When the first process of
//! the namespaces ends, the kernel kills all others.
//!
//! The way in: `main` calls [`enter`] first; each pod and node then has a [`Network`]. A suite of which only some trials
//! need a network of their own runs these again by [`run_inside`].
#![allow(dead_code, reason = "each home uses its own part")]

use std::ffi::OsString;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::support::control_plane::text;

/// The bridge's own address, which is the API server's.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The common prefix of all addresses.
const PREFIX: u8 = 16;
const BRIDGE: &str = "podgate0";
/// Set in the process inside the namespaces.
const INSIDE: &str = "PODGATE_CHART_NETWORK";

/// Runs this binary again in new namespaces and returns its exit status; `None` in the process inside.
pub fn enter() -> Option<ExitCode> {
    if inside() {
        set_up();
        return None;
    }
    Some(run_inside(std::env::args_os().skip(1)))
}

/// Whether this process was started by [`run_inside`].
pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this binary with these arguments in new namespaces and returns its exit status. There, the first thing is
/// [`set_up`].
pub fn run_inside(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !text(&Command::new("id").arg("-u").output().unwrap().stdout).trim().eq("0") {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.arg(std::env::current_exe().unwrap()).args(args);
    // An ordinary user's PATH may lack the folder of `ip`.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    // The pipe closes when this process ends, and then the process inside ends.
    let spawned = unshare.env(INSIDE, "1").env("PATH", path).stdin(Stdio::piped()).spawn();
    let status = match spawned {
        Ok(mut inside) => {
            let _held = inside.stdin.take();
            inside.wait().unwrap()
        }
        Err(error) => {
            eprintln!("cannot run unshare, of util-linux, which these tests need: {error}");
            return ExitCode::from(3);
        }
    };
    if status.code().is_none_or(|code| code != 0 && code != 101) {
        eprintln!(
            "{status}: these tests run in network, mount and process namespaces of their own (unshare \
             --net --mount --pid): as root, or as a user who may make user namespaces"
        );
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Makes the network inside.
pub fn set_up() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(3);
    });
    // Mounts and devices exist in these namespaces only.
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    std::fs::create_dir_all("/run/netns").unwrap();
    ip("link set lo up");
    ip(&format!("link add {BRIDGE} type bridge"));
    ip(&format!("addr add {HOST}/{PREFIX} dev {BRIDGE}"));
    ip(&format!("link set {BRIDGE} up"));
}

fn ip(args: &str) {
    run("ip", &args.split(' ').collect::<Vec<_>>());
}

fn run(program: &str, args: &[&str]) {
    let output = match Command::new(program).args(args).output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run {program}, which these tests need: {error}"),
    };
    assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
}

/// The network of a pod or a node: an address on the bridge, and a loopback. It is removed when this value is dropped.
pub struct Network {
    name: String,
    pub address: Ipv4Addr,
}

impl Network {
    /// The number determines the name and the address.
    pub fn new(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(10, 99, high, low);
        let name = format!("net{number}");
        ip(&format!("netns add {name}"));
        ip(&format!("link add veth{number} type veth peer name eth0 netns {name}"));
        ip(&format!("link set veth{number} master {BRIDGE} up"));
        ip(&format!("-n {name} addr add {address}/{PREFIX} dev eth0"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} link set eth0 up"));
        Self { name, address }
    }

    /// Fails every packet that a program in this network sends to a TCP port of another one, until the value is dropped.
    pub fn cut(&self, to: Ipv4Addr, port: u16) -> Cut {
        let rule = format!("to {to} ipproto tcp dport {port} prohibit");
        ip(&format!("-n {} rule add {rule}", self.name));
        Cut { network: self.name.clone(), rule }
    }

    /// The command before a program's to run it in this network.
    pub fn by(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// A command that runs a program in this network, and in a mount namespace of its own. Its environment is empty but
    /// for a PATH.
    pub fn command(&self) -> Command {
        let mut command = Command::new("ip");
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["netns", "exec", &self.name]);
        command
    }
}

/// A connection that is cut.
pub struct Cut {
    network: String,
    rule: String,
}

impl Drop for Cut {
    fn drop(&mut self) {
        ip(&format!("-n {} rule del {}", self.network, self.rule));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Removing this end also removes the other end, in the namespace.
        let number = self.name.trim_start_matches("net");
        let _ = Command::new("ip").args(["link", "delete", &format!("veth{number}")]).output();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

/// A file of this machine where every user in the namespaces may read it, and none may write it.
pub fn share(file: &Path, name: &str) -> PathBuf {
    let shared = PathBuf::from("/run").join(name);
    if shared.exists() {
        return shared;
    }
    std::fs::write(&shared, "").unwrap();
    run("mount", &["--bind", file.to_str().unwrap(), shared.to_str().unwrap()]);
    run("mount", &["-o", "remount,bind,ro", shared.to_str().unwrap()]);
    shared
}
