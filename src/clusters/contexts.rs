//! The contexts of the kubeconfigs: each with what is needed to connect, or why it cannot be used.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::client::AuthError;
use kube::config::{self, KubeConfigOptions, NamedAuthInfo, NamedCluster, NamedContext};
use kube::{Client, Config};

use super::kubeconfig::{self, Entry, Kubeconfig, Unread};
use super::{Cluster, ClusterError, plugin};

/// What the files hold, together.
#[derive(Debug)]
pub struct Contexts {
    /// In the order of the files.
    pub all: Vec<Context>,
    /// The name of the current one.
    pub current: Option<String>,
    /// Files that could not be read; what they hold is not here.
    pub unread: Vec<Unread>,
    /// The files that were looked for.
    files: Vec<PathBuf>,
    /// Whether neither flag nor variable names a file, so that a pod may do without the one of its home folder.
    pub(super) unasked: bool,
}

/// One context, that may be broken.
#[derive(Clone, Debug)]
pub struct Context {
    pub name: String,
    /// Where the API server is, without credentials, as far as the kubeconfig says it.
    pub server: Option<String>,
    /// A kubeconfig of this context alone.
    own: Entry<config::Kubeconfig>,
}

impl Contexts {
    /// Reads every context of the file, of `$KUBECONFIG`'s files or of `~/.kube/config`. Files that are missing are passed
    /// over, and one that cannot be read hides no other.
    ///
    /// # Errors
    /// There is no context in any of them.
    pub fn read(kubeconfig: Option<&Path>) -> Result<Self, ClusterError> {
        let contexts = Self::of(kubeconfig, true);
        match contexts.unread.first() {
            _ if !contexts.all.is_empty() => Ok(contexts),
            Some(unread) => Err(unread.clone().into()),
            None => Err(ClusterError::NoContexts(contexts.looked_for())),
        }
    }

    /// The same, up to the first file that cannot be read: what follows it counts only where that file says nothing
    /// else, and nobody knows what it says.
    pub(super) fn certain(kubeconfig: Option<&Path>) -> Self {
        Self::of(kubeconfig, false)
    }

    fn of(kubeconfig: Option<&Path>, to_the_end: bool) -> Self {
        let variable = env::var_os("KUBECONFIG").filter(|it| !it.is_empty());
        let home = env::home_dir();
        let files = kubeconfig::listed(kubeconfig, variable.as_deref(), home.as_deref());
        let unasked = kubeconfig.is_none() && variable.is_none();
        let mut read = Vec::new();
        let mut unread = Vec::new();
        for path in &files {
            match kubeconfig::read(path) {
                // One that was asked for by itself is missed.
                Ok(None) if kubeconfig.is_some() => unread.push(Unread::missing(path)),
                Ok(file) => read.extend(file),
                Err(error) => unread.push(error),
            }
            if !unread.is_empty() && !to_the_end {
                break;
            }
        }
        let merged = kubeconfig::merge(read);
        let all = merged.contexts.iter().map(|(name, it)| Context::of(&merged, name, it)).collect();
        Self { all, current: merged.current, unread, files, unasked }
    }

    /// The context of a name.
    ///
    /// # Errors
    /// There is none; it says which there are, and what could not be read.
    pub fn named(&self, name: &str) -> Result<&Context, ClusterError> {
        let found = self.all.iter().find(|context| context.name == name);
        found.ok_or_else(|| match self.unread.first() {
            Some(unread) => unread.clone().into(),
            None if self.all.is_empty() => ClusterError::NoContexts(self.looked_for()),
            None => ClusterError::UnknownContext { name: name.to_owned(), known: self.names() },
        })
    }

    /// Why there is no context where none is named.
    pub(super) fn no_current(&self) -> ClusterError {
        if self.all.is_empty() {
            return ClusterError::NoContexts(self.looked_for());
        }
        ClusterError::NoCurrentContext(self.names())
    }

    /// The files, for messages.
    fn looked_for(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        if files.is_empty() { "no file".to_owned() } else { files.join(", ") }
    }

    /// The names of all, for messages.
    fn names(&self) -> String {
        let names: Vec<_> = self.all.iter().map(|context| context.name.as_str()).collect();
        names.join(", ")
    }
}

impl Context {
    fn of(all: &Kubeconfig, name: &str, context: &Entry<config::Context>) -> Self {
        let named = context.as_ref().ok().and_then(|it| all.clusters.get(&it.cluster));
        let server = named.and_then(|it| it.as_ref().ok()?.server.as_deref()).and_then(bare);
        let own = context.clone().and_then(|context| alone(all, name, context));
        Self { name: name.to_owned(), server, own }
    }

