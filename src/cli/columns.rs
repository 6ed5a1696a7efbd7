//! Aligned columns without borders, as kubectl prints them.

use std::fmt::Write;

/// Between two columns, as in kubectl.
const GAP: usize = 3;

/// A text of one line that is safe for a terminal.
#[derive(Debug)]
pub(super) struct Cell(String);

impl Cell {
    pub(super) fn new(text: &str) -> Self {
        let mut shown = String::with_capacity(text.len());
        for character in text.chars() {
            if character.is_control() {
                shown.extend(character.escape_debug());
            } else {
                shown.push(character);
            }
        }
        Self(shown)
    }

    /// The same, with kubectl's word for what is empty.
    pub(super) fn or_none(text: &str) -> Self {
        Self::new(if text.is_empty() { "<none>" } else { text })
    }
}

/// One line a row, without line breaks.
pub(super) fn align(rows: &[Vec<Cell>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, Cell(text)) in widths.iter_mut().zip(row) {
            *width = text.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<Cell>| {
        let mut line = String::new();
        for (Cell(text), width) in row.iter().zip(&widths) {
            let _ = write!(line, "{text:0$}", width + GAP);
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A table with a line of headings, each line ended.
pub(super) fn table(headings: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let headings = headings.iter().map(|heading| Cell::new(heading)).collect();
    let rows: Vec<_> = std::iter::once(headings).chain(rows).collect();
    align(&rows).into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_their_text() {
        let row = |cells: [&str; 3]| cells.map(Cell::or_none).into();
        let rows = vec![row(["web-überlang", "", "Deployment/web"]), row(["a", "n1", ""])];
        insta::assert_snapshot!(table(&["NAME", "NODE", "OWNER"], rows), @r"
        NAME           NODE     OWNER
        web-überlang   <none>   Deployment/web
        a              n1       <none>
        ");
    }

    #[test]
    fn what_an_object_holds_does_not_steer_the_terminal() {
        assert_eq!(
            table(&["A"], vec![vec![Cell::new("\"a\u{1b}[2J\nb")]]),
            "A\n\"a\\u{1b}[2J\\nb\n"
        );
    }
}
