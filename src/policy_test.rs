//! Tests of policies: files of kind `PolicyTest`, whose cases say what policies decide about objects.
//!
//! The way in is [`runner::run`], which gives [`results::Results`]. `file` reads a test, `policies` finds and compiles
//! the policies that it names. Each case takes the way of a real review (`review`) and, where an object is created, of
//! a scan (`agreement`): both must find the same. `compare` compares what came with what the case expects, [`coverage`]
//! counts which parts of the policies the cases exercise, and `update` edits the expectations in the file's text.

mod agreement;
mod case;
mod compare;
pub mod coverage;
mod file;
mod policies;
pub mod results;
mod review;
pub mod runner;
mod update;