    /// Makes a client. Nothing is sent yet; a credential plugin runs, and may ask at the terminal.
    ///
    /// # Errors
    /// It cannot be used.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        let config = self.config().await?;
        self.client(config)
    }

    /// The same where nobody is to be asked: a credential plugin has neither a terminal nor more time than this. Blocks
    /// while it runs.
    ///
    /// # Errors
    /// It cannot be used.
    pub async fn connect_unattended(&self, limit: Duration) -> Result<Cluster, ClusterError> {
        let mut config = self.config().await?;
        plugin::resolve(&mut config.auth_info, limit).map_err(|cause| self.unusable(cause))?;
        self.client(config)
    }

    async fn config(&self) -> Result<Config, ClusterError> {
        let own = self.own.clone().map_err(|cause| self.unusable(cause))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(own, &options).await;
        config.map_err(|error| self.unusable(error.to_string()))
    }

    fn client(&self, config: Config) -> Result<Cluster, ClusterError> {
        let url = self.server.clone().unwrap_or_default();
        let kept = Some(Arc::new(config.clone()));
        let client = Client::try_from(config).map_err(|error| self.unusable(cause(&error)))?;
        Ok(Cluster { client, url, config: kept })
    }

    fn unusable(&self, cause: String) -> ClusterError {
        ClusterError::Context { name: self.name.clone(), cause }
    }
}

/// The kubeconfig of one context, if it is whole.
fn alone(all: &Kubeconfig, name: &str, context: config::Context) -> Entry<config::Kubeconfig> {
    let cluster = match all.clusters.get(&context.cluster) {
        Some(cluster) => cluster.clone()?,
        None => return Err(format!("there is no cluster {:?} in the kubeconfig", context.cluster)),
    };
    // kube's client cannot stand a server without scheme or host.
    match cluster.server.as_deref() {
        None | Some("") => return Err(format!("cluster {} names no server", context.cluster)),
        Some(server) if bare(server).is_none() => {
            let cluster = &context.cluster;
            return Err(format!("the server of cluster {cluster} is no URL as https://HOST:PORT"));
        }
        Some(_) => {}
    }
    let user = match context.user.as_deref().filter(|user| !user.is_empty()) {
        None => None,
        Some(user) => match all.users.get(user) {
            Some(found) => Some((user.to_owned(), found.clone()?)),
            None => return Err(format!("there is no user {user:?} in the kubeconfig")),
        },
    };
    let user = user.map(|(name, user)| NamedAuthInfo {
        name,
        auth_info: Some(user),
        ..NamedAuthInfo::default()
    });
    let cluster = NamedCluster {
        name: context.cluster.clone(),
        cluster: Some(cluster),
        ..NamedCluster::default()
    };
    let context =
        NamedContext { name: name.to_owned(), context: Some(context), ..NamedContext::default() };
    Ok(config::Kubeconfig {
        clusters: vec![cluster],
        auth_infos: user.into_iter().collect(),
        current_context: Some(context.name.clone()),
        contexts: vec![context],
        ..config::Kubeconfig::default()
    })
}

/// A URL's scheme, host, port and path: credentials and queries are left out. `None` for what is no such URL.
fn bare(url: &str) -> Option<String> {
    let url: axum::http::Uri = url.parse().ok()?;
    let scheme = url.scheme_str().filter(|it| ["https", "http"].contains(it))?;
    let host = url.host().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}{}", url.path().trim_end_matches('/')))
}

/// What is at the bottom of an error: the others only say that something inside failed. Of a credential plugin, without
/// what it printed, which may be a token.
pub(super) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    loop {
        match cause.downcast_ref::<AuthError>() {
            Some(AuthError::AuthExecRun { out, .. }) => {
                let errors = String::from_utf8_lossy(&out.stderr);
                let last = errors.lines().rev().find(|line| !line.trim().is_empty());
                let last = last.map(|line| format!(": {line}")).unwrap_or_default();
                return format!("its credential plugin failed with {}{last}", out.status);
            }
            Some(AuthError::AuthExecParse(_)) => {
                return "its credential plugin printed what is no ExecCredential".to_owned();
            }
            Some(AuthError::AuthExecStart(error)) => {
                return format!("its credential plugin cannot be run: {error}");
            }
            Some(other) => return other.to_string(),
            None => {}
        }
        match cause.source() {
            // The last words alone would not say which file.
            Some(_) if cause.is::<config::KubeconfigError>() => return cause.to_string(),
            Some(source) => cause = source,
            None => return cause.to_string(),
        }
    }
}
