//! Judges manifests without a cluster: [`repository::read`] sorts files ([`crate::inputs`]) and renders charts and
//! kustomizations, [`offline::scan`] makes one report of them, and [`fix::fix`] fixes the text of one. Nothing here
//! prints or writes.

pub(crate) mod fix;
pub mod manifest;
pub mod offline;
pub mod passed_over;
mod rendered;
pub mod repository;
