//! How podgate talks to an API server, whichever cluster it is of: lists by pages ([`list`]), one object by its name
//! ([`watch_one`]), and how long to wait after a failure ([`backoff`]).

pub mod backoff;
pub mod dry_run;
pub mod helm_ownership;
pub mod list;
#[cfg(test)]
pub(crate) mod script;
pub mod watch_one;
