//! Parts of a regular expression, with what bounds them.

use regex_syntax::hir::Hir;

use super::error::PatternError as Error;

/// The most that the parts of an expression nest.
const MAX_HEIGHT: u32 = 1000;

/// A part of the expression.
pub struct PatternNode {
    pub hir: Hir,
    pub height: u32,
    /// What the repetitions in it multiply to.
    pub repeats: u32,
}

impl PatternNode {
    pub fn leaf(hir: Hir) -> Self {
        Self { hir, height: 1, repeats: 1 }
    }
}

/// One after the other.
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

/// One of the alternatives, the last of which is a concatenation.
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

/// One higher.
pub fn raised(mut node: PatternNode) -> Result<PatternNode, Error> {
    node.height += 1;
    if node.height > MAX_HEIGHT {
        return Err(Error::Depth);
    }
    Ok(node)
}
