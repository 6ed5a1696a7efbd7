//! Connects to clusters. [`connect()`] reaches one cluster, as kubectl would; [`contexts`] lists the contexts of the
//! kubeconfigs, and [`side_by_side`] queries several of them at once.

mod cluster;
mod connect;
pub(crate) mod contexts;
mod error;
mod kubeconfig;
mod plugin;
pub(crate) mod side_by_side;

pub(crate) use cluster::Cluster;
pub(crate) use connect::{Target, connect};
pub(crate) use error::{ClusterError, cause};
