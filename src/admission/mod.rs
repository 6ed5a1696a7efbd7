//! The primary path: an AdmissionReview comes in over TLS and is answered.
//!
//! [`server`] accepts connections and [`handler`] is the HTTP side (with `request`, what it lets in). [`review`] reads
//! the bytes (with `json`), [`validate`] judges and [`mutate`] completes what they hold, and `answer` writes what was
//! [`judged`]. Policies are reviewed themselves, in `policy_object`. [`registration`] is what the API server must know to
//! call at all, and [`register`] tells it, in development.

mod answer;
pub mod handler;
mod json;
pub mod judged;
pub mod mutate;
mod policy_object;
pub mod register;
pub mod registration;
mod repairs;
mod request;
pub mod review;
pub mod server;
pub mod validate;
