//! The lexer: splits a source into tokens by the lexer rules of cel-go's `parser/gen/CEL.g4`. The longest match wins.

use super::source::SyntaxError;

/// The kind of a token. Its text is the source between its offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Identifier,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    /// An operator, a bracket, or one of the keywords: `in`, `true`, `false`, `null`.
    Sign(&'static str),
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

/// Longer signs first.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!",
    "?", ":", "+", "*", "/", "%",
];
const WORDS: [&str; 4] = ["in", "true", "false", "null"];

/// All tokens of a source, the last one [`TokenKind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        let kind = lexer.token()?;
        tokens.push(Token { kind, start, end: lexer.at });
        if kind == TokenKind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at.saturating_add(ahead)).copied()
    }

    /// Skips the bytes that satisfy the condition, and returns their number.
    fn take(&mut self, condition: impl Fn(&u8) -> bool) -> usize {
        let length = self.rest().bytes().take_while(condition).count();
        self.at += length;
        length
    }

    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.take(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0c));
            if self.rest().starts_with("//") {
                self.take(|byte| *byte != b'\n');
            } else if blanks == 0 {
                return;
            }
        }
    }

    fn token(&mut self) -> Result<TokenKind, SyntaxError> {
        let Some(first) = self.byte(0) else { return Ok(TokenKind::End) };
        if let Some(kind) = self.string()? {
            return Ok(kind);
        }
        if first.is_ascii_digit()
            || (first == b'.' && self.byte(1).is_some_and(|byte| byte.is_ascii_digit()))
        {
            return Ok(self.number());
        }
        if first.is_ascii_alphabetic() || first == b'_' {
            let start = self.at;
            self.take(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            let word = self.source.get(start..self.at).unwrap_or_default();
            return Ok(WORDS
                .iter()
                .find(|it| **it == word)
                .map_or(TokenKind::Identifier, |it| TokenKind::Sign(it)));
        }
        match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(TokenKind::Sign(sign))
            }
            None => Err(self.stray()),
        }
    }

    fn number(&mut self) -> TokenKind {
        if self.rest().starts_with("0x")
            && self.byte(2).is_some_and(|byte| byte.is_ascii_hexdigit())
        {
            self.at += 2;
            self.take(u8::is_ascii_hexdigit);
            return self.maybe_unsigned();
        }
        self.take(u8::is_ascii_digit);
        let mut double = false;
        if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.take(u8::is_ascii_digit);
            double = true;
        }
        let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
        if matches!(self.byte(0), Some(b'e' | b'E'))
            && self.byte(1 + sign).is_some_and(|byte| byte.is_ascii_digit())
        {
            self.at += 1 + sign;
            self.take(u8::is_ascii_digit);
            double = true;
        }
        if double { TokenKind::Double } else { self.maybe_unsigned() }
    }

    fn maybe_unsigned(&mut self) -> TokenKind {
        if matches!(self.byte(0), Some(b'u' | b'U')) {
            self.at += 1;
            return TokenKind::Uint;
        }
        TokenKind::Int
    }

    /// A string or bytes literal, if one begins here: `'a'`, `"a"`, `'''a'''`,
    /// `"""a"""`; the prefix `r` is for raw literals, `b` for bytes.
    fn string(&mut self) -> Result<Option<TokenKind>, SyntaxError> {
        let start = self.at;
        let rest = self.rest();
        let prefix = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (bytes, raw) = match rest.get(..prefix).unwrap_or_default() {
            "" => (false, false),
            "r" | "R" => (false, true),
            "b" | "B" => (true, false),
            "br" | "bR" | "Br" | "BR" => (true, true),
            _ => return Ok(None),
        };
        let Some(quote @ (b'"' | b'\'')) = self.byte(prefix) else { return Ok(None) };
        let mark = if quote == b'"' { "\"" } else { "'" };
        let triple = if quote == b'"' { "\"\"\"" } else { "'''" };
        let end =
            if rest.get(prefix..).unwrap_or_default().starts_with(triple) { triple } else { mark };
        self.at += prefix + end.len();
        loop {
            let rest = self.rest();
            if rest.starts_with(end) {
                self.at += end.len();
                return Ok(Some(if bytes { TokenKind::Bytes } else { TokenKind::String }));
            }
            match rest.chars().next() {
                None => {
                    return Err(SyntaxError::new(
                        start,
                        format!("this string has no end; close it with {end}"),
                    ));
                }
                Some('\n' | '\r') if end == mark => {
                    let message = format!(
                        "a string in {mark} ends on its line; close it, write \\n, or use {triple}"
                    );
                    return Err(SyntaxError::new(self.at, message));
                }
                Some('\\') if !raw => self.at += self.escape_length()?,
                Some(other) => self.at += other.len_utf8(),
            }
        }
    }

    /// The length of the escape sequence that begins here.
    fn escape_length(&self) -> Result<usize, SyntaxError> {
        let digits = |from: usize, count: usize, valid: fn(&u8) -> bool| {
            (from..from + count)
                .all(|at| self.byte(at).is_some_and(|byte| valid(&byte)))
                .then_some(from + count)
        };
        let octal = |byte: &u8| matches!(byte, b'0'..=b'7');
        let length = match self.byte(1) {
            Some(
                b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`',
            ) => Some(2),
            Some(b'x' | b'X') => digits(2, 2, u8::is_ascii_hexdigit),
            Some(b'u') => digits(2, 4, u8::is_ascii_hexdigit),
            Some(b'U') => digits(2, 8, u8::is_ascii_hexdigit),
            Some(b'0'..=b'3') => digits(2, 2, octal),
            _ => None,
        };
        length.ok_or_else(|| {
            let written: String = self.rest().chars().take(2).collect();
            let message = format!(
                "{written} is not an escape sequence; write \\\\ for a backslash, or a raw string as in r'…' (there are \\n, \\t, \
                 \\r, \\x41, \\101, \\u0041 and others)"
            );
            SyntaxError::new(self.at, message)
        })
    }

    /// The error for a character that begins no token.
    fn stray(&self) -> SyntaxError {
        let character = self.rest().chars().next().unwrap_or_default();
        let message = match character {
            '=' => "write == to compare; there is no assignment".to_owned(),
            '&' => "write && for and".to_owned(),
            '|' => "write || for or".to_owned(),
            '“' | '”' | '„' | '‘' | '’' => {
                format!("{character} is not a quote of CEL; write \" or '")
            }
            '`' => {
                "Kubernetes does not know names in backticks; write object['name'] for such a field"
                    .to_owned()
            }
            ';' => "an expression cannot contain ;".to_owned(),
            other if other.is_alphabetic() => {
                format!("{other} cannot be part of a name; write text in quotes")
            }
            other => format!("{} is not part of CEL", other.escape_debug()),
        };
        SyntaxError::new(self.at, message)
    }
}
