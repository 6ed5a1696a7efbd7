//! The contexts of the kubeconfigs. Each can connect, or says why it cannot be used.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Config;
use kube::config::{self, KubeConfigOptions, NamedAuthInfo, NamedCluster, NamedContext};

use super::cluster::Cluster;
use super::error::{ClusterError, cause};
use super::kubeconfig::{self, Entry, Kubeconfig, Unreadable};
use super::plugin;

/// The merged contexts of all kubeconfig files.
#[derive(Debug)]
pub struct Contexts {
    /// In the order of the files.
    pub all: Vec<Context>,
    /// The name of the current context.
    pub current: Option<String>,
    /// Files that could not be read; their contexts are missing here.
    pub unread: Vec<Unreadable>,
    /// The files that were searched.
    files: Vec<PathBuf>,
    /// Whether neither `--kubeconfig` nor `$KUBECONFIG` is set. A pod then uses its ServiceAccount if the file in the
    /// home folder is missing or unreadable.
    pub(super) default_file: bool,
}

/// One context, which may be invalid.
#[derive(Clone, Debug)]
pub struct Context {
    pub name: String,
    /// The API server's URL without credentials; `None` if the kubeconfig has no valid one.
    pub server: Option<String>,
    /// A kubeconfig with only this context.
    own: Entry<config::Kubeconfig>,
}

/// What to do about a kubeconfig file that cannot be read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum OnUnreadable {
    Continue,
    Stop,
}

impl Contexts {
    /// Reads every context of the file, of `$KUBECONFIG`'s files or of `~/.kube/config`. Missing files are skipped, and
    /// an unreadable file does not hide the others.
    ///
    /// # Errors
    /// No file has a context.
    pub fn read(kubeconfig: Option<&Path>) -> Result<Self, ClusterError> {
        let contexts = Self::of(kubeconfig, OnUnreadable::Continue);
        match contexts.unread.first() {
            _ if !contexts.all.is_empty() => Ok(contexts),
            Some(unreadable) => Err(unreadable.clone().into()),
            None => Err(ClusterError::NoContexts(contexts.looked_for())),
        }
    }

    /// Reads the contexts up to the first unreadable file. The files after it are ignored, because earlier files take
    /// precedence and the unreadable one might have the same entries.
    pub(super) fn read_until_unreadable(kubeconfig: Option<&Path>) -> Self {
        Self::of(kubeconfig, OnUnreadable::Stop)
    }

    fn of(kubeconfig: Option<&Path>, on_unreadable: OnUnreadable) -> Self {
        let variable = env::var_os("KUBECONFIG").filter(|it| !it.is_empty());
        let home = env::home_dir();
        let files = kubeconfig::paths(kubeconfig, variable.as_deref(), home.as_deref());
        let default_file = kubeconfig.is_none() && variable.is_none();
        let mut read = Vec::new();
        let mut unread = Vec::new();
        for path in &files {
            match kubeconfig::read(path) {
                // Only a file of --kubeconfig has to exist.
                Ok(None) if kubeconfig.is_some() => unread.push(Unreadable::missing(path)),
                Ok(file) => read.extend(file),
                Err(error) => unread.push(error),
            }
            if !unread.is_empty() && on_unreadable == OnUnreadable::Stop {
                break;
            }
        }
        let merged = kubeconfig::merge(read);
        let all = merged.contexts.iter().map(|(name, it)| Context::of(&merged, name, it)).collect();
        Self { all, current: merged.current, unread, files, default_file }
    }

    /// The context of a name.
    ///
    /// # Errors
    /// There is no such context. The error lists the contexts, or names the file that could not be read.
    pub fn named(&self, name: &str) -> Result<&Context, ClusterError> {
        let found = self.all.iter().find(|context| context.name == name);
        found.ok_or_else(|| match self.unread.first() {
            Some(unreadable) => unreadable.clone().into(),
            None if self.all.is_empty() => ClusterError::NoContexts(self.looked_for()),
            None => ClusterError::UnknownContext { name: name.to_owned(), known: self.names() },
        })
    }

    /// The error if no context is chosen and there is no current one.
    pub(super) fn no_current(&self) -> ClusterError {
        if self.all.is_empty() {
            return ClusterError::NoContexts(self.looked_for());
        }
        ClusterError::NoCurrentContext(self.names())
    }

    /// The paths of the searched files, for messages.
    fn looked_for(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        if files.is_empty() { "no file".to_owned() } else { files.join(", ") }
    }

    /// The names of all contexts, for messages.
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

    /// Builds a client. No request is sent yet. A credential plugin runs, and may prompt at the terminal.
    ///
    /// # Errors
    /// The context cannot be used.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        let config = self.config().await?;
        self.client(config)
    }

    /// Builds a client without prompting: a credential plugin gets no terminal, and is killed after `limit`. Blocks
    /// while the plugin runs.
    ///
    /// # Errors
    /// The context cannot be used.
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
        Cluster::new(config, self.name.clone(), url).map_err(|error| self.unusable(cause(&error)))
    }

    fn unusable(&self, cause: String) -> ClusterError {
        ClusterError::Context { name: self.name.clone(), cause }
    }
}

/// A kubeconfig with only this context; an error if an entry it needs is missing or invalid.
fn alone(all: &Kubeconfig, name: &str, context: config::Context) -> Entry<config::Kubeconfig> {
    let cluster = match all.clusters.get(&context.cluster) {
        Some(cluster) => cluster.clone()?,
        None => return Err(format!("there is no cluster {:?} in the kubeconfig", context.cluster)),
    };
    // kube's client cannot handle a server without a scheme or host.
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

/// The scheme, host, port and path of an HTTP(S) URL, without credentials and query. `None` for any other text.
fn bare(url: &str) -> Option<String> {
    let url: axum::http::Uri = url.parse().ok()?;
    let scheme = url.scheme_str().filter(|it| ["https", "http"].contains(it))?;
    let host = url.host().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}{}", url.path().trim_end_matches('/')))
}
