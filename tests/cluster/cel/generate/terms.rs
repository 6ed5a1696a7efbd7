//! Random expressions of a type: literals, fields of the pod, operators and functions by the judge's declarations,
//! macros. Sometimes the type is wrong, or the parentheses around operands are missing.

use super::literals::{self, Purpose};
use super::schema::{self, Shape};
use super::{Choices, literals::purpose};
use crate::cel::judge;

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Optional(Box<Type>),
    /// A type of Kubernetes, by name.
    Opaque(String),
    /// The type of a type.
    Meta,
    /// A type parameter of a declaration.
    Param(String),
}

/// A function with arguments of these types.
#[derive(Clone, Debug)]
pub struct Overload {
    function: String,
    id: String,
    receiver: bool,
    arguments: Vec<Type>,
    result: Type,
}

impl Overload {
    /// `None` for functions that no expression can call, or that podgate does not support.
    pub fn of(function: &str, declared: &judge::Overload) -> Option<Self> {
        let hidden = [
            "@not_strictly_false",
            "__not_strictly_false__",
            "@sortByAssociatedKeys",
            "cel.@mapInsert",
            "_in_",
            "in",
        ];
        let all = declared.arguments.iter().chain([&declared.result]);
        if hidden.contains(&function) || all.into_iter().any(|it| it.contains("authorization")) {
            return None;
        }
        Some(Self {
            function: function.to_owned(),
            id: declared.id.clone(),
            receiver: declared.receiver,
            arguments: declared.arguments.iter().map(|it| Type::read(it)).collect(),
            result: Type::read(&declared.result),
        })
    }
}

impl Type {
    /// Parses a type as the judge prints it.
    fn read(text: &str) -> Self {
        let inner =
            |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(')'));
        match text {
            "dyn" => Self::Dyn,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "null_type" => Self::Null,
            "google.protobuf.Duration" => Self::Duration,
            "google.protobuf.Timestamp" => Self::Timestamp,
            _ if text.starts_with('<') => Self::Param(text.to_owned()),
            _ if text.starts_with("type(") => Self::Meta,
            _ => {
                if let Some(element) = inner("list(") {
                    Self::List(Box::new(Self::read(element)))
                } else if let Some((key, value)) = inner("map(").and_then(|it| it.split_once(", "))
                {
                    Self::Map(Box::new(Self::read(key)), Box::new(Self::read(value)))
                } else if let Some(value) = inner("optional_type(") {
                    Self::Optional(Box::new(Self::read(value)))
                } else {
                    Self::Opaque(text.to_owned())
                }
            }
        }
    }

    /// Binds this type's parameters so that it equals `to`, if possible.
    fn fits(&self, to: &Self, bound: &mut Vec<(String, Type)>) -> bool {
        match (self, to) {
            (Self::Param(name), to) => {
                if let Some((_, its)) = bound.iter().find(|(its, _)| its == name) {
                    return its == to;
                }
                bound.push((name.clone(), to.clone()));
                true
            }
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => {
                a.fits(b, bound)
            }
            (Self::Map(a, b), Self::Map(c, d)) => a.fits(c, bound) && b.fits(d, bound),
            (a, b) => a == b,
        }
    }

    fn with(&self, bound: &[(String, Type)]) -> Self {
        let inner = |it: &Self| Box::new(it.with(bound));
        match self {
            Self::Param(name) => {
                bound.iter().find(|(its, _)| its == name).map_or(Self::Int, |(_, of)| of.clone())
            }
            Self::List(element) => Self::List(inner(element)),
            Self::Optional(value) => Self::Optional(inner(value)),
            Self::Map(key, value) => Self::Map(inner(key), inner(value)),
            other => other.clone(),
        }
    }
}

/// The type of a name in scope.
#[derive(Clone, Debug)]
enum Named {
    Typed(Type),
    Shaped(Shape),
}

