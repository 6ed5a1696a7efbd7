//! Connects to clusters. [`connect()`] reaches one cluster, as kubectl would; [`contexts`] lists the contexts of the
//! kubeconfigs, and [`side_by_side`] queries several of them at once.

mod cluster;
mod connect;
pub mod contexts;
mod error;
mod kubeconfig;
mod plugin;
pub mod side_by_side;

pub use cluster::Cluster;
pub use connect::{Target, connect};
pub use error::ClusterError;
