//! From a source to its syntax tree, whatever the source is.

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{EntryExpr, Expr};
use kube_cel::cel::parser::Parser;

/// The stack of the parser, which calls itself a dozen times for every bracket: enough for a source of nothing else.
/// Pages that are not touched cost nothing.
const STACK: usize = 256 * 1024 * 1024;
/// How deep a tree may be, so that whoever walks it needs no stack of its own.
const MAX_DEPTH: usize = 40;

/// Reads a source of bounded length.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub(super) fn parse(source: &str) -> Result<IdedExpr, String> {
    let bare = without_strings(source);
    // The parser reads both as one, which would turn the meaning around.
    for twice in ["!!", "--"] {
        if bare.contains(twice) {
            return Err(format!("it has {twice:?}; write it without, or with parentheses"));
        }
    }
    stacker::grow(STACK, || {
        let expr = Parser::new().parse(source).map_err(|errors| match errors.errors.first() {
            None => "it is no CEL expression".to_owned(),
            Some(it) => format!("{}:{}: it is no CEL expression: {}", it.pos.0, it.pos.1, it.msg),
        })?;
        if is_deeper(&expr, MAX_DEPTH) {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        Ok(expr)
    })
}

fn is_deeper(expr: &IdedExpr, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else { return true };
    let deeper = |expr: &IdedExpr| is_deeper(expr, levels);
    match &expr.expr {
        Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) | Expr::Unspecified => false,
        Expr::Select(select) => deeper(&select.operand),
        Expr::Call(call) => call.target.iter().any(|it| deeper(it)) || call.args.iter().any(deeper),
        Expr::Comprehension(it) => {
            let parts = [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result];
            parts.into_iter().any(&deeper)
        }
        Expr::List(list) => list.elements.iter().any(deeper),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => deeper(&entry.key) || deeper(&entry.value),
            EntryExpr::StructField(_) => false,
        }),
    }
}

/// The source without what stands in quotes, comments and white space.
fn without_strings(source: &str) -> String {
    let mut bare = String::new();
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let (_, behind) = rest.split_at(next.len_utf8());
        rest = match next {
            '"' | '\'' => {
                let raw = bare.ends_with(['r', 'R']);
                let triple = next.to_string().repeat(3);
                let quote = if rest.starts_with(&triple) { triple } else { next.to_string() };
                bare.push('"');
                behind_string(rest.get(quote.len()..).unwrap_or_default(), &quote, raw)
            }
            '/' if behind.starts_with('/') => behind.split_once('\n').map_or("", |it| it.1),
            _ => {
                if !next.is_whitespace() {
                    bare.push(next);
                }
                behind
            }
        };
    }
    bare
}

/// What follows a string, from behind its opening quote on.
fn behind_string<'s>(mut rest: &'s str, quote: &str, raw: bool) -> &'s str {
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(quote) {
            return behind;
        }
        let escaped = !raw && rest.starts_with('\\');
        let mut characters = rest.chars();
        characters.next();
        if escaped {
            characters.next();
        }
        rest = characters.as_str();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_of_a_kilobyte_ends_the_stack() {
        for (open, middle, close) in [
            ("(", "1", ")"),
            ("[", "", "]"),
            ("{1:", "1", "}"),
            ("!(", "true", ")"),
            ("size(", "1", ")"),
            ("", "object", "[0]"),
            ("", "object", ".a"),
            ("", "object", ".size()"),
            ("", "1", "+1"),
            ("", "1", "<1"),
            ("true?", "1", ":1"),
        ] {
            let times = (1024 - middle.len()) / (open.len() + close.len());
            let source = open.repeat(times) + middle + &close.repeat(times);
            if let Ok(expr) = parse(&source) {
                assert!(!is_deeper(&expr, MAX_DEPTH), "{source}");
            }
        }
    }

    #[test]
    fn what_the_parser_would_turn_around_is_refused_and_text_is_not_looked_into() {
        for source in [
            "!!true",
            "! !true",
            "!//\n!true",
            "--1 == 1",
            "'' == '' && !!true",
            r"r'\' != '' && !!true",
        ] {
            assert!(parse(source).is_err(), "{source}");
        }
        for source in [
            "'!!' == '--'",
            "!true",
            "1-1 == 0",
            r#""\"!!" == ''"#,
            "'''!!''--''' == ''",
            "!(!true)",
        ] {
            assert_eq!(parse(source).err(), None, "{source}");
        }
    }
}