/// The generator of expressions.
pub struct Terms<'c, 'r> {
    pub choices: &'c mut Choices<'r>,
    overloads: &'c [Overload],
    scope: Vec<(String, Named)>,
    /// The number of parts that may still be generated.
    left: usize,
}

/// The deepest nesting of parts.
const DEPTH: usize = 5;
/// About the most parts of an expression.
const PARTS: usize = 40;

impl<'c, 'r> Terms<'c, 'r> {
    pub fn new(choices: &'c mut Choices<'r>, overloads: &'c [Overload]) -> Self {
        let scope = vec![("object".to_owned(), Named::Shaped(schema::POD))];
        Self { choices, overloads, scope, left: PARTS }
    }

    pub fn declare(&mut self, name: &str, of: Type) {
        self.scope.push((name.to_owned(), Named::Typed(of)));
    }

    pub fn declare_namespace(&mut self) {
        let texts = || Type::Map(Box::new(Type::String), Box::new(Type::String));
        let strings = || Type::List(Box::new(Type::String));
        for (field, of) in [
            ("metadata.name", Type::String),
            ("metadata.labels", texts()),
            ("metadata.annotations", texts()),
            ("metadata.creationTimestamp", Type::Timestamp),
            ("metadata.generation", Type::Int),
            ("metadata.UID", Type::String),
            ("metadata.finalizers", strings()),
            ("spec.finalizers", strings()),
            ("status.phase", Type::String),
        ] {
            self.declare(&format!("namespaceObject.{field}"), of);
        }
    }

    pub fn expression(&mut self, of: &Type) -> String {
        self.left = PARTS;
        self.term(of, DEPTH)
    }

    pub fn any_type(&mut self) -> Type {
        let boxed = |of| Box::new(of);
        match self.choices.below(20) {
            0 => Type::Bool,
            1 => Type::Int,
            2 => Type::String,
            3 => Type::Double,
            4 => Type::Uint,
            5 => Type::Bytes,
            6 => Type::Duration,
            7 => Type::Timestamp,
            8 => Type::Null,
            9 => Type::Dyn,
            10..13 => {
                let element = self.simple_type();
                Type::List(boxed(element))
            }
            13 => Type::List(boxed(Type::List(boxed(Type::Int)))),
            14 | 15 => {
                let key = [Type::String, Type::Int, Type::Bool, Type::Uint][self.choices.below(4)]
                    .clone();
                let value = self.simple_type();
                Type::Map(boxed(key), boxed(value))
            }
            16 | 17 => {
                let value = self.simple_type();
                Type::Optional(boxed(value))
            }
            18 => Type::Meta,
            _ => {
                let names = [
                    "kubernetes.Quantity",
                    "kubernetes.Semver",
                    "net.IP",
                    "net.CIDR",
                    "kubernetes.URL",
                    "kubernetes.NamedFormat",
                ];
                Type::Opaque(self.choices.of(&names).to_owned())
            }
        }
    }

    fn simple_type(&mut self) -> Type {
        let all = [
            Type::Int,
            Type::String,
            Type::Dyn,
            Type::Bool,
            Type::Double,
            Type::Uint,
            Type::Duration,
            Type::Timestamp,
            Type::Bytes,
        ];
        all[self.choices.below(all.len())].clone()
    }

    fn term(&mut self, of: &Type, depth: usize) -> String {
        self.left = self.left.saturating_sub(1);
        if self.choices.once_in(160) {
            let other = self.any_type();
            return self.leaf(&other);
        }
        if depth == 0 || self.left == 0 {
            return self.leaf(of);
        }
        match self.choices.below(12) {
            0 => self.leaf(of),
            1 if depth < DEPTH => self.leaf(of),
            1..9 => self.call(of, depth - 1).unwrap_or_else(|| self.leaf(of)),
            9 | 10 => self.macro_of(of, depth - 1).unwrap_or_else(|| self.leaf(of)),
            _ => {
                let condition = self.operand(&Type::Bool, depth - 1);
                let (holds, fails) = (self.operand(of, depth - 1), self.operand(of, depth - 1));
                format!("{condition} ? {holds} : {fails}")
            }
        }
    }

