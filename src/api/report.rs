//! `Report` of OpenReports (`openreports.io/v1alpha1`), which podgate writes and other tools read.
//!
//! The group is not podgate's. The types have every field of the upstream CRD, so that the CRD that podgate can print
//! and install prunes nothing from the reports of other tools. `kube::CustomResource` supports only kinds with a
//! `spec`, and a report has none.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::schema::StructuralSchemaRewriter;
use schemars::generate::SchemaSettings;
use schemars::transform::{AddNullable, RecursiveTransform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::severity::Severity;

pub const REPORT_GROUP: &str = "openreports.io";
pub const REPORT_API_VERSION: &str = "openreports.io/v1alpha1";

/// The results of one or more policy engines in a namespace.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[schemars(schema_with = "metadata")]
    pub metadata: ObjectMeta,
    /// The engine of all results, if it is one engine.
    pub source: String,
    /// The object that the report is about, if it is one object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub scope: Option<ObjectReference>,
    /// The objects that the report is about, by their labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub scope_selector: Option<LabelSelector>,
    /// The limits that the writer applies to the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ReportConfiguration>,
    /// How many results there are of each kind, listed below or not.
    pub summary: ReportSummary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ReportResult>,
}

/// The limits that the writer applies to a report.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ReportConfiguration {
    pub limits: ReportLimits,
}

/// Which results a report lists.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReportLimits {
    /// The most results in the list.
    pub max_results: i64,
    /// The statuses of the listed results; all of them if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status_filter: Vec<ResultStatus>,
}

/// How many results there are of each kind.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default)]
pub struct ReportSummary {
    pub pass: i64,
    pub fail: i64,
    pub warn: i64,
    pub error: i64,
    pub skip: i64,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultStatus {
    Pass,
    Fail,
    Warn,
    Error,
    Skip,
}

/// The severity of a result: podgate's severities, and `info` below them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultSeverity {
    Critical,
    High,
    Low,
    Medium,
    Info,
}

impl From<Severity> for ResultSeverity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Critical,
            Severity::High => Self::High,
            Severity::Medium => Self::Medium,
            Severity::Low => Self::Low,
        }
    }
}

/// A policy's result for one or more objects.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportResult {
    /// The engine, where the report does not name it. Policy Reporter reads it here only.
    #[serde(default)]
    pub source: String,
    pub policy: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<ResultSeverity>,
    /// When the result was first found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<ResultTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultStatus>,
    /// Whether the result counts in a score.
    #[serde(default)]
    pub scored: bool,
    /// The objects that were checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ObjectReference>,
    /// The objects that were checked, by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub resource_selector: Option<LabelSelector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Further data of the engine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// A time, with the two numbers of `metav1.Timestamp`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct ResultTime {
    /// Seconds since 1970.
    pub seconds: i64,
    pub nanos: i32,
}

impl k8s_openapi::Resource for Report {
    const API_VERSION: &'static str = REPORT_API_VERSION;
    const GROUP: &'static str = REPORT_GROUP;
    const KIND: &'static str = "Report";
    const VERSION: &'static str = "v1alpha1";
    const URL_PATH_SEGMENT: &'static str = "reports";
    type Scope = k8s_openapi::NamespaceResourceScope;
}

