//! Fields that the API server knows and podgate does not: reading one is an error.

use std::any::Any;

use super::error::{Error, ErrorKind};
use super::value::{Opaque, Value};

/// The value of such a field; `Tree::unknown` makes it.
#[derive(Debug)]
pub(super) struct Unknown;

impl Unknown {
    pub fn is(value: &Value<'_>) -> bool {
        value.opaque::<Self>().is_some()
    }
}

impl Opaque for Unknown {
    fn type_name(&self) -> &'static str {
        "unknown"
    }

    fn equals(&self, _: &dyn Opaque) -> Result<bool, Error> {
        Err(Error::new(ErrorKind::Unknown, "podgate does not know the value of a field"))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
