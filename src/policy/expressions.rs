//! A policy's `variables` and `validations`, compiled by [`crate::cel`] and evaluated on a pod.
//!
//! [`Expressions::compile`] rejects what the API server rejects. [`Expressions::evaluate`] distinguishes true, false
//! and error: an error is never a pass.

use std::sync::Arc;

use super::document::Document;
use super::pod_schema::pod_schema;
use super::reads::Reads;
use super::rule::InvalidField;
use crate::api::{DevOpsPolicySpec, Validation, Variable};
use crate::cel::activation::{self, Activation};
use crate::cel::ast::Name;
use crate::cel::error::{Error, ErrorKind};
use crate::cel::flow::{ReadAnalysis, analyze};
use crate::cel::meter::{EXPRESSION_COST_LIMIT, Meter};
use crate::cel::program::Program;
use crate::cel::source::CompileError;
use crate::cel::value::Value;
use crate::cel::{admission, compile, library};

/// The longest source, in bytes.
const MAX_SOURCE: usize = 1024;

/// A policy's expressions, compiled.
#[derive(Default)]
pub struct Expressions {
    variables: Vec<activation::CompiledVariable>,
    validations: Vec<Program>,
    /// The fields that each validation reads, directly or through variables.
    reads: Vec<Arc<Reads>>,
    /// The fields that the expressions read and that no Pod has, each under the path of its expression.
    unknown_fields: Vec<InvalidField>,
}

impl Expressions {
    /// # Errors
    /// The first expression that is too long, or that the API server would reject too.
    pub fn compile(
        validations: &[Validation],
        variables: &[Variable],
    ) -> Result<Self, InvalidField> {
        // Most policies have no expressions, and an environment is expensive.
        if validations.is_empty() && variables.is_empty() {
            return Ok(Self::default());
        }
        let mut environment = admission::environment();
        let mut compiled: Vec<activation::CompiledVariable> = Vec::new();
        let mut analyzed: Vec<(Name, ReadAnalysis)> = Vec::new();
        let mut unknown_fields = Vec::new();
        let mut note = |path: &str, analysis: &ReadAnalysis| {
            unknown_fields.extend(analysis.warnings.iter().map(|it| InvalidField {
                path: path.to_owned(),
                message: format!("{}: {}", it.place, it.message),
            }));
        };
        for (index, Variable { name, expression }) in variables.iter().enumerate() {
            let field = |field: &str| format!("spec.variables[{index}].{field}");
            if compiled.iter().any(|other| other.name == *name) {
                let message = format!("variable {name:?} is there twice");
                return Err(InvalidField { path: field("name"), message });
            }
            let program = compile::compile(expression, &environment, MAX_SOURCE)
                .and_then(|checked| {
                    let analysis = analyze(&checked, &analyzed, Some(pod_schema()));
                    note(&field("expression"), &analysis);
                    analyzed.push((name.as_str().into(), analysis));
                    Program::plan(&checked, &environment, &library::find)
                })
                .map_err(|error| refused(field("expression"), &error))?;
            admission::define(&mut environment, name, program.result_type());
            compiled.push(activation::CompiledVariable { name: name.clone(), program });
        }
        let (mut planned, mut reads) = (Vec::new(), Vec::new());
        for (index, Validation { name, expression, .. }) in validations.iter().enumerate() {
            let field = |field: &str| format!("spec.validations[{index}].{field}");
            if validations.iter().take(index).any(|other| other.name == *name) {
                let message = format!("validation {name:?} is there twice");
                return Err(InvalidField { path: field("name"), message });
            }
            let program = compile::compile_validation(expression, &environment, MAX_SOURCE)
                .and_then(|checked| {
                    let analysis = analyze(&checked, &analyzed, Some(pod_schema()));
                    note(&field("expression"), &analysis);
                    reads.push(Arc::new(Reads::from(analysis.reads())));
                    Program::plan(&checked, &environment, &library::find)
                })
                .map_err(|error| refused(field("expression"), &error))?;
            planned.push(program);
        }
        Ok(Self { variables: compiled, validations: planned, reads, unknown_fields })
    }

    /// The expressions of a spec.
    ///
    /// # Errors
    /// As [`Expressions::compile`].
    pub fn of(spec: &DevOpsPolicySpec) -> Result<Self, InvalidField> {
        let validations = spec.validations.as_deref().unwrap_or_default();
        Self::compile(validations, spec.variables.as_deref().unwrap_or_default())
    }

    /// The fields that the expressions read and that no Pod has in the newest version of Kubernetes that podgate knows.
    /// An expression that reads one is undecided for every pod, or true for none.
    pub fn unknown_fields(&self) -> &[InvalidField] {
        &self.unknown_fields
    }

    /// What each validation reads, in the order of `spec.validations`.
    pub fn all_reads(&self) -> &[Arc<Reads>] {
        &self.reads
    }

    /// The fields that a validation reads, by its index in `spec.validations`; `None` if there is no such validation.
    pub fn reads(&self, validation: usize) -> Option<&Arc<Reads>> {
        self.reads.get(validation)
    }

    /// The result of each validation, in the order of `spec.validations`: whether the pod passes, or why that could not
    /// be decided. If the policy's cost budget runs out, none is decided.
    pub fn evaluate(&self, document: &Document<'_>) -> Vec<Result<bool, String>> {
        let mut meter = Meter::new(EXPRESSION_COST_LIMIT, document.left());
        let (pod, namespace) = (document.pod.value(), document.namespace.value());
        let mut activation = Activation::new(pod, namespace, &self.variables);
        let mut results = Vec::with_capacity(self.validations.len());
        for program in &self.validations {
            results.push(match program.evaluate(&mut activation, &mut meter) {
                Ok(Value::Bool(passes)) => Ok(passes),
                Ok(other) => Err(format!("its result is of type {}, not bool", other.type_name())),
                Err(error) if error.kind() == ErrorKind::CostBudget => {
                    results = self.validations.iter().map(|_| Err(reason(&error))).collect();
                    break;
                }
                Err(error) => Err(reason(&error)),
            });
        }
        document.set_left(meter.left());
        results
    }
}

fn refused(path: String, error: &CompileError) -> InvalidField {
    InvalidField { path, message: error.to_string() }
}

/// The error as text. Values that it quotes from a pod are cut and made printable.
fn reason(error: &Error) -> String {
    /// The longest text, in bytes.
    const MOST: usize = 300;
    super::text::brief(error.to_string(), MOST)
}
