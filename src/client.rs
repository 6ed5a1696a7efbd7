//! Requests to an API server: lists by pages ([`list`]), a watch of one object by its name ([`watch_one`]), the
//! resources of kinds ([`resource`]), and the wait after a failed request ([`backoff`]).

pub(crate) mod backoff;
pub(crate) mod dry_run;
pub(crate) mod helm_ownership;
pub(crate) mod list;
pub(crate) mod resource;
#[cfg(test)]
pub(crate) mod script;
pub(crate) mod watch_one;