    /// An operand, mostly in parentheses if it needs them.
    fn operand(&mut self, of: &Type, depth: usize) -> String {
        let term = self.term(of, depth);
        let plain = term.chars().all(|it| it.is_alphanumeric() || "_.'\"[]".contains(it));
        if plain || self.choices.once_in(4) { term } else { format!("({term})") }
    }

    fn call(&mut self, of: &Type, depth: usize) -> Option<String> {
        if *of == Type::Dyn && self.choices.below(3) != 0 {
            let inner = self.any_type();
            return Some(format!("dyn({})", self.term(&inner, depth)));
        }
        let overloads = self.overloads;
        let mut fitting: Vec<&Overload> =
            overloads.iter().filter(|it| it.result.fits(of, &mut Vec::new())).collect();
        if fitting.is_empty() {
            return None;
        }
        // Functions come first; otherwise most results would be comparisons.
        let mut functions: Vec<&str> = fitting.iter().map(|it| it.function.as_str()).collect();
        functions.dedup();
        let function = functions[self.choices.below(functions.len())].to_owned();
        fitting.retain(|it| it.function == function);
        let overload = fitting[self.choices.below(fitting.len())];
        let mut bound = Vec::new();
        overload.result.fits(of, &mut bound);
        for argument in &overload.arguments {
            self.bind(argument, &mut bound);
        }
        Some(self.written(overload, &bound, depth))
    }

    /// Binds each unbound parameter to some type.
    fn bind(&mut self, argument: &Type, bound: &mut Vec<(String, Type)>) {
        match argument {
            Type::Param(name) if !bound.iter().any(|(its, _)| its == name) => {
                let of = self.simple_type();
                bound.push((name.clone(), of));
            }
            Type::List(inner) | Type::Optional(inner) => self.bind(inner, bound),
            Type::Map(key, value) => {
                if let Type::Param(name) = &**key
                    && !bound.iter().any(|(its, _)| its == name)
                {
                    let of = [Type::String, Type::Int][self.choices.below(2)].clone();
                    bound.push((name.clone(), of));
                }
                self.bind(value, bound);
            }
            _ => {}
        }
    }

