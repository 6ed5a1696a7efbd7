//! The fields of an object that expressions read, as the decoder looks them up: it skips the others, which are most of
//! a pod.

use super::ast::Name;
use super::reads::{ObjectReads, Path, PathStep};

/// How much of a value is decoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// The whole value; then the other fields say nothing.
    whole: bool,
    /// The fields of an object, or the entries of a map by literal keys.
    fields: Vec<(Name, Wanted)>,
    /// What is decoded of each element of a list, or of each entry of a map.
    each: Option<Box<Wanted>>,
}

/// The whole value.
pub static WHOLE: Wanted = Wanted { whole: true, fields: Vec::new(), each: None };

impl Wanted {
    /// Adds the paths that an expression reads. The value at the end of a path is decoded whole.
    pub fn add_all(&mut self, reads: &ObjectReads) {
        reads.paths().for_each(|Path { steps, .. }| self.add(steps));
    }

    /// Adds the value at the end of a path.
    pub fn add(&mut self, steps: &[PathStep]) {
        match steps.split_first() {
            None => self.whole = true,
            Some((PathStep::Each, rest)) => self.each.get_or_insert_default().add(rest),
            Some((PathStep::Field(name), rest)) => {
                let known = self.fields.iter().position(|(it, _)| it == name);
                let at = known.unwrap_or_else(|| {
                    self.fields.push((Name::clone(name), Self::default()));
                    self.fields.len() - 1
                });
                if let Some((_, field)) = self.fields.get_mut(at) {
                    field.add(rest);
                }
            }
        }
    }

    /// What is decoded of a field or an entry; `None` for nothing of it.
    pub fn field(&self, name: &str) -> Option<&Self> {
        if self.whole {
            return Some(&WHOLE);
        }
        let field = self.fields.iter().find(|(it, _)| &**it == name);
        match (field, self.each.as_deref()) {
            // Both are read: rarely, so it need not be exact.
            (Some(_), Some(_)) => Some(&WHOLE),
            (Some((_, field)), None) => Some(field),
            (None, each) => each,
        }
    }

    /// What is decoded of an element of a list. A list keeps its length.
    pub fn element(&self) -> &Self {
        if self.whole { &WHOLE } else { self.each.as_deref().unwrap_or(&WHOLE) }
    }
}
