//! Reads the JSON of a review, most of which no rule reads: `managedFields` alone is often half of it. What is skipped
//! is validated on the way, eight bytes at a time ([`skip`]).
//!
//! [`from_str`] accepts the texts that `serde_json` accepts, and returns the same values, for types that read objects,
//! lists and scalars. Its error does not say what is wrong: the caller reads a malformed body again with `serde_json`.
//! Rare and intricate parts, numbers and strings with escapes, are left to `serde_json` in the first place. [`mod@whole`]
//! reads an object into a bounded `serde_json::Value`.

#[cfg(test)]
mod properties;
mod reader;
mod skip;
mod whole;

pub(super) use reader::{from_str, from_str_seed};
pub(super) use whole::whole;