impl k8s_openapi::Metadata for Report {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The schema of `metadata`, which the API server defines itself.
fn metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// Removes defaults, which the API server would write into the reports of other tools, and nulls; the upstream schema
/// has neither.
fn as_upstream(schema: &mut Schema) {
    schema.remove("default");
    schema.remove("nullable");
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// The CRD of reports, which podgate can do without, from the types.
///
/// # Errors
/// None in practice: the definition is a constant, and a test decodes it.
pub fn report_crd() -> Result<CustomResourceDefinition, serde_json::Error> {
    // An inline, structural schema, as `kube::CustomResource` derives it.
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(RecursiveTransform(as_upstream))
        .into_generator()
        .into_root_schema_for::<Report>();
    let count = |name: &str| {
        let path = format!(".summary.{}", name.to_lowercase());
        json!({"name": name, "type": "integer", "jsonPath": path})
    };
    let scope = |name: &str| {
        let path = format!(".scope.{}", name.to_lowercase());
        json!({"name": name, "type": "string", "jsonPath": path, "priority": 1})
    };
    serde_json::from_value(json!({
        "metadata": {"name": format!("reports.{REPORT_GROUP}")},
        "spec": {
            "group": REPORT_GROUP,
            "names": {
                "kind": "Report",
                "listKind": "ReportList",
                "plural": "reports",
                "shortNames": ["reps"],
                "singular": "report",
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": schema},
                "additionalPrinterColumns": [
                    scope("Kind"), scope("Name"),
                    count("Pass"), count("Fail"), count("Warn"), count("Error"), count("Skip"),
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
            }],
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of a schema's fields, each with its type and what it may be.
    fn fields(schema: &Value, path: &str, found: &mut Vec<String>) {
        let values = schema["enum"].as_array().map(|it| serde_json::to_string(it).unwrap());
        let map = schema["additionalProperties"]["type"].as_str().map(|it| format!(" of {it}"));
        let required = schema["required"].as_array().map(|it| {
            let mut names: Vec<_> = it.iter().map(|it| it.as_str().unwrap()).collect();
            names.sort_unstable();
            format!(" needs {}", names.join(","))
        });
        for absent in ["default", "nullable"] {
            assert!(schema.get(absent).is_none(), "{path}: {absent}");
        }
        let parts = [map, values, required].map(Option::unwrap_or_default);
        found.push(format!("{path} {}{}", schema["type"].as_str().unwrap(), parts.concat()));
        if schema["items"].is_object() {
            fields(&schema["items"], &format!("{path}[]"), found);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            // What Kubernetes defines is compared as a whole, by its name.
            if !["scope", "scopeSelector", "resourceSelector"].contains(&name.as_str())
                && path != ".results[].resources[]"
            {
                fields(field, &format!("{path}.{name}"), found);
            }
        }
    }

    #[test]
    fn the_crd_is_upstreams_in_names_columns_fields_and_values() {
        let crd = serde_json::to_value(report_crd().unwrap()).unwrap();
        let names = &crd["spec"]["names"];
        assert_eq!((&names["plural"], &names["shortNames"]), (&json!("reports"), &json!(["reps"])));
        let version = &crd["spec"]["versions"][0];
        let mut found = Vec::new();
        fields(&version["schema"]["openAPIV3Schema"], "", &mut found);
        found.sort_unstable();
        insta::assert_snapshot!(found.join("\n"), @r#"
         object
        .apiVersion string
        .configuration object needs limits
        .configuration.limits object
        .configuration.limits.maxResults integer
        .configuration.limits.statusFilter array
        .configuration.limits.statusFilter[] string["pass","fail","warn","error","skip"]
        .kind string
        .metadata object
        .results array
        .results[] object needs policy
        .results[].category string
        .results[].message string
        .results[].policy string
        .results[].properties object of string
        .results[].resources array
        .results[].resources[] object
        .results[].result string["pass","fail","warn","error","skip"]
        .results[].rule string
        .results[].scored boolean
        .results[].severity string["critical","high","low","medium","info"]
        .results[].source string
        .results[].timestamp object needs nanos,seconds
        .results[].timestamp.nanos integer
        .results[].timestamp.seconds integer
        .source string
        .summary object
        .summary.error integer
        .summary.fail integer
        .summary.pass integer
        .summary.skip integer
        .summary.warn integer
        "#);
        let schema = &version["schema"]["openAPIV3Schema"]["properties"];
        for reference in
            [&schema["scope"], &schema["results"]["items"]["properties"]["resources"]["items"]]
        {
            let fields: Vec<_> = reference["properties"].as_object().unwrap().keys().collect();
            assert_eq!(
                fields,
                ["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"]
            );
        }
        for selector in [
            &schema["scopeSelector"],
            &schema["results"]["items"]["properties"]["resourceSelector"],
        ] {
            let fields: Vec<_> = selector["properties"].as_object().unwrap().keys().collect();
            assert_eq!(fields, ["matchExpressions", "matchLabels"]);
            assert_eq!(selector["x-kubernetes-map-type"], "atomic");
        }
    }

    #[test]
    fn a_report_of_another_tool_is_read() {
        let foreign = json!({
            "apiVersion": REPORT_API_VERSION, "kind": "Report",
            "metadata": {"name": "scan", "namespace": "shop"}, "source": "trivy",
            "results": [{"policy": "cve", "timestamp": {"seconds": 1, "nanos": 0}, "severity": "info"}],
        });
        let report: Report = serde_json::from_value(foreign).unwrap();
        assert_eq!(report.results[0].severity, Some(ResultSeverity::Info));
        assert_eq!(report.summary, ReportSummary::default());
    }
}
