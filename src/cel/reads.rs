//! What an expression reads of `object`: paths, and whether two objects are the same along them.

use std::collections::BTreeSet;

use super::ast::Name;
use super::equality::equal;
use super::value::Value;

/// Who reads more than so many paths, reads the whole object.
const MAX_PATHS: usize = 128;

/// What an expression reads. It may read less, never more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectReads {
    paths: BTreeSet<Path>,
}

/// A way into the object, and how much is read at its end. The shortest path is the whole object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    pub steps: Vec<PathStep>,
    pub end: End,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// A field, or a map's entry by a key that is written in the expression.
    Field(Name),
    /// Each element of a list, or each entry of a map.
    Each,
}

/// How much is read at the end of a path. Each says less than the one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Whether there is something, and of what type.
    Presence,
    /// How long a list is, which keys a map has; all of anything else.
    Keys,
    /// Everything below.
    Whole,
}

impl ObjectReads {
    /// Adds a path, unless a path that is there says as much; paths that say no more than the new one go.
    pub(super) fn add(&mut self, path: Path) {
        if self.paths.iter().any(|it| it.implies(&path)) {
            return;
        }
        self.paths.retain(|it| !path.implies(it));
        self.paths.insert(path);
        if self.paths.len() > MAX_PATHS {
            self.paths = BTreeSet::from([Path { steps: Vec::new(), end: End::Whole }]);
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        other.paths.iter().for_each(|path| self.add(path.clone()));
    }

    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter()
    }

    /// Whether the expression reads the same of both objects, so that it must come to the same verdict.
    pub fn same(&self, one: &Value<'_>, other: &Value<'_>) -> bool {
        self.paths.iter().all(|path| same(&path.steps, path.end, one, other))
    }
}

impl Path {
    /// Whether whoever compares this path has compared the other one.
    fn implies(&self, other: &Self) -> bool {
        match other.steps.strip_prefix(&self.steps[..]) {
            Some([]) => self.end >= other.end,
            Some(_) => self.end == End::Whole,
            None => match self.steps.strip_prefix(&other.steps[..]) {
                // The way is compared too: what is on it is there or not, and of which type.
                Some([PathStep::Each, ..]) => other.end <= End::Keys,
                Some(_) => other.end == End::Presence,
                None => false,
            },
        }
    }
}

/// Whether two values are the same along a path. The path bounds the way down.
fn same(steps: &[PathStep], end: End, one: &Value<'_>, other: &Value<'_>) -> bool {
    let Some((step, rest)) = steps.split_first() else { return same_end(end, one, other) };
    match (step, one, other) {
        (PathStep::Field(name), Value::Map(one), Value::Map(other)) => {
            match (one.get_str(name), other.get_str(name)) {
                (Some(one), Some(other)) => same(rest, end, &one, &other),
                (one, other) => one.is_none() && other.is_none(),
            }
        }
        (PathStep::Each, Value::Map(_), Value::Map(_))
        | (PathStep::Each, Value::List(_), Value::List(_)) => {
            pairwise(one, other, |one, other| same(rest, end, one, other))
        }
        _ => identical(one, other),
    }
}

fn same_end(end: End, one: &Value<'_>, other: &Value<'_>) -> bool {
    match (end, one, other) {
        (End::Presence, ..) => std::mem::discriminant(one) == std::mem::discriminant(other),
        (End::Keys, Value::List(_), Value::List(_)) | (End::Keys, Value::Map(_), Value::Map(_)) => {
            pairwise(one, other, |_, _| true)
        }
        _ => identical(one, other),
    }
}

/// Whether two lists are of one length, or two maps have the same keys, and the elements or values are as is asked.
fn pairwise(
    one: &Value<'_>,
    other: &Value<'_>,
    alike: impl Fn(&Value<'_>, &Value<'_>) -> bool,
) -> bool {
    match (one, other) {
        (Value::List(one), Value::List(other)) => {
            let (one, other) = (one.as_slice(), other.as_slice());
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        // Entries are in the order of their keys.
        (Value::Map(one), Value::Map(other)) => {
            let (one, other) = (one.as_slice(), other.as_slice());
            let pairs = || one.iter().zip(other);
            one.len() == other.len()
                && pairs().all(|((key, value), (other_key, other))| {
                    identical(key, other_key) && alike(value, other)
                })
        }
        _ => false,
    }
}

/// Whether two values of the input are the same in every way; the depth of an object bounds the way down.
fn identical(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => {
            pairwise(one, other, identical)
        }
        _ => {
            std::mem::discriminant(one) == std::mem::discriminant(other)
                && equal(one, other).unwrap_or(false)
        }
    }
}

/// For people: `object.spec.containers[].image`.
impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_steps(&self.steps, f)
    }
}

pub(super) fn write_steps(steps: &[PathStep], to: &mut impl std::fmt::Write) -> std::fmt::Result {
    to.write_str("object")?;
    for step in steps {
        match step {
            PathStep::Field(name) if is_identifier(name) => write!(to, ".{name}")?,
            PathStep::Field(name) => write!(to, "['{name}']")?,
            PathStep::Each => to.write_str("[]")?,
        }
    }
    Ok(())
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}
