//! Reading a policy's variables: `variables.NAME`, and `variables` itself.

use std::any::Any;

use super::activation::CompiledVariable;
use super::error::Error;
use super::escape::unescape;
use super::evaluation::Evaluator;
use super::value::{Opaque, Value};

/// The value of `variables` itself.
#[derive(Debug)]
pub(super) struct Variables;

impl Opaque for Variables {
    fn type_name(&self) -> &'static str {
        "kubernetes.variables"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        Ok(other.as_any().is::<Self>())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl<'v> Evaluator<'v, '_> {
    /// The value of the variable of that name, if there is one. It is evaluated on the first read. Its value or error
    /// is kept, except an error that ends the evaluation.
    pub fn variable(&mut self, name: &str) -> Result<Option<Value<'v>>, Error> {
        let variables: &'v [CompiledVariable] = self.activation.variables;
        let Some(name) = unescape(name) else { return Ok(None) };
        let Some((index, variable)) = variables.iter().enumerate().find(|(_, it)| it.name == name)
        else {
            return Ok(None);
        };
        if let Some(Some(known)) = self.activation.values.get(index) {
            return known.clone().map(Some);
        }
        let outer = self.meter.start();
        let value = variable.program.run(self.activation, self.meter);
        let cost = self.meter.resume(outer);
        self.activation.variables_cost = self.activation.variables_cost.saturating_add(cost);
        let value = value.map_err(|error| error.of_variable(&name));
        if !matches!(&value, Err(error) if error.kind().ends_evaluation())
            && let Some(known) = self.activation.values.get_mut(index)
        {
            *known = Some(value.clone());
        }
        value.map(Some)
    }
}
