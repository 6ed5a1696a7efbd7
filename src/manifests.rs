//! YAML and JSON manifests, with the line and column of every value.
//!
//! [`documents::read`] splits a text into objects. Each is a tree ([`node::Node`]) that borrows from the text; the
//! engine's types decode directly from the tree. Pure: the caller reads the files.

pub(crate) mod canonical;
pub(crate) mod documents;
pub(crate) mod edit;
pub mod error;
pub(crate) mod node;
pub mod policy_file;
mod scalar;
mod tree;
mod value;
