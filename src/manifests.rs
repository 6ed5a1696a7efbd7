//! YAML and JSON files, with the place of everything in them.
//!
//! [`documents::read`] splits a text into objects, each a tree ([`node::Node`]) that the engine's view decodes from
//! directly, borrowing from the text. Pure: whoever calls reads the files.

pub mod canonical;
pub mod documents;
pub mod edit;
pub mod node;
pub mod policy_file;
mod scalar;
mod tree;
mod value;
