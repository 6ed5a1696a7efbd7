//! Judges manifests without a cluster: [`offline::scan`] makes one report from files ([`crate::inputs`]), and
//! [`fix::fix`] fixes the text of one. Nothing here prints or writes.

pub(crate) mod fix;
pub mod manifest;
pub mod offline;
pub mod passed_over;
