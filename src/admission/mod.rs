//! The primary path: an AdmissionReview comes in over TLS and is answered.
//!
//! [`server`] accepts connections, [`handler`] is the HTTP side, [`review`]
//! the pure step from bytes to a verdict, `answer` the way back to bytes.
//! [`registration`] is what the API server must know to call at all.

mod answer;
pub mod handler;
pub mod registration;
pub mod review;
pub mod server;
