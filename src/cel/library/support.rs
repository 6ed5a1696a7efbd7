//! Helpers that several libraries share: charging work, and making results.

use super::super::error::Error;
use super::super::function::Call;
use super::super::value::Value;

/// Bytes that a call may traverse for one byte of the review's memory.
const WORK_OF_A_BYTE: usize = 64;

/// Charges the work of traversing `bytes` bytes.
pub fn charge_work(call: &mut Call<'_>, bytes: usize) -> Result<(), Error> {
    call.meter.allocate(bytes / WORK_OF_A_BYTE)
}

/// Charges one element of a list whose length is not known yet.
/// A growing list reserves memory for up to twice its elements.
pub fn charge_item(call: &mut Call<'_>) -> Result<(), Error> {
    call.meter.allocate(2 * size_of::<Value<'_>>())
}

/// A copy of `text` as a string value, charged.
pub fn string<'v>(call: &mut Call<'_>, text: &str) -> Result<Value<'v>, Error> {
    call.meter.allocate(text.len())?;
    Ok(Value::string(text))
}

/// A count or an index as an int.
pub fn int<'v>(number: usize) -> Value<'v> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
