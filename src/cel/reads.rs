//! The paths of `object` that an expression reads, and the comparison of two objects along them.

use std::collections::BTreeSet;

use super::ast::Name;
use super::equality::equal;
use super::value::Value;

/// An expression with more paths than these counts as reading the whole object.
const MAX_PATHS: usize = 128;

/// The paths that an expression may read. It never reads others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectReads {
    paths: BTreeSet<Path>,
}

/// A path into the object, and how much is read at its end. The empty path is the whole object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    pub steps: Vec<PathStep>,
    pub end: End,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// A field, or a map's entry by a literal key.
    Field(Name),
    /// Each element of a list, or each entry of a map.
    Each,
}

/// How much is read at the end of a path, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Whether a value exists, and its type.
    Presence,
    /// The length of a list or the keys of a map; the whole of any other value.
    Keys,
    /// The whole value.
    Whole,
}

impl ObjectReads {
    /// Adds a path, unless another path implies it, and removes the paths that the new one implies.
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

    /// Whether the expression reads equal values from both objects, so that its result must be the same.
    pub fn same(&self, one: &Value<'_>, other: &Value<'_>) -> bool {
        self.paths.iter().all(|path| same(&path.steps, path.end, one, other))
    }
}

impl Path {
    /// Whether comparing this path compares the other one too.
    fn implies(&self, other: &Self) -> bool {
        match other.steps.strip_prefix(&self.steps[..]) {
            Some([]) => self.end >= other.end,
            Some(_) => self.end == End::Whole,
            None => match self.steps.strip_prefix(&other.steps[..]) {
                // Values along a path are compared too: whether they exist, and their types.
                Some([PathStep::Each, ..]) => other.end <= End::Keys,
                Some(_) => other.end == End::Presence,
                None => false,
            },
        }
    }
}

/// Whether two values are the same along a path. The path bounds the recursion.
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

/// Whether two lists have the same length, or two maps the same
/// keys, and all pairs of their elements or values are `alike`.
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

/// Whether two values of the input are identical. The depth of the object bounds the recursion.
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

/// `object.spec.containers[].image`.
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
