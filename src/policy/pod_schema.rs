//! The fields of a Pod, of the newest version of Kubernetes that podgate knows, for warnings about CEL expressions.
//!
//! `pod_schema/fields.txt` is a line for each type, in the form that [`Schema::read`] reads. A test holds it against k8s-openapi's
//! schema, and writes it anew with `UPDATE_POD_SCHEMA=1`.

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
