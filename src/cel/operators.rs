//! Names of the functions that operators call (`common/operators/operators.go` of cel-go).

pub const CONDITIONAL: &str = "_?_:_";
pub const AND: &str = "_&&_";
pub const OR: &str = "_||_";
pub const NOT: &str = "!_";
pub const EQUALS: &str = "_==_";
pub const NOT_EQUALS: &str = "_!=_";
pub const LESS: &str = "_<_";
pub const LESS_EQUALS: &str = "_<=_";
pub const GREATER: &str = "_>_";
pub const GREATER_EQUALS: &str = "_>=_";
pub const ADD: &str = "_+_";
pub const SUBTRACT: &str = "_-_";
pub const MULTIPLY: &str = "_*_";
pub const DIVIDE: &str = "_/_";
pub const MODULO: &str = "_%_";
pub const NEGATE: &str = "-_";
pub const INDEX: &str = "_[_]";
/// `value[?key]`.
pub const OPT_INDEX: &str = "_[?_]";
/// `value.?field`: a call with the operand and the field's name as a string literal.
pub const OPT_SELECT: &str = "_?._";
pub const IN: &str = "@in";
/// The loop condition of `all` and `exists`: true unless its argument is false.
pub const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
/// The function that `sortBy` expands to.
pub const SORT_BY_KEYS: &str = "@sortByAssociatedKeys";
/// The function that `transformMap` and `transformMapEntry` expand to.
pub const MAP_INSERT: &str = "cel.@mapInsert";
