//! `docs/cel.md`: the functions of validations, from the table of functions.

use std::fmt::Write;

use podgate::cel::declarations::FunctionLibrary;
use podgate::cel::declared::{authorization::AUTHORIZATION, libraries};
use podgate::cel::library::{LEFT_OUT, MACROS, description};
use podgate::cel::meter::{EXPRESSION_COST_LIMIT, POLICY_COST_BUDGET, REVIEW_MEMORY};

/// The page, below the note that it is generated.
pub fn page() -> String {
    let mut text = format!(
        "# Expressions\n\nThe expressions of [`validations`](rules.md#validations) are CEL as Kubernetes 1.36 has it in a \
         `ValidatingAdmissionPolicy`: what its API server refuses to compile is refused, and verdicts and costs are the same. An \
         expression may cost {EXPRESSION_COST_LIMIT} units and all of a policy {POLICY_COST_BUDGET}, in Kubernetes' units; the \
         values of one review may take {} MiB. Regular expressions are RE2's.\n\nLeft out, though Kubernetes has it:\n\n| | |\n|---|---|\n",
        REVIEW_MEMORY >> 20
    );
    for (name, reason) in LEFT_OUT {
        let _ = writeln!(text, "| `{name}` | {reason} |");
    }
    text.push_str("\n## Macros\n\n| | |\n|---|---|\n");
    for (form, what) in MACROS {
        let _ = writeln!(text, "| `{}` | {what} |", escaped(form));
    }
    for library in libraries().iter().filter(|library| library.name != AUTHORIZATION) {
        text.push_str(&section(library));
    }
    text
}

fn section(library: &FunctionLibrary) -> String {
    let mut rows = String::new();
    for function in &library.functions {
        let Some(what) = description(function.name) else { continue };
        let signatures: Vec<_> =
            function.signatures().map(|it| format!("`{}`", escaped(&it))).collect();
        let _ = writeln!(rows, "| {} | {what} |", signatures.join("<br>"));
    }
    if rows.is_empty() {
        return rows;
    }
    let mut heading = library.name.to_owned();
    heading.get_mut(..1).unwrap().make_ascii_uppercase();
    format!("\n## {heading}\n\n| | |\n|---|---|\n{rows}")
}

/// A bar inside a table must be escaped.
fn escaped(code: &str) -> String {
    code.replace('|', "\\|")
}
