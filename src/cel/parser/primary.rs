//! Primary expressions, the operands of operators: literals, names, calls, structs, lists, maps, parentheses.

use super::super::ast::{Element, Entry, Expr, Literal, Name, StructField};
use super::super::lexer::{Token, TokenKind};
use super::super::source::SyntaxError;
use super::super::{literal, macros};
use super::{Parsed, Parser, Part};

/// Words that cannot name a variable or a function (`reservedIds` of `parser/parser.go`). They can name a field.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Parsed {
        let token = self.token();
        match token.kind {
            TokenKind::Sign("(") => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(")", || "a ) should close the parenthesis".to_owned())?;
                Ok(inner)
            }
            TokenKind::Sign("[") => self.list(),
            TokenKind::Sign("{") => self.map(),
            TokenKind::Sign(".") | TokenKind::Identifier => self.named(),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Parsed {
        let first = self.token();
        let negative = self.takes("-");
        let token = self.token();
        let text = self.text(token);
        let value = match token.kind {
            TokenKind::Int => literal::int(text, negative),
            TokenKind::Double => literal::double(text, negative),
            TokenKind::Uint if !negative => literal::uint(text),
            TokenKind::String if !negative => literal::string(text),
            TokenKind::Bytes if !negative => literal::bytes(text),
            TokenKind::Sign("true") if !negative => Ok(Literal::Bool(true)),
            TokenKind::Sign("false") if !negative => Ok(Literal::Bool(false)),
            TokenKind::Sign("null") if !negative => Ok(Literal::Null),
            _ => return Err(self.unexpected("a value should stand here")),
        };
        self.at += 1;
        self.stand_at(first);
        let id =
            self.tree.literal(value.map_err(|message| SyntaxError::new(first.start, message))?)?;
        Ok(Part { id, height: 0 })
    }

    /// A variable, a call or a struct literal: `name`, `name(…)`, `name.name{…}`, each with an optional dot before it.
    fn named(&mut self) -> Parsed {
        let first = self.token();
        let dot = if self.takes(".") { "." } else { "" };
        if let Some(parts) = self.struct_name_length() {
            return self.structure(first, dot, parts);
        }
        let token = self.token();
        if token.kind != TokenKind::Identifier {
            return Err(self.unexpected("a name should follow the dot"));
        }
        self.at += 1;
        let text = self.text(token);
        if RESERVED.contains(&text) {
            return Err(SyntaxError::new(
                token.start,
                format!(
                    "{text} is a reserved word; a variable or a function cannot have this name"
                ),
            ));
        }
        let name = Name::from(format!("{dot}{text}"));
        if self.takes("(") {
            let (args, height) = self.arguments()?;
            self.stand_at(token);
            let id = macros::call(&mut self.tree, &name, None, args)?;
            return Ok(Part { id, height });
        }
        self.stand_at(token);
        Ok(Part { id: self.tree.ident(&name)?, height: 0 })
    }

    /// The number of parts of a struct's name (`a.b{` has 2), if a struct literal begins here.
    fn struct_name_length(&self) -> Option<usize> {
        let mut parts = 0;
        loop {
            if self.ahead(2 * parts) != TokenKind::Identifier {
                return None;
            }
            parts += 1;
            match self.ahead(2 * parts - 1) {
                TokenKind::Sign("{") => return Some(parts),
                TokenKind::Sign(".") => {}
                _ => return None,
            }
        }
    }

    fn structure(&mut self, first: Token, dot: &str, parts: usize) -> Parsed {
        let mut name = dot.to_owned();
        for _ in 0..2 * parts - 1 {
            let token = self.next();
            name.push_str(self.text(token));
        }
        self.at += 1;
        let (mut fields, mut height) = (Vec::new(), 0);
        self.separated("}", |parser| {
            let optional = parser.takes("?");
            let position = u32::try_from(parser.token().start).unwrap_or(u32::MAX);
            let name = parser.field_name()?;
            parser.expect(":", || "a : and the field's value should follow".to_owned())?;
            let value = parser.expression()?;
            height = height.max(value.height);
            fields.push(StructField { name, position, value: value.id, optional });
            Ok(())
        })?;
        self.stand_at(first);
        let id = self.tree.push(Expr::Struct { name: name.into(), fields })?;
        Ok(Part { id, height })
    }

    fn list(&mut self) -> Parsed {
        let bracket = self.next();
        let (mut elements, mut height) = (Vec::new(), 0);
        self.separated("]", |parser| {
            let optional = parser.takes("?");
            let value = parser.expression()?;
            height = height.max(value.height);
            elements.push(Element { value: value.id, optional });
            Ok(())
        })?;
        self.stand_at(bracket);
        Ok(Part { id: self.tree.push(Expr::List(elements))?, height })
    }

    fn map(&mut self) -> Parsed {
        let brace = self.next();
        let (mut entries, mut height) = (Vec::new(), 0);
        self.separated("}", |parser| {
            let optional = parser.takes("?");
            let key = parser.expression()?;
            parser.expect(":", || "a : and the key's value should follow".to_owned())?;
            let value = parser.expression()?;
            height = height.max(key.height).max(value.height);
            entries.push(Entry { key: key.id, value: value.id, optional });
            Ok(())
        })?;
        self.stand_at(brace);
        Ok(Part { id: self.tree.push(Expr::Map(entries))?, height })
    }

    /// Items separated by commas, with an optional comma after the last one, up to the closing bracket.
    fn separated(
        &mut self,
        close: &'static str,
        mut item: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<()> {
        let mut first = true;
        loop {
            let comma = !first || self.sees(",");
            if comma && !self.sees(close) {
                self.expect(",", || format!("a , or a {close} should follow"))?;
            }
            if self.takes(close) {
                return Ok(());
            }
            if first && comma {
                return Err(self.unexpected(&format!("a {close} should follow")));
            }
            item(self)?;
            first = false;
        }
    }
}
