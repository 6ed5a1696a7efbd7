//! The primary path: an AdmissionReview comes in over TLS and is answered.
//!
//! [`server`] accepts connections, [`handler`] is the HTTP side (with `request`, what it lets in), [`review`] the pure step from bytes to a verdict and
//! [`mutate`] the one to a patch, `answer` the way back to bytes. Policies are reviewed themselves, in `policy_object`.
//! [`registration`] is what the API server must know to call at all, and [`register`] tells it, in development.

mod answer;
pub mod handler;
mod json;
pub mod mutate;
mod policy_object;
pub mod register;
pub mod registration;
mod request;
pub mod review;
pub mod server;
