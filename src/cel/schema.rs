//! The fields of a kind of object, to warn of field names that do not exist.

use std::collections::BTreeMap;

use super::reads::{PathStep, write_steps};
use super::source::closest;

/// The types of a kind of object, by name.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The kind of the object, such as `Pod`.
    pub kind: &'static str,
    types: BTreeMap<&'static str, BTreeMap<&'static str, Shape>>,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A string, a number, a bool.
    Scalar,
    /// A value of any shape.
    Any,
    Object(&'static str),
    ListOf(Item),
    MapOf(Item),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Scalar,
    Object(&'static str),
}

impl Schema {
    /// Reads a schema with one line for each type: the name of the type, then its
    /// fields. `name` is a scalar, `name:*` a value of any shape, `name:Type` an object,
    /// `name:[]` and `name:{}` a list and a map of scalars, `name:[]Type` and `name:{}Type` a
    /// list and a map of objects. The object itself has the type that is named as the kind.
    pub fn read(kind: &'static str, lines: &'static str) -> Self {
        let types = lines.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            Some((name, words.map(field).collect()))
        });
        Self { kind, types: types.collect() }
    }

    /// The names of the fields of all types.
    pub fn field_names(&self) -> impl Iterator<Item = &'static str> {
        self.types.values().flat_map(|fields| fields.keys().copied())
    }

    fn item(item: Item) -> Shape {
        match item {
            Item::Scalar => Shape::Scalar,
            Item::Object(name) => Shape::Object(name),
        }
    }

    /// The shape of the value at a path; `None` if no object has a value there.
    fn at(&self, steps: &[PathStep]) -> Option<Shape> {
        steps.iter().try_fold(Shape::Object(self.kind), |shape, step| match (shape, step) {
            (Shape::Object(of), PathStep::Field(name)) => match self.types.get(of) {
                Some(fields) => fields.get(&**name).copied(),
                None => Some(Shape::Any),
            },
            (Shape::ListOf(item), PathStep::Each) | (Shape::MapOf(item), _) => {
                Some(Self::item(item))
            }
            (Shape::ListOf(_) | Shape::Scalar, PathStep::Field(_)) => None,
            (Shape::Any | Shape::Scalar | Shape::Object(_), _) => Some(Shape::Any),
        })
    }

    /// The warning for a path whose last field does not exist, although the value above it does.
    pub(super) fn fault(&self, steps: &[PathStep]) -> Option<String> {
        let (PathStep::Field(name), above) = steps.split_last()? else { return None };
        let holder = self.at(above)?;
        if self.at(steps).is_some() {
            return None;
        }
        let place = |steps: &[PathStep]| {
            let mut text = String::new();
            let _ = write_steps(steps, &mut text);
            text
        };
        Some(match holder {
            Shape::ListOf(_) => {
                format!(
                    "{} is a list, which has no {name}; use all() or exists(), or write [0]",
                    place(above)
                )
            }
            Shape::Scalar => format!("{} has no fields, so there is no {name} in it", place(above)),
            _ => format!("no {} has {}{}", self.kind, place(steps), self.hint(holder, above, name)),
        })
    }

    /// A suggestion for a field that does not exist.
    fn hint(&self, holder: Shape, above: &[PathStep], name: &str) -> String {
        let Shape::Object(of) = holder else { return String::new() };
        let fields = self.types.get(of).into_iter().flat_map(BTreeMap::keys).copied();
        if let Some(close) = closest(name, fields) {
            return format!("; did you mean {close}?");
        }
        match self.elsewhere(above, name).or_else(|| self.elsewhere(&[], name)) {
            Some(place) => format!("; there is {place}"),
            None => String::new(),
        }
    }

    /// The nearest path below another one that ends in a field of that name.
    fn elsewhere(&self, from: &[PathStep], name: &str) -> Option<String> {
        const MAX_PLACES: usize = 2000;
        let mut places = vec![from.to_vec()];
        let mut at = 0;
        while let Some(place) = places.get(at).cloned() {
            at += 1;
            let fields = match self.at(&place)? {
                Shape::Object(of) => self.types.get(of),
                Shape::ListOf(Item::Object(of)) | Shape::MapOf(Item::Object(of)) => {
                    self.types.get(of)
                }
                _ => None,
            };
            let each = matches!(self.at(&place), Some(Shape::ListOf(_) | Shape::MapOf(_)))
                .then_some(PathStep::Each);
            for field in fields.into_iter().flat_map(BTreeMap::keys) {
                let mut below = place.clone();
                below.extend(each.clone());
                below.push(PathStep::Field((*field).into()));
                if *field == name {
                    let mut text = String::new();
                    let _ = write_steps(&below, &mut text);
                    return Some(text);
                }
                if places.len() < MAX_PLACES {
                    places.push(below);
                }
            }
        }
        None
    }
}

fn field(word: &'static str) -> (&'static str, Shape) {
    let Some((name, holds)) = word.split_once(':') else { return (word, Shape::Scalar) };
    let item = |of: &'static str| if of.is_empty() { Item::Scalar } else { Item::Object(of) };
    let shape = match (holds.strip_prefix("[]"), holds.strip_prefix("{}")) {
        (Some(of), _) => Shape::ListOf(item(of)),
        (None, Some(of)) => Shape::MapOf(item(of)),
        (None, None) if holds == "*" => Shape::Any,
        (None, None) => Shape::Object(holds),
    };
    (name, shape)
}
