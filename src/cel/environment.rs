//! The names that an expression may use: functions, variables, and types with fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::Name;
use super::declarations::{FunctionLibrary, Overload};
use super::types::Type;

/// Declarations of functions, variables and types. Clones share the functions.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    functions: Arc<BTreeMap<&'static str, Vec<Overload>>>,
    variables: Vec<(Name, Type)>,
    objects: Vec<ObjectType>,
    refused: Vec<(&'static str, &'static str)>,
}

/// A type with declared fields.
#[derive(Clone, Debug)]
pub struct ObjectType {
    pub name: Name,
    pub fields: Vec<(Name, Type)>,
}

impl Environment {
    /// An environment with the libraries' functions. Where several libraries declare a function, its overloads are in
    /// the order of the libraries.
    pub fn new(libraries: impl IntoIterator<Item = FunctionLibrary>) -> Self {
        let mut functions: BTreeMap<&'static str, Vec<Overload>> = BTreeMap::new();
        for function in libraries.into_iter().flat_map(|library| library.functions) {
            functions.entry(function.name).or_default().extend(function.overloads);
        }
        Self { functions: Arc::new(functions), ..Self::default() }
    }

    /// Declares a variable.
    #[must_use]
    pub fn with(mut self, name: &str, of: Type) -> Self {
        self.variables.push((name.into(), of));
        self
    }

    /// Declares a type with fields.
    #[must_use]
    pub fn with_object(mut self, name: &str, fields: &[(&str, Type)]) -> Self {
        let fields = fields.iter().map(|(name, of)| (Name::from(*name), of.clone())).collect();
        self.objects.push(ObjectType { name: name.into(), fields });
        self
    }

    /// Refuses a variable that Kubernetes declares. The error for an
    /// expression that uses it is "NAME is not available: `reason`".
    #[must_use]
    pub fn without(mut self, name: &'static str, reason: &'static str) -> Self {
        self.refused.push((name, reason));
        self
    }

    /// Adds a field to a declared type.
    pub fn add_field(&mut self, object: &str, field: &str, of: Type) {
        if let Some(object) = self.objects.iter_mut().find(|it| &*it.name == object) {
            object.fields.push((field.into(), of));
        }
    }

    /// The overloads of a function.
    pub fn function(&self, name: &str) -> Option<&[Overload]> {
        self.functions.get(name).map(Vec::as_slice)
    }

    /// Names of the functions that an expression can call by name, without operators and the macros' helpers.
    pub fn function_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.functions.keys().copied().filter(|name| !name.contains(['@', '_']))
    }

    pub fn variable(&self, name: &str) -> Option<&Type> {
        self.variables.iter().rev().find(|(its, _)| &**its == name).map(|(_, of)| of)
    }

    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, _)| &**name)
    }

    pub fn object(&self, name: &str) -> Option<&ObjectType> {
        self.objects.iter().find(|object| &*object.name == name)
    }

    /// The reason why a variable is refused, if it is.
    pub fn reason_against(&self, name: &str) -> Option<&'static str> {
        self.refused.iter().find(|(its, _)| *its == name).map(|(_, reason)| *reason)
    }
}

impl ObjectType {
    pub fn field(&self, name: &str) -> Option<&Type> {
        self.fields.iter().rev().find(|(its, _)| &**its == name).map(|(_, of)| of)
    }
}
