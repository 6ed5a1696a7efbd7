//! Whether a write is sent to the API server as a dry run.

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DryRun {
    Yes,
    No,
}
