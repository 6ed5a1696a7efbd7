//! The judge: `vap-eval`, which is the API server's own evaluator, and its requests and answers (see
//! `tests/controlplane/vapeval`). podgate's answer has the same form, so that both can be compared.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The variables and validations of a policy, and the pods to evaluate them on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Unit {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    pub validations: Vec<String>,
    /// Indices of loaded pods; all of them if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<Vec<usize>>,
    /// The index of a loaded namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<usize>,
    /// The number of evaluations by the judge, which iterates maps in random order.
    pub runs: u32,
    /// Whether validations of other types than bool are evaluated too.
    pub values: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub expression: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct UnitAnswer {
    pub fault: String,
    pub variables: Vec<ExpressionAnswer>,
    pub validations: Vec<ExpressionAnswer>,
    /// All validations on one budget, for each pod; empty if one does not compile, or there is only one.
    pub together: Vec<Together>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExpressionAnswer {
    /// Why it does not compile; empty if it does.
    pub refused: String,
    /// The type as cel-go prints it; empty if there is none.
    #[serde(rename = "type")]
    pub of: String,
    /// The overloads that it certainly calls.
    pub overloads: Vec<String>,
    /// For each pod.
    pub results: Vec<Outcome>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Outcome {
    pub is: Is,
    /// The value, as `vapeval/render.go` writes it, or the error.
    pub text: String,
    pub cost: u64,
    pub unstable: bool,
    pub unstable_cost: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Is {
    #[default]
    Value,
    Error,
    /// The expression's cost limit.
    Budget,
    /// podgate's own limit of memory, which the judge does not have.
    Memory,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Together {
    /// Whether the policy's budget ran out.
    pub over: bool,
    pub results: Vec<String>,
    pub cost: u64,
}

/// An overload as the judge declares it.
#[derive(Clone, Debug, Deserialize)]
pub struct Overload {
    pub id: String,
    pub receiver: bool,
    pub arguments: Vec<String>,
    pub result: String,
}

#[derive(Debug, Deserialize)]
pub struct Functions {
    /// By the function's name.
    pub overloads: std::collections::BTreeMap<String, Vec<Overload>>,
    /// `NAME:ARGUMENTS:IS_METHOD`.
    pub macros: Vec<String>,
}

#[derive(Default, Serialize)]
pub struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<&'a [Value]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<&'a [Value]>,
    pub functions: bool,
    pub units: &'a [Unit],
    /// `ValidatingAdmissionPolicies`, each before its bindings; they replace those that were written before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<&'a [Value]>,
    /// Whether they are written without type checks, which take seconds.
    pub quick: bool,
    /// Leases, which policies may have as their parameter; they replace those that were there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<&'a [Value]>,
    /// What these policies judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<&'a [Change]>,
    /// How often each write is judged to tell what it costs; not at all if it is 0.
    pub costs: u32,
}

/// A change in a namespace: an update if there is an old object.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub object: Value,
    pub old_object: Value,
    pub namespace: String,
    pub subresource: String,
    pub user: String,
}

/// What the API server says of a policy or a binding.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Written {
    /// Why it refuses the object.
    pub refused: String,
    /// What its type checker finds.
    pub warnings: Vec<String>,
    /// Expressions that Kubernetes 1.33 would refuse.
    pub too_new: Vec<String>,
}

/// What the policies say of a write.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Verdict {
    /// Why the write cannot be judged.
    pub refused: String,
    /// The message of the denial; empty if the write is admitted.
    pub denied: String,
    pub warnings: Vec<String>,
    /// The objects as the API server sends them to a webhook.
    pub object: Value,
    pub old_object: Value,
    /// If it was asked for.
    pub cost: Option<Cost>,
}

/// What a write costs in all policies together, in the API server's units, and how long its plugin takes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Cost {
    pub conditions: u64,
    pub validations: u64,
    pub microseconds: f64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    fault: String,
    pub pods: Vec<Loaded>,
    pub namespaces: Vec<Loaded>,
    pub units: Vec<UnitAnswer>,
    pub functions: Option<Functions>,
    pub objects: Vec<Written>,
    pub verdicts: Vec<Verdict>,
}

/// An object as the API server reads it, or the error.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Loaded {
    pub object: Value,
    pub refused: String,
}

/// A running `vap-eval`; it ends when this is dropped, since its stdin does.
pub struct Judge {
    process: Child,
    requests: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    /// Starts one; the first call on a machine builds it.
    pub fn start() -> Self {
        let mut process = Command::new(program())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("vap-eval starts");
        let requests = process.stdin.take().map(BufWriter::new);
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Self { process, requests, answers }
    }

    pub fn ask(&mut self, request: &Request<'_>) -> Answer {
        let requests = self.requests.as_mut().expect("it runs");
        serde_json::to_writer(&mut *requests, request).expect("vap-eval reads");
        requests.write_all(b"\n").and_then(|()| requests.flush()).expect("vap-eval reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("vap-eval answers");
        let answer: Answer = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("vap-eval answers JSON: {error}: {line:.500}"));
        assert!(answer.fault.is_empty(), "vap-eval: {}", answer.fault);
        for unit in &answer.units {
            assert!(unit.fault.is_empty(), "vap-eval: {}", unit.fault);
        }
        answer
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.requests.take();
        let _ = self.process.wait();
    }
}

fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/vap-eval.sh");
        let output = Command::new(&script).stderr(Stdio::inherit()).output().expect("bash");
        assert!(output.status.success(), "{} failed; its message is above", script.display());
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    })
}
