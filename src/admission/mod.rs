//! The primary path: an AdmissionReview comes in over TLS and is answered.
//!
//! [`server`] accepts connections, [`handler`] is the HTTP side, [`review`]
//! the pure step from bytes to decision to bytes. [`registration`] is what the
//! API server must know to call at all.

pub mod handler;
pub mod registration;
pub mod review;
pub mod server;
