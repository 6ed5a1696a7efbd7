//! The CEL form of a rule: what its check finds, as conditions and texts in CEL.
//!
//! In an expression, `p` is the pod ([`super::pods`]), and `x` the element of the list that is judged: a container, a
//! security context, an image, or whatever [`CelFinding::each`] lists.

use std::borrow::Cow;

use super::expression::{quote, text};
use crate::api::{DevOpsPolicySpec, Severity};

/// How a rule is judged by the API server.
pub enum Form {
    /// By what this returns for a policy's spec; nothing if the spec does not enable the rule.
    Cel(fn(&DevOpsPolicySpec) -> Vec<CelFinding>),
    /// By the policy's own expressions ([`super::own`]).
    Own,
    /// Not at all, for this reason.
    None(&'static str),
}

/// Whether the element that is judged has a container, or an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Known {
    Always,
    /// If `x.n`, the container's name, is not empty.
    IfNamed,
    Never,
}

/// What podgate adds to a container that breaks the rule, in CEL. In it, `x.add` lists what policies have added before:
/// `f` is the field, and `v` its value.
#[derive(Clone, Debug)]
pub struct CelFix {
    /// The path from the container: `resources.limits.cpu`. It is added where it is absent.
    pub field: String,
    /// Whether it is safe.
    pub when: String,
    pub value: String,
    /// A field and its value to add with it, if that is absent too, as [`super::super::rule::Fix::beside`].
    pub beside: Option<(String, String)>,
}

/// One kind of violation, with every text as a CEL expression.
#[derive(Clone, Debug)]
pub struct CelFinding {
    /// As [`super::super::rule::Breach::check`].
    pub check: Option<Cow<'static, str>>,
    /// As [`super::super::rule::Breach::severity`].
    pub severity: Option<Severity>,
    pub container: Known,
    pub image: Known,
    /// The list whose elements are judged.
    pub each: String,
    /// Whether an element breaks the rule.
    pub broken: String,
    /// The field at fault; empty if it is the whole pod.
    pub path: String,
    /// What tells the violation from another one at the same path, as [`super::super::rule::Breach::value`].
    pub value: String,
    pub problem: String,
    /// Empty if there is none.
    pub remedy: String,
    /// Whether an update that only removes fields can cause it. The API server puts no time on such a write.
    pub by_removal: bool,
    /// What of the value stays the same in a new version of a template; `None` if all of it does.
    pub lasting: Option<String>,
    /// The same, if the value is a list of which each item counts.
    pub each_lasting: Option<String>,
    /// Why a policy cannot be judged whole by the API server: this part of the rule is left out.
    pub lost: Option<String>,
    /// What podgate adds by this rule; `None` if it adds nothing.
    pub fix: Option<CelFix>,
}

impl CelFinding {
    fn new(each: &str, broken: impl Into<String>, container: Known, image: Known) -> Self {
        Self {
            check: None,
            severity: None,
            container,
            image,
            each: each.to_owned(),
            broken: broken.into(),
            path: String::new(),
            value: text(""),
            problem: text("is missing"),
            remedy: String::new(),
            by_removal: false,
            lasting: None,
            each_lasting: None,
            lost: None,
            fix: None,
        }
    }

    /// Of each container.
    pub fn of_containers(broken: impl Into<String>) -> Self {
        Self::new("p.cs", broken, Known::Always, Known::Always)
    }

    /// Of each security context, the pod's and the containers'.
    pub fn of_contexts(broken: impl Into<String>) -> Self {
        Self::new("p.scs", broken, Known::IfNamed, Known::IfNamed)
    }

    /// Of each image, of containers and of volumes.
    pub fn of_images(broken: impl Into<String>) -> Self {
        Self::new("p.img", broken, Known::IfNamed, Known::Always)
    }

    /// Of the pod, by its field.
    pub fn of_pod(field: &str, broken: impl Into<String>) -> Self {
        let path = format!("variables.at + {}", text(field));
        Self { path, ..Self::new("[0]", broken, Known::Never, Known::Never) }
    }

    /// Of the elements of this list, which belong to the pod.
    pub fn of_list(each: &str, broken: impl Into<String>) -> Self {
        Self::new(each, broken, Known::Never, Known::Never)
    }

    /// What could not be expressed.
    pub fn lost(reason: String) -> Self {
        Self { lost: Some(reason), ..Self::of_list("[]", "false") }
    }

    /// The elements of another list.
    #[must_use]
    pub fn each(self, each: impl Into<String>) -> Self {
        Self { each: each.into(), ..self }
    }

    /// None of the elements, if a condition on the pod holds.
    #[must_use]
    pub fn unless(self, condition: &str) -> Self {
        let each = format!("({condition} ? [] : {})", self.each);
        Self { each, ..self }
    }

    /// The path of a field of the element.
    #[must_use]
    pub fn at(self, field: &str) -> Self {
        Self { path: format!("x.at + {}", text(field)), ..self }
    }

    /// The path as an expression.
    #[must_use]
    pub fn at_path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The value found, which the problem quotes.
    #[must_use]
    pub fn holding(self, value: &str) -> Self {
        let problem = format!("'is ' + {}", quote(value));
        Self { value: value.to_owned(), problem, ..self }
    }

    /// The value found, and the problem as an expression.
    #[must_use]
    pub fn because(self, value: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { value: value.into(), problem: problem.into(), ..self }
    }

    /// The problem that the field is true.
    #[must_use]
    pub fn is_true(self) -> Self {
        self.because(text("true"), text("is true"))
    }

    /// The remedy, as plain text.
    #[must_use]
    pub fn remedy(self, remedy: &str) -> Self {
        Self { remedy: text(remedy), ..self }
    }

    /// The remedy as an expression.
    #[must_use]
    pub fn remedy_of(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    /// What of the value stays the same in a new version of a template.
    #[must_use]
    pub fn lasting(self, value: &str) -> Self {
        Self { lasting: Some(value.to_owned()), ..self }
    }

    /// A list that is the value, of which each item counts.
    #[must_use]
    pub fn each_lasting(self, list: String) -> Self {
        Self { each_lasting: Some(list), ..self }
    }

    /// What podgate adds to a container.
    #[must_use]
    pub fn fixed(self, field: &str, value: &str, when: impl Into<String>) -> Self {
        let (field, value) = (field.to_owned(), value.to_owned());
        Self { fix: Some(CelFix { field, when: when.into(), value, beside: None }), ..self }
    }

    #[must_use]
    pub fn by_removal(self) -> Self {
        Self { by_removal: true, ..self }
    }
}
