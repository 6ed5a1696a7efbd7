//! YAML and JSON manifests, with the line and column of every value.
//!
//! [`documents::read`] splits a text into objects. Each is a tree ([`node::Node`]) that borrows from the text; the
//! engine's types decode directly from the tree. Pure: the caller reads the files.

pub mod canonical;
pub mod documents;
pub mod edit;
pub mod error;
pub mod node;
pub mod policy_file;
mod scalar;
mod tree;
mod value;
