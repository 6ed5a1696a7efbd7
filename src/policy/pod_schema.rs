//! The fields of a Pod in the newest version of Kubernetes that podgate knows, for warnings about CEL expressions.
//!
//! `pod_schema/fields.txt` has one line for each type, in the format of [`Schema::read`]. A test compares it with the
//! schema of k8s-openapi, and rewrites it with `UPDATE_POD_SCHEMA=1`.

use std::sync::LazyLock;

use crate::cel::schema::Schema;

/// The Pod's schema.
pub fn pod_schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> =
        LazyLock::new(|| Schema::read("Pod", include_str!("pod_schema/fields.txt")));
    &SCHEMA
}

#[cfg(test)]
mod tests;
