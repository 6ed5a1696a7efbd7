//! A real Prometheus, which ends when this value is dropped, and its queries.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::super::netns;
use super::super::world::World;
use super::scrape;
use crate::support::control_plane::text;
use crate::support::eventually;

const PORT: u16 = 9090;

pub struct Prometheus {
    child: Child,
    api: String,
}

impl Prometheus {
    /// Starts a Prometheus with the `ServiceMonitor` and the `PrometheusRule` of the chart, as stored in the API
    /// server; waits until it is ready.
    pub fn start(world: &World) -> Self {
        let dir = world.plane.kubeconfig("prometheus");
        fs::create_dir_all(&dir).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        fs::write(at("rules.yaml"), scrape::rules(world).to_string()).unwrap();
        fs::write(at("config.yaml"), scrape::config(world, &at("rules.yaml")).to_string()).unwrap();
        for check in
            [["check", "rules", &at("rules.yaml")], ["check", "config", &at("config.yaml")]]
        {
            let checked = Command::new(tool("promtool")).args(check).output().unwrap();
            let output = text(&checked.stdout) + &text(&checked.stderr);
            assert!(checked.status.success(), "promtool {check:?}: {output}");
        }
        let output = File::create(at("log")).unwrap();
        let mut child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", at("config.yaml")))
            .arg(format!("--storage.tsdb.path={}", at("data")))
            .arg(format!("--web.listen-address={}:{PORT}", netns::HOST))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let url = format!("http://{}:{PORT}", netns::HOST);
        eventually("Prometheus to be ready", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{status}: {}", fs::read_to_string(at("log")).unwrap());
            }
            ureq::get(format!("{url}/-/ready")).call().map_err(|error| error.to_string())
        });
        Self { child, api: format!("{url}/api/v1") }
    }

    /// The series of an instant query, or Prometheus' error.
    pub fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let mut answer = self.ask("query", &[("query", query)])?;
        Ok(answer["result"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// The values of a label.
    pub fn label_values(&self, label: &str, of: &str) -> Vec<Value> {
        let answer = self.ask(&format!("label/{label}/values"), &[("match[]", of)]).unwrap();
        answer.as_array().unwrap().clone()
    }

    /// The response of another endpoint of the API, such as `rules`.
    pub fn ask(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.build().new_agent();
        let request = agent.get(format!("{}/{endpoint}", self.api));
        let mut response = request.query_pairs(parameters.iter().copied()).call().unwrap();
        let body = response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap();
        let mut answer: Value = serde_json::from_str(&body).map_err(|_| body)?;
        if answer["status"] == "success" {
            Ok(answer["data"].take())
        } else {
            Err(answer["error"].to_string())
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the Debian package.
pub fn tool(program: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/debian.sh");
    let found = Command::new(script).args([program, "prometheus"]).output().unwrap();
    assert!(found.status.success(), "{script} {program}: {}", text(&found.stderr));
    PathBuf::from(text(&found.stdout).trim())
}
