//! The primary path: an AdmissionReview comes in over TLS and is answered.
//!
//! [`server`] accepts [`connections`] and [`handler`] is the HTTP side (with `request`, what it lets in by `pool` and
//! `line`). Whoever is known to be an API server ([`callers`]) has room of its own in all of these. [`review`] reads
//! the bytes (with `json`), [`validate`] judges (with `unchanged`, what an update left alone) and [`mutate`] completes what
//! they hold, and `answer` writes what was [`judged`]. Policies are reviewed themselves, in `policy_object`, and the Lease by
//! which podgate knows that it is asked, in [`alive`]. [`registration`] is what the API server must know to call at all,
//! [`register`] tells it, in development, and [`intact`] sees whether that still stands.

pub mod alive;
mod answer;
pub mod callers;
pub mod connections;
mod costly;
pub mod handler;
pub mod intact;
mod json;
pub mod judged;
mod line;
pub mod mutate;
mod policy_object;
mod pool;
pub mod register;
pub mod registration;
mod repairs;
mod request;
pub mod review;
mod seldom;
pub mod server;
mod unchanged;
pub mod validate;
