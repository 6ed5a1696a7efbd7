//! An error as a value: cel-go has optionals that hold one.

use std::any::Any;

use super::error::Error;
use super::value::{Opaque, Value};

/// An error in the place of a value. Evaluating an expression to it fails with the error.
#[derive(Debug)]
pub(super) struct ErrorValue(pub Error);

impl ErrorValue {
    /// # Errors
    /// The value is an [`ErrorValue`].
    pub fn check(value: &Value<'_>) -> Result<(), Error> {
        match value.opaque::<Self>() {
            Some(Self(error)) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl Opaque for ErrorValue {
    fn type_name(&self) -> &'static str {
        "error"
    }

    fn equals(&self, _: &dyn Opaque) -> Result<bool, Error> {
        Err(self.0.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
