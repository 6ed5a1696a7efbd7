//! Pages for `-o html`: one file that loads nothing, reads without scripts, and searches and sorts with them.
//!
//! A command describes its [`Page`] from its result, and [`Page::render`] writes it. Everything is written by [`markup::Html`],
//! which takes markup only from the source code and escapes every other text. Pure: the time is part of the page.

mod charts;
pub(super) mod findings;
mod markup;
mod page;
mod table;

use crate::policy::text::clip;

pub(super) use page::{Page, Section, faults};
pub(super) use table::{Cell, Table};

/// What of a cluster a page is about: `cluster production`, `namespace shop of cluster production`.
pub(super) fn place(cluster: &str, namespace: Option<&str>) -> String {
    let cluster = format!("cluster {}", clip(cluster));
    namespace.map_or(cluster.clone(), |name| format!("namespace {} of {cluster}", clip(name)))
}
