//! The parser: the grammar rules of cel-go's `parser/gen/CEL.g4`, with the trees that `parser/parser.go` builds.
//!
//! Recursion is bounded as in cel-go: no grammar rule nests more than 250 times, and no path from the root of the tree
//! to a leaf has more than 250 operators, selections, method calls and indices.

mod primary;

use super::ast::{Ast, Expr, ExprId, Literal, Name};
use super::build::Builder;
use super::lexer::{Token, TokenKind, tokens};
use super::macros;
use super::operators;
use super::source::{CompileError, SyntaxError};
use super::stack::deeper;

/// `maxRecursionDepth` of `parser/parser.go`.
const MAX_DEPTH: u32 = 250;

/// Parses a source and expands its macros.
pub fn parse(source: &str) -> Result<Ast, CompileError> {
    let parsed = tokens(source).and_then(|tokens| {
        let mut parser =
            Parser { source, tokens, at: 0, tree: Builder::default(), depths: Depths::default() };
        let root = parser.expression()?;
        parser.end()?;
        Ok(parser.tree.finish(root.id, source))
    });
    parsed.map_err(|fault| fault.place_in(source))
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    at: usize,
    tree: Builder,
    depths: Depths,
}

/// The nesting of each rule at the current token.
#[derive(Debug, Default)]
struct Depths {
    expression: u32,
    relation: u32,
    calculation: u32,
}

/// The recursive rules.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Expression,
    Relation,
    Calculation,
}

impl Depths {
    fn of(&mut self, rule: Rule) -> &mut u32 {
        match rule {
            Rule::Expression => &mut self.expression,
            Rule::Relation => &mut self.relation,
            Rule::Calculation => &mut self.calculation,
        }
    }
}

/// A parsed part of the expression.
#[derive(Clone, Copy, Debug)]
struct Part {
    id: ExprId,
    /// The most operators, selections, method calls and indices on a path from here to a leaf.
    height: u32,
}

type Parsed<T = Part> = Result<T, SyntaxError>;

impl<'s> Parser<'s> {
    fn token(&self) -> Token {
        const NOTHING: Token = Token { kind: TokenKind::End, start: 0, end: 0 };
        self.tokens.get(self.at).or(self.tokens.last()).copied().unwrap_or(NOTHING)
    }

    fn ahead(&self, by: usize) -> TokenKind {
        self.tokens.get(self.at + by).map_or(TokenKind::End, |token| token.kind)
    }

