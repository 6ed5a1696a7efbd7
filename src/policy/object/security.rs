//! Security contexts, and the hosts of probes and lifecycle hooks.

use serde::Deserialize;

use super::list::{Item, List};
use super::shape::from_objects_only;
use super::text::Text;

from_objects_only!(
    SecurityContext<'a>,
    Capabilities<'a>,
    Profile<'a>,
    SeLinuxOptions<'a>,
    WindowsOptions,
    Sysctl<'a>,
    Os<'a>,
    Handler<'a>,
    Endpoint<'a>,
    Lifecycle<'a>,
);

/// A pod's security context or a container's. Each has some of the fields; the API server refuses the others.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct SecurityContext<'a> {
    pub privileged: Option<bool>,
    pub allow_privilege_escalation: Option<bool>,
    #[serde(borrow)]
    pub capabilities: Option<Capabilities<'a>>,
    #[serde(borrow)]
    pub proc_mount: Option<Text<'a>>,
    pub run_as_non_root: Option<bool>,
    pub run_as_user: Option<i64>,
    #[serde(borrow)]
    pub seccomp_profile: Option<Profile<'a>>,
    #[serde(borrow)]
    pub app_armor_profile: Option<Profile<'a>>,
    #[serde(borrow)]
    pub se_linux_options: Option<SeLinuxOptions<'a>>,
    pub windows_options: Option<WindowsOptions>,
    #[serde(borrow)]
    pub sysctls: Option<List<Sysctl<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Capabilities<'a> {
    #[serde(borrow)]
    pub add: Option<List<Text<'a>>>,
    #[serde(borrow)]
    pub drop: Option<List<Text<'a>>>,
}

/// A seccomp or AppArmor profile.
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Profile<'a> {
    #[serde(borrow)]
    pub r#type: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct SeLinuxOptions<'a> {
    #[serde(borrow)]
    pub user: Text<'a>,
    #[serde(borrow)]
    pub role: Text<'a>,
    #[serde(borrow)]
    pub r#type: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct WindowsOptions {
    pub host_process: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Sysctl<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
}

impl Item for Sysctl<'_> {}

/// `spec.os`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Os<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// The network endpoints of a probe or a lifecycle hook.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Handler<'a> {
    #[serde(borrow)]
    pub http_get: Option<Endpoint<'a>>,
    #[serde(borrow)]
    pub tcp_socket: Option<Endpoint<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Endpoint<'a> {
    /// Empty means the pod itself.
    #[serde(borrow)]
    pub host: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Lifecycle<'a> {
    #[serde(borrow)]
    pub post_start: Option<Handler<'a>>,
    #[serde(borrow)]
    pub pre_stop: Option<Handler<'a>>,
}
