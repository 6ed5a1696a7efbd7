//! The dashboards of the chart, and their queries.

use serde_json::Value;

use super::super::world::{NAMESPACE, World};
use super::server::Prometheus;

/// The time range of dashboards in this suite.
const RANGE: &str = "30s";
/// The values of Grafana's variables with everything selected. The release has no wildcard, because `process_*` of
/// other programs would match.
const VARIABLES: [(&str, &str); 6] = [
    ("$__rate_interval", "15s"),
    ("$__range", RANGE),
    ("$job", "podgate"),
    ("$namespace", ".*"),
    ("$policy", ".*"),
    ("$webhook", ".*"),
];

/// A query that a panel or a variable makes.
pub struct Query {
    pub from: String,
    pub text: String,
}

/// All dashboards, from the config maps that Grafana's sidecar would find by their label.
fn dashboards(world: &World) -> Vec<Value> {
    let found = world.get(&["-n", NAMESPACE, "configmaps", "-l", "grafana_dashboard=1"]).unwrap();
    let maps = found["items"].as_array().unwrap().iter();
    let files = maps.flat_map(|map| map["data"].as_object().unwrap().values());
    files.map(|file| serde_json::from_str(file.as_str().unwrap()).unwrap()).collect()
}

fn substituted(query: &str) -> String {
    let fill = |text: String, (name, value): (&str, &str)| text.replace(name, value);
    let text = VARIABLES.into_iter().fold(query.to_owned(), fill);
    assert!(!text.contains('$'), "an unknown variable: {text}");
    text
}

/// The queries of all dashboards' panels.
pub fn queries(world: &World) -> Vec<Query> {
    let dashboards = dashboards(world);
    assert_eq!(dashboards.len(), 3, "dashboards in ConfigMaps");
    let mut queries = Vec::new();
    for dashboard in &dashboards {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let from = format!("{}: {}", dashboard["title"], panel["title"]);
                let text = substituted(target["expr"].as_str().unwrap());
                queries.push(Query { from, text });
            }
        }
    }
    queries
}

/// The queries of the panel with this title, in its order.
pub fn of_panel(world: &World, title: &str) -> Vec<String> {
    let its = queries(world).into_iter().filter(|it| it.from.ends_with(&format!(": {title:?}")));
    its.map(|it| it.text).collect()
}

/// Each variable offers something to choose.
pub fn variables_offer_values(world: &World, prometheus: &Prometheus) {
    for dashboard in dashboards(world) {
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(definition) = variable["definition"].as_str() else { continue };
            let inner = definition.strip_prefix("label_values(").unwrap().trim_end_matches(')');
            let (series, label) = inner.rsplit_once(", ").unwrap();
            let values = prometheus.label_values(label, &substituted(series));
            assert!(!values.is_empty(), "{}: {definition} offers nothing", dashboard["title"]);
        }
    }
}

/// The queries that have not returned data yet: a series whose value is a number.
pub fn without_data(prometheus: &Prometheus, queries: Vec<Query>) -> Vec<Query> {
    let is_number = |series: &Value| series["value"][1].as_str().is_some_and(|it| it != "NaN");
    let empty = |query: &Query| {
        let found = prometheus.query(&query.text);
        let found = found.unwrap_or_else(|error| panic!("{}: {}: {error}", query.from, query.text));
        !found.iter().any(is_number)
    };
    queries.into_iter().filter(empty).collect()
}
