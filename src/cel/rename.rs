//! Renames the variables of an expression, token by token, so that it means the same elsewhere.

use super::lexer::{Token, TokenKind, tokens};

/// The macros that introduce variables, which may hide others.
const MACROS: [&str; 9] = [
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "transformList",
    "transformMap",
    "transformMapEntry",
];

/// Writes an expression with other names: `root` gives what stands for a variable, and `variable` the new name of a
/// policy's variable (`variables.NAME`). A name that `root` does not know stays.
///
/// # Errors
/// Why the expression cannot be renamed, as the end of a sentence about it.
pub fn rename(
    source: &str,
    root: impl Fn(&str) -> Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let tokens = tokens(source).map_err(|error| error.message)?;
    let text =
        |at: usize| tokens.get(at).and_then(|it| source.get(it.start..it.end)).unwrap_or_default();
    let is_name = |at: usize| tokens.get(at).is_some_and(|it| it.kind == TokenKind::Identifier);
    let mut renamed = String::with_capacity(source.len());
    let mut copied = 0;
    let mut replace = |token: &Token, with: &str| {
        renamed.push_str(source.get(copied..token.start).unwrap_or_default());
        renamed.push_str(with);
        copied = token.end;
    };
    for (at, token) in tokens.iter().enumerate() {
        let name = text(at);
        if !is_name(at) || at > 0 && is_selection(&tokens, at) {
            continue;
        }
        if name != "variables" && root(name).is_none() {
            continue;
        }
        if at > 0 && text(at - 1) == "." {
            return Err(format!("it writes .{name}; write {name}"));
        }
        if is_introduced(at, &text, &is_name) {
            return Err(format!("a macro's variable has the name {name}; give it another"));
        }
        if let Some(with) = root(name) {
            replace(token, &with);
            continue;
        }
        let field = if text(at + 2) == "?" { at + 3 } else { at + 2 };
        let known = variable(text(field)).filter(|_| text(at + 1) == "." && is_name(field));
        let (Some(known), Some(field)) = (known, tokens.get(field)) else {
            return Err("it reads variables otherwise than as variables.NAME".to_owned());
        };
        replace(field, &known);
    }
    renamed.push_str(source.get(copied..).unwrap_or_default());
    // A comment would hide what follows the expression.
    Ok(if renamed.contains("//") { renamed + "\n" } else { renamed })
}

/// Whether a name is a field that is selected: it follows a dot after a value.
fn is_selection(tokens: &[Token], at: usize) -> bool {
    let kind = |back: usize| at.checked_sub(back).and_then(|it| tokens.get(it)).map(|it| it.kind);
    let dot = match kind(1) {
        Some(TokenKind::Sign(".")) => 2,
        Some(TokenKind::Sign("?")) if kind(2) == Some(TokenKind::Sign(".")) => 3,
        _ => return false,
    };
    match kind(dot) {
        None | Some(TokenKind::End) => false,
        Some(TokenKind::Sign(sign)) => matches!(sign, ")" | "]" | "}" | "true" | "false" | "null"),
        Some(_) => true,
    }
}

/// Whether a name is the variable of a macro: its first argument, or the second of two variables.
fn is_introduced<'s>(
    at: usize,
    text: &impl Fn(usize) -> &'s str,
    is_name: &impl Fn(usize) -> bool,
) -> bool {
    let opens = |at: usize| at > 0 && text(at) == "(" && MACROS.contains(&text(at - 1));
    let first = at > 1 && opens(at - 1);
    let second = at > 3 && text(at - 1) == "," && is_name(at - 2) && opens(at - 3);
    text(at + 1) == "," && (first || second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(source: &str) -> Result<String, String> {
        let root = |name: &str| (name == "object").then(|| "variables.own".to_owned());
        rename(source, root, |name| (name != "unknown").then(|| format!("p0_{name}")))
    }

    #[test]
    fn a_variable_gets_its_new_name_and_nothing_else_does() {
        for (source, expected) in [
            ("object.spec.hostPID", "variables.own.spec.hostPID"),
            (
                "has(object.spec)&&object == object",
                "has(variables.own.spec)&&variables.own == variables.own",
            ),
            ("object.object.?object['object']", "variables.own.object.?object['object']"),
            (
                "'object' == \"object\" && r'variables.x' != b'object'",
                "'object' == \"object\" && r'variables.x' != b'object'",
            ),
            ("variables.a + variables.?b", "variables.p0_a + variables.?p0_b"),
            (
                "object.spec.containers.all(c, c.name != variables.a)",
                "variables.own.spec.containers.all(c, c.name != variables.p0_a)",
            ),
            ("f(object, 1)", "f(variables.own, 1)"),
            ("{'object': object}", "{'object': variables.own}"),
            ("true ? object : object", "true ? variables.own : variables.own"),
            ("object.spec // variables.a", "variables.own.spec // variables.a\n"),
        ] {
            assert_eq!(renamed(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for (source, why) in [
            ("[1].all(object, object > 0)", "a macro's variable has the name object"),
            ("[1].all(i, object, object > 0)", "a macro's variable has the name object"),
            ("[1].map(variables, true)", "a macro's variable has the name variables"),
            (".object.spec.hostPID", "it writes .object; write object"),
            ("!(.object == 1)", "it writes .object"),
            ("variables['a']", "it reads variables otherwise than as variables.NAME"),
            ("variables.unknown", "it reads variables otherwise"),
            ("variables == variables", "it reads variables otherwise"),
            ("'", "this string has no end"),
        ] {
            let error = renamed(source).unwrap_err();
            assert!(error.starts_with(why), "{source}: {error}");
        }
    }
}