    fn written(&mut self, overload: &Overload, bound: &[(String, Type)], depth: usize) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (at, argument) in overload.arguments.iter().enumerate() {
            let of = argument.with(bound);
            parts.push(self.argument(overload, at, &of, depth));
        }
        let part = |at: usize| parts.get(at).map_or("", String::as_str);
        let operator = overload.function.trim_matches('_');
        match overload.function.as_str() {
            "_?_:_" => format!("{} ? {} : {}", part(0), part(1), part(2)),
            "_[_]" => format!("{}[{}]", part(0), part(1)),
            "_[?_]" => format!("{}[?{}]", part(0), part(1)),
            "_?._" => {
                format!("{}.?{}", part(0), self.choices.of(&["a", "name", "spec", "nope", "`a-b`"]))
            }
            "!_" | "-_" => format!("{operator}{}", part(0)),
            "@in" => format!("{} in {}", part(0), part(1)),
            name if name.starts_with('_') => format!("{} {operator} {}", part(0), part(1)),
            name if overload.receiver => format!("{}.{name}({})", part(0), parts[1..].join(", ")),
            name => format!("{name}({})", parts.join(", ")),
        }
    }

    fn argument(&mut self, overload: &Overload, at: usize, of: &Type, depth: usize) -> String {
        let infix =
            overload.function.starts_with(['_', '!', '-', '@']) || (overload.receiver && at == 0);
        let purpose = purpose(&overload.id, at);
        match overload.id.as_str() {
            // The judge would build a list of a billion numbers.
            "lists_range" => ["0", "1", "3", "10", "40", "-1"][self.choices.below(6)].to_owned(),
            "string_format" if at == 1 => {
                let count = self.choices.below(4);
                let parts: Vec<_> = (0..count)
                    .map(|_| {
                        let of = self.any_type();
                        self.leaf(&of)
                    })
                    .collect();
                format!("[{}]", parts.join(", "))
            }
            _ if purpose != Purpose::Any && self.choices.below(4) != 0 => {
                literals::string(self.choices, purpose)
            }
            _ if infix => self.operand(of, depth),
            _ => self.term(of, depth),
        }
    }

    /// A literal, a variable, or a field of the pod.
    fn leaf(&mut self, of: &Type) -> String {
        match self.choices.below(4) {
            1 | 2 => {
                if let Some(found) = self.named(of) {
                    return found;
                }
            }
            3 => {
                if let Some(found) = self.of_pod(of) {
                    return found;
                }
            }
            _ => {}
        }
        self.literal(of)
    }

    fn named(&mut self, of: &Type) -> Option<String> {
        let typed =
            |named: &Named| matches!(named, Named::Typed(its) if its == of || *its == Type::Dyn);
        let names: Vec<_> = self
            .scope
            .iter()
            .filter(|(_, named)| typed(named))
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            self.of_pod(of)
        } else {
            Some(names[self.choices.below(names.len())].clone())
        }
    }

    fn of_pod(&mut self, of: &Type) -> Option<String> {
        let end: fn(Shape) -> bool = match of {
            Type::String => |it| matches!(it, Shape::Text | Shape::Amount),
            Type::Int => |it| matches!(it, Shape::Int | Shape::Port),
            Type::Bool => |it| it == Shape::Bool,
            Type::List(_) => |it| matches!(it, Shape::List(_)),
            Type::Map(..) => |it| matches!(it, Shape::Texts | Shape::Object(_)),
            Type::Dyn => |_| true,
            Type::Opaque(name) if name == "kubernetes.Quantity" => {
                let (path, _) = self.walk(|it| it == Shape::Amount);
                return Some(format!("quantity({path})"));
            }
            _ => return None,
        };
        let (path, shape) = self.walk(end);
        if !end(shape) {
            return None;
        }
        if *of == Type::Bool {
            return Some(match self.choices.below(4) {
                0 => self.has(),
                3 => path,
                _ => format!("{path} == true"),
            });
        }
        Some(path)
    }

    fn has(&mut self) -> String {
        let (path, _) = self.walk(|_| true);
        let is_field = |(_, field): (&str, &str)| field.chars().all(char::is_alphanumeric);
        if path.rsplit_once('.').is_some_and(is_field) || self.choices.once_in(12) {
            return format!("has({path})");
        }
        format!("has({path}.{})", self.choices.of(&["name", "type", "app", "nope"]))
    }

    fn walk(&mut self, end: fn(Shape) -> bool) -> (String, Shape) {
        let shaped = |(name, named): &(String, Named)| match named {
            Named::Shaped(shape) => Some((name.clone(), *shape)),
            Named::Typed(_) => None,
        };
        let mut roots: Vec<_> = self.scope.iter().filter_map(shaped).collect();
        roots.reverse();
        let (name, shape) = roots[self.choices.below(roots.len())].clone();
        let mut found = schema::walk(self.choices, &name, shape, end);
        for _ in 0..4 {
            if end(found.1) {
                break;
            }
            found = schema::walk(self.choices, &name, shape, end);
        }
        found
    }

    fn literal(&mut self, of: &Type) -> String {
        match of {
            Type::Bool => self.choices.of(&["true", "false"]).to_owned(),
            Type::Null => "null".to_owned(),
            Type::Int => literals::int(self.choices),
            Type::Uint => {
                self.choices.of(&["0u", "1u", "2u", "0xFFu", "18446744073709551615u"]).to_owned()
            }
            Type::Double => literals::double(self.choices),
            Type::String => literals::string(self.choices, Purpose::Any),
            Type::Bytes => literals::bytes(self.choices),
            Type::Duration => {
                format!("duration({})", literals::string(self.choices, Purpose::Duration))
            }
            Type::Timestamp => {
                format!("timestamp({})", literals::string(self.choices, Purpose::Time))
            }
            Type::List(element) => {
                let count = self.choices.below(4);
                let items: Vec<_> = (0..count).map(|_| self.leaf(element)).collect();
                format!("[{}]", items.join(", "))
            }
            Type::Map(key, value) => {
                let count = self.choices.below(3);
                let entries: Vec<_> = (0..count)
                    .map(|_| format!("{}: {}", self.literal(key), self.leaf(value)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            Type::Optional(value) => match self.choices.below(3) {
                0 => "optional.none()".to_owned(),
                1 => format!("optional.of({})", self.leaf(value)),
                _ => format!("optional.ofNonZeroValue({})", self.leaf(value)),
            },
            Type::Meta => self
                .choices
                .of(&[
                    "int",
                    "string",
                    "list",
                    "type",
                    "null_type",
                    "google.protobuf.Duration",
                    "optional_type",
                    "map",
                    "dyn",
                ])
                .to_owned(),
            Type::Dyn => {
                let of = self.simple_type();
                if of == Type::Dyn {
                    "dyn(null)".to_owned()
                } else {
                    format!("dyn({})", self.literal(&of))
                }
            }
            Type::Opaque(name) => {
                let (function, purpose) = match name.as_str() {
                    "kubernetes.Quantity" => ("quantity", Purpose::Quantity),
                    "kubernetes.Semver" => ("semver", Purpose::Version),
                    "net.IP" => ("ip", Purpose::Address),
                    "net.CIDR" => ("cidr", Purpose::Address),
                    "kubernetes.URL" => ("url", Purpose::Url),
                    _ => {
                        return self
                            .choices
                            .of(&[
                                "format.dns1123Label()",
                                "format.uri()",
                                "format.date()",
                                "format.byte()",
                            ])
                            .to_owned();
                    }
                };
                format!("{function}({})", literals::string(self.choices, purpose))
            }
            Type::Param(_) => "1".to_owned(),
        }
    }

    fn macro_of(&mut self, of: &Type, depth: usize) -> Option<String> {
        let kinds: &[&str] = match of {
            Type::Bool => &[
                "all",
                "exists",
                "exists_one",
                "existsOne",
                "all2",
                "exists2",
                "existsOne2",
                "has",
            ],
            Type::List(_) => &[
                "map",
                "filter",
                "map3",
                "transformList",
                "transformList4",
                "sortBy",
                "comprehended",
            ],
            Type::Map(..) => {
                &["transformMap", "transformMap4", "transformMapEntry", "transformMapEntry4"]
            }
            Type::Optional(_) => &["optMap", "optFlatMap"],
            _ => return None,
        };
        let kind = self.choices.of(kinds).to_owned();
        if kind == "has" {
            return Some(self.has());
        }
        if kind.starts_with("opt") {
            let Type::Optional(value) = of else { return None };
            let held = self.simple_type();
            let target = self.operand(&Type::Optional(Box::new(held.clone())), depth);
            let name = self.name();
            let result = if kind == "optMap" { (**value).clone() } else { of.clone() };
            let body = self.within(vec![(name.clone(), Named::Typed(held))], &result, depth);
            return Some(format!("{target}.{kind}({name}, {body})"));
        }
        let (range, first, second) = self.range(depth, &kind, of);
        let two = kind.ends_with('2') || kind.starts_with("transform");
        let (a, mut b) = (self.name(), self.name());
        if a == b && !self.choices.once_in(8) {
            b.push('2');
        }
        let scope = if two {
            vec![(a.clone(), first), (b.clone(), second)]
        } else if range.1 {
            // Over a map, the one variable is the key.
            vec![(a.clone(), first)]
        } else {
            vec![(a.clone(), second)]
        };
        let range = range.0;
        let head = if two { format!("{a}, {b}") } else { a };
        let name = kind.trim_end_matches(['2', '3', '4']);
        let mut body = |result: &Type| self.within(scope.clone(), result, depth);
        Some(match (kind.as_str(), of) {
            (
                "filter" | "all" | "exists" | "exists_one" | "existsOne" | "all2" | "exists2"
                | "existsOne2",
                _,
            ) => {
                format!("{range}.{name}({head}, {})", body(&Type::Bool))
            }
            ("sortBy", _) => format!("{range}.sortBy({head}, {})", body(&Type::Int)),
            ("map" | "transformList" | "comprehended", Type::List(element)) => {
                let name = if kind == "comprehended" { "map" } else { name };
                format!("{range}.{name}({head}, {})", body(element))
            }
            ("map3" | "transformList4", Type::List(element)) => {
                format!("{range}.{name}({head}, {}, {})", body(&Type::Bool), body(element))
            }
            ("transformMap", Type::Map(_, value)) => {
                format!("{range}.{name}({head}, {})", body(value))
            }
            ("transformMap4", Type::Map(_, value)) => {
                format!("{range}.{name}({head}, {}, {})", body(&Type::Bool), body(value))
            }
            ("transformMapEntry", Type::Map(key, value)) => {
                format!("{range}.{name}({head}, {{{}: {}}})", body(key), body(value))
            }
            (_, Type::Map(key, value)) => {
                format!(
                    "{range}.{name}({head}, {}, {{{}: {}}})",
                    body(&Type::Bool),
                    body(key),
                    body(value)
                )
            }
            _ => return None,
        })
    }

    /// The collection that a macro iterates, whether it is a map, and the types of its two variables.
    fn range(&mut self, depth: usize, kind: &str, of: &Type) -> ((String, bool), Named, Named) {
        let int = Named::Typed(Type::Int);
        if let Type::List(element) = of
            && ["filter", "sortBy"].contains(&kind)
        {
            return ((self.operand(of, depth), false), int, Named::Typed((**element).clone()));
        }
        match self.choices.below(5) {
            0 | 1 => {
                let (path, shape) = self.walk(|it| matches!(it, Shape::List(_)));
                let element = if let Shape::List(element) = shape {
                    Named::Shaped(*element)
                } else {
                    Named::Typed(Type::Dyn)
                };
                ((path, false), int, element)
            }
            2 => {
                let (path, _) = self.walk(|it| matches!(it, Shape::Texts));
                ((path, true), Named::Shaped(Shape::Text), Named::Shaped(Shape::Text))
            }
            3 => {
                let (key, value) =
                    ([Type::String, Type::Int][self.choices.below(2)].clone(), self.simple_type());
                let map = Type::Map(Box::new(key.clone()), Box::new(value.clone()));
                ((self.operand(&map, depth), true), Named::Typed(key), Named::Typed(value))
            }
            _ => {
                let element = self.simple_type();
                (
                    (self.operand(&Type::List(Box::new(element.clone())), depth), false),
                    int,
                    Named::Typed(element),
                )
            }
        }
    }

    fn name(&mut self) -> String {
        let names =
            ["x", "y", "c", "k", "v", "z", "w", "e", "object", "size", "it", "variables", "int"];
        let at = if self.choices.once_in(10) {
            self.choices.below(names.len())
        } else {
            self.choices.below(8)
        };
        names[at].to_owned()
    }

    fn within(&mut self, names: Vec<(String, Named)>, of: &Type, depth: usize) -> String {
        let before = self.scope.len();
        self.scope.extend(names);
        let term = self.term(of, depth);
        self.scope.truncate(before);
        term
    }
}
