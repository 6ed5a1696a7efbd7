//! Requests to an API server: lists by pages ([`list`]), pods and workloads as protobuf ([`compact`]), a watch of one
//! object by its name ([`watch_one`]), the resources of kinds ([`resource`]), the wait after a failed request
//! ([`backoff`]), and the API servers' time ([`api_time`]).

pub(crate) mod api_time;
pub(crate) mod backoff;
pub mod compact;
pub(crate) mod dry_run;
pub(crate) mod helm_ownership;
pub(crate) mod list;
pub(crate) mod pace;
pub(crate) mod resource;
#[cfg(test)]
pub(crate) mod script;
pub(crate) mod watch_one;
