//! Parsed parts of a regular expression, with their bounds.

use regex_syntax::hir::Hir;

use super::error::PatternError as Error;

/// The deepest nesting of an expression's parts.
const MAX_HEIGHT: u32 = 1000;

/// A parsed part of an expression.
pub struct PatternNode {
    pub hir: Hir,
    pub height: u32,
    /// The highest product of the counts of nested repetitions in it.
    pub repeats: u32,
}

impl PatternNode {
    pub fn leaf(hir: Hir) -> Self {
        Self { hir, height: 1, repeats: 1 }
    }
}

/// The parts one after the other.
pub fn concatenation(mut parts: Vec<PatternNode>) -> Result<PatternNode, Error> {
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Ok(PatternNode::leaf(Hir::empty())),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            parts.push(last);
            joined(parts, Hir::concat)
        }
    }
}

/// The alternatives `before`, and the concatenation of `last` as the last one.
pub fn alternation(
    mut before: Vec<PatternNode>,
    last: Vec<PatternNode>,
) -> Result<PatternNode, Error> {
    let last = concatenation(last)?;
    if before.is_empty() {
        return Ok(last);
    }
    before.push(last);
    joined(before, Hir::alternation)
}

fn joined(parts: Vec<PatternNode>, join: fn(Vec<Hir>) -> Hir) -> Result<PatternNode, Error> {
    let height = parts.iter().map(|node| node.height).max().unwrap_or(0);
    let repeats = parts.iter().map(|node| node.repeats).max().unwrap_or(0);
    let hir = join(parts.into_iter().map(|node| node.hir).collect());
    raised(PatternNode { hir, height, repeats })
}

/// The node with its height raised by one.
pub fn raised(mut node: PatternNode) -> Result<PatternNode, Error> {
    node.height += 1;
    if node.height > MAX_HEIGHT {
        return Err(Error::Depth);
    }
    Ok(node)
}
