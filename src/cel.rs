//! CEL, the Common Expression Language, as in Kubernetes'
//! `ValidatingAdmissionPolicy`: parser, checker, evaluator, libraries and meter.
//!
//! This module is pure and knows nothing of policies or pods. Its behavior is defined elsewhere; where these sources
//! differ, the first one counts:
//!
//! - the API server of Kubernetes 1.36: `k8s.io/apiserver`, `pkg/cel/environment/base.go` (libraries and options),
//!   `pkg/admission/plugin/cel` (variables and types) and `pkg/cel/library` (functions, cost);
//! - cel-go 0.26, which that API server uses: `parser`, `checker`, `interpreter`, `ext`;
//! - the language's definition: `cel-spec/doc/langdef.md`.
//!
//! The way in, for a policy: [`admission::environment`] declares the names that its expressions may use.
//! [`compile::compile`] checks each variable, and [`admission::define`] declares it for the expressions after it;
//! [`compile::compile_validation`] checks each validation. [`program::Program::plan`] turns checked expressions into
//! programs, and [`program::Program::evaluate`] runs one on an [`activation::Activation`], limited by a
//! [`meter::Meter`]. [`flow::analyze`] finds the fields of the object that an expression reads, and those that no
//! object of a [`schema::Schema`] has.
//!
//! | | |
//! |---|---|
//! | `lexer`, `literal`, `parser`, `macros`, `build` | source → [`ast::Ast`] |
//! | [`types`], `unify`, [`declarations`], [`declared`], [`environment`], `wellknown`, `check`, `validate` | → `Checked` |
//! | `plan`, [`program`] | → a program: constants evaluated, names resolved |
//! | [`value`] and its parts, `evaluation`, `attribute`, `variables`, `fold`, [`library`] | → a value, or an [`error::Error`] |
//! | [`flow`], [`reads`], [`schema`] | → the fields that an expression reads, without running it |

pub mod activation;
pub mod admission;
mod arithmetic;
pub mod ast;
mod attribute;
mod build;
mod check;
mod checked;
mod clock;
pub mod compile;
mod conversion;
mod cost;
pub mod declarations;
pub mod declared;
pub mod environment;
mod equality;
pub mod error;
mod error_value;
mod escape;
mod evaluation;
pub mod flow;
mod fold;
mod function;
mod lexer;
pub mod library;
mod list;
mod literal;
mod macros;
mod map;
mod message;
pub mod meter;
mod number;
mod operators;
mod parser;
mod plan;
pub mod program;
pub mod reads;
pub mod rename;
mod runtime_type;
pub mod schema;
mod set;
pub mod source;
mod stack;
mod standard;
mod text;
mod time;
pub mod tree;
pub mod types;
mod unify;
mod unknown;
mod validate;
pub mod value;
mod variables;
pub mod wanted;
mod wellknown;