    fn text(&self, token: Token) -> &'s str {
        self.source.get(token.start..token.end).unwrap_or_default()
    }

    fn next(&mut self) -> Token {
        let token = self.token();
        self.at += 1;
        token
    }

    fn sees(&self, sign: &'static str) -> bool {
        self.token().kind == TokenKind::Sign(sign)
    }

    /// Skips the sign if it is next, and returns whether it was.
    fn takes(&mut self, sign: &'static str) -> bool {
        let found = self.sees(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &'static str, message: impl FnOnce() -> String) -> Parsed<()> {
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected(&message())) }
    }

    /// The error that the next token is not the expected one.
    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let token = self.token();
        let found = match token.kind {
            TokenKind::End => "the expression ends here".to_owned(),
            _ => format!("{} cannot stand here", self.text(token)),
        };
        SyntaxError::new(token.start, format!("{found}; {wanted}"))
    }

    fn end(&mut self) -> Parsed<()> {
        let token = self.token();
        let wanted = match (token.kind, self.text(token)) {
            (TokenKind::End, _) => return Ok(()),
            (TokenKind::Identifier, "and") => "write && for and".to_owned(),
            (TokenKind::Identifier, "or") => "write || for or".to_owned(),
            (TokenKind::Identifier, "is") => "write == to compare".to_owned(),
            (TokenKind::Sign(")"), _) => "no ( is open".to_owned(),
            (TokenKind::Sign("]"), _) => "no [ is open".to_owned(),
            (TokenKind::Sign("}"), _) => "no { is open".to_owned(),
            _ => "an operator, such as == or &&, or the end should follow".to_owned(),
        };
        Err(self.unexpected(&wanted))
    }

    /// Sets the position of the nodes pushed next to that of a token.
    fn stand_at(&mut self, token: Token) {
        self.tree.position = token.start;
    }

    /// A part with one more operator, selection, method call or index above parts of these heights.
    fn over(&self, id: ExprId, heights: &[u32]) -> Parsed {
        let height = heights.iter().max().copied().unwrap_or_default() + 1;
        if height > MAX_DEPTH { Err(self.too_deep()) } else { Ok(Part { id, height }) }
    }

    fn too_deep(&self) -> SyntaxError {
        SyntaxError::new(
            self.token().start,
            format!("the expression nests deeper than {MAX_DEPTH}; move parts into variables"),
        )
    }

    /// Counts a nesting of a rule, until [`Self::leave`].
    fn enter(&mut self, rule: Rule) -> Parsed<()> {
        let depth = self.depths.of(rule);
        *depth += 1;
        if *depth > MAX_DEPTH { Err(self.too_deep()) } else { Ok(()) }
    }

    fn leave(&mut self, rule: Rule) {
        *self.depths.of(rule) -= 1;
    }

    /// `condition ? value : expression`, or an expression of higher precedence.
    fn expression(&mut self) -> Parsed {
        deeper(|| self.expression_here())
    }

    fn expression_here(&mut self) -> Parsed {
        self.enter(Rule::Expression)?;
        let mut part = self.logical()?;
        let question = self.token();
        if self.takes("?") {
            let yes = self.logical()?;
            self.expect(":", || {
                "a : and the other value should follow, as in condition ? a : b".to_owned()
            })?;
            let no = self.expression()?;
            self.stand_at(question);
            let id = self.tree.call(operators::CONDITIONAL, [part.id, yes.id, no.id])?;
            part = self.over(id, &[part.height, yes.height, no.height])?;
        }
        self.leave(Rule::Expression);
        Ok(part)
    }

    /// Parts joined by `||`, each of parts joined by `&&`.
    fn logical(&mut self) -> Parsed {
        let mut any = Chain::new(operators::OR);
        loop {
            let mut all = Chain::new(operators::AND);
            loop {
                all.parts.push(self.relation()?);
                all.signs.push(self.token());
                if !self.takes("&&") {
                    break;
                }
            }
            any.parts.push(all.join(self)?);
            any.signs.push(self.token());
            if !self.takes("||") {
                return any.join(self);
            }
        }
    }

    fn relation(&mut self) -> Parsed {
        self.enter(Rule::Relation)?;
        let mut left = self.calculation(1)?;
        while let Some(operator) = self.relational_operator() {
            let sign = self.next();
            self.enter(Rule::Relation)?;
            let right = self.calculation(1)?;
            self.leave(Rule::Relation);
            self.stand_at(sign);
            let id = self.tree.call(operator, [left.id, right.id])?;
            left = self.over(id, &[left.height, right.height])?;
        }
        self.leave(Rule::Relation);
        Ok(left)
    }

    fn relational_operator(&self) -> Option<&'static str> {
        match self.token().kind {
            TokenKind::Sign("==") => Some(operators::EQUALS),
            TokenKind::Sign("!=") => Some(operators::NOT_EQUALS),
            TokenKind::Sign("<") => Some(operators::LESS),
            TokenKind::Sign("<=") => Some(operators::LESS_EQUALS),
            TokenKind::Sign(">") => Some(operators::GREATER),
            TokenKind::Sign(">=") => Some(operators::GREATER_EQUALS),
            TokenKind::Sign("in") => Some(operators::IN),
            _ => None,
        }
    }

    /// Parts joined by arithmetic operators of at least the precedence `strength`: 1 for `+` and `-`, 2 for the others.
    fn calculation(&mut self, strength: u8) -> Parsed {
        self.enter(Rule::Calculation)?;
        let mut left = self.unary()?;
        while let Some((operator, its)) = self.arithmetic_operator()
            && its >= strength
        {
            let sign = self.next();
            let right = self.calculation(its + 1)?;
            self.stand_at(sign);
            let id = self.tree.call(operator, [left.id, right.id])?;
            left = self.over(id, &[left.height, right.height])?;
        }
        self.leave(Rule::Calculation);
        Ok(left)
    }

    fn arithmetic_operator(&self) -> Option<(&'static str, u8)> {
        match self.token().kind {
            TokenKind::Sign("+") => Some((operators::ADD, 1)),
            TokenKind::Sign("-") => Some((operators::SUBTRACT, 1)),
            TokenKind::Sign("*") => Some((operators::MULTIPLY, 2)),
            TokenKind::Sign("/") => Some((operators::DIVIDE, 2)),
            TokenKind::Sign("%") => Some((operators::MODULO, 2)),
            _ => None,
        }
    }

    /// `!a` or `-a`. Two in a row cancel out. A single minus before a number belongs to the number.
    fn unary(&mut self) -> Parsed {
        for (sign, operator) in [("!", operators::NOT), ("-", operators::NEGATE)] {
            if !self.sees(sign)
                || (sign == "-" && matches!(self.ahead(1), TokenKind::Int | TokenKind::Double))
            {
                continue;
            }
            let first = self.token();
            let mut count = 0_u32;
            while self.takes(sign) {
                count += 1;
            }
            let operand = self.member()?;
            if count.is_multiple_of(2) {
                return Ok(operand);
            }
            self.stand_at(first);
            let id = self.tree.call(operator, [operand.id])?;
            return Ok(Part { id, ..operand });
        }
        self.member()
    }

    /// A primary, followed by selections, method calls and indices.
    fn member(&mut self) -> Parsed {
        let mut operand = self.primary()?;
        loop {
            operand = if self.takes(".") {
                self.selection(operand)?
            } else if self.sees("[") {
                let bracket = self.next();
                let operator =
                    if self.takes("?") { operators::OPT_INDEX } else { operators::INDEX };
                let index = self.expression()?;
                self.expect("]", || "a ] should close the index".to_owned())?;
                self.stand_at(bracket);
                let id = self.tree.call(operator, [operand.id, index.id])?;
                self.over(id, &[operand.height, index.height])?
            } else {
                return Ok(operand);
            };
        }
    }

    /// The part after a dot: a field, `?field`, or a method call.
    fn selection(&mut self, operand: Part) -> Parsed {
        let optional = self.takes("?");
        let token = self.token();
        let field = self.field_name()?;
        if optional {
            self.stand_at(token);
            let field = self.tree.literal(Literal::String(field))?;
            let id = self.tree.call(operators::OPT_SELECT, [operand.id, field])?;
            return self.over(id, &[operand.height]);
        }
        if self.takes("(") {
            let (args, heights) = self.arguments()?;
            self.stand_at(token);
            let id = macros::call(&mut self.tree, &field, Some(operand.id), args)?;
            return self.over(id, &[operand.height, heights]);
        }
        self.stand_at(token);
        let id = self.tree.push(Expr::Select { operand: operand.id, field, test_only: false })?;
        self.over(id, &[operand.height])
    }

    fn field_name(&mut self) -> Parsed<Name> {
        let token = self.token();
        if token.kind == TokenKind::Identifier {
            self.at += 1;
            return Ok(self.text(token).into());
        }
        Err(self.unexpected(&match token.kind {
            TokenKind::Sign("in" | "true" | "false" | "null") => {
                let word = self.text(token);
                format!("this word is reserved; write ['{word}'] for such a field")
            }
            TokenKind::Int | TokenKind::Uint | TokenKind::Double => {
                "write an index in brackets: [0]".to_owned()
            }
            _ => "the name of a field or a function should follow".to_owned(),
        }))
    }

    /// Arguments up to the closing parenthesis, and the greatest of their heights.
    fn arguments(&mut self) -> Parsed<(Vec<ExprId>, u32)> {
        let (mut args, mut height) = (Vec::new(), 0);
        if self.takes(")") {
            return Ok((args, height));
        }
        loop {
            let argument = self.expression()?;
            args.push(argument.id);
            height = height.max(argument.height);
            if self.takes(")") {
                return Ok((args, height));
            }
            self.expect(",", || "a , or a ) should follow the argument".to_owned())?;
        }
    }
}

