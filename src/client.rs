//! Requests to an API server: lists by pages ([`list`]), a watch of one object by its name ([`watch_one`]), and the
//! wait after a failed request ([`backoff`]).

pub mod backoff;
pub mod helm_ownership;
pub mod list;
#[cfg(test)]
pub(crate) mod script;
pub mod watch_one;
