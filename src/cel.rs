//! CEL, the Common Expression Language, as Kubernetes' `ValidatingAdmissionPolicy` has it: parser, checker, evaluator, libraries
//! and meter.
//!
//! This room is pure and knows nothing of policies or pods. What it does is defined elsewhere, in this order:
//!
//! - what the API server of Kubernetes 1.36 does with an expression: `k8s.io/apiserver`, `pkg/cel/environment/base.go` (which
//!   libraries and options), `pkg/admission/plugin/cel` (variables and types) and `pkg/cel/library` (functions, cost);
//! - cel-go 0.26, which that API server is built with: `parser`, `checker`, `interpreter`, `ext`;
//! - the language's definition: `cel-spec/doc/langdef.md`.
//!
//! The way in, for a policy: [`admission::environment`] says what its expressions may name. [`compile::compile`] checks each variable,
//! which [`admission::define`] then adds for those after it, and [`compile::compile_validation`] each validation;
//! [`program::Program::plan`] makes of both what runs, on an [`activation::Activation`] and under a [`meter::Meter`].
//! [`flow::analyze`] says what an expression reads of the object, and which of its names no object of a [`schema::Schema`] has.
//!
//! | | |
//! |---|---|
//! | `lexer`, `literal`, `parser`, `macros`, `build` | source → [`ast::Ast`] |
//! | [`types`], `unify`, [`declarations`], [`declared`], [`environment`], `wellknown`, [`check`], `validate` | → [`checked::Checked`] |
//! | `plan`, [`program`] | → what runs, constants worked out |
//! | [`value`] and its parts, `evaluation`, `attribute`, `fold`, [`library`] | → a value, or an [`error::Error`] |
//! | [`flow`], [`reads`], [`schema`] | what is known before it runs |

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
mod wellknown;