/// Parts joined by one logical operator. Their tree is balanced, as by `balancingLogicManager` of `parser/helper.go`.
struct Chain {
    operator: &'static str,
    parts: Vec<Part>,
    /// The token after each part.
    signs: Vec<Token>,
}

impl Chain {
    fn new(operator: &'static str) -> Self {
        Self { operator, parts: Vec::new(), signs: Vec::new() }
    }

    fn join(&self, parser: &mut Parser<'_>) -> Parsed {
        self.join_range(parser, 0, self.parts.len())
    }

    /// Joins the parts from `low` to before `high`. The depth of recursion is the logarithm of their number.
    fn join_range(&self, parser: &mut Parser<'_>, low: usize, high: usize) -> Parsed {
        if high - low <= 1 {
            return self.parts.get(low).copied().ok_or_else(|| parser.too_deep());
        }
        // The middle one of the n - 1 operators is the root.
        let middle = (low + high - 1) / 2;
        let left = self.join_range(parser, low, middle + 1)?;
        let right = self.join_range(parser, middle + 1, high)?;
        if let Some(sign) = self.signs.get(middle) {
            parser.stand_at(*sign);
        }
        let id = parser.tree.call(self.operator, [left.id, right.id])?;
        Ok(Part { id, height: left.height.max(right.height) })
    }
}
