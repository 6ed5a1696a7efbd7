//! Rows in columns, as kubectl prints them.

/// What stands where a cell is empty.
const NONE: &str = "<none>";
/// Between two columns.
const GAP: usize = 3;

/// Rows under a header. Every row has a cell for each column.
pub(super) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    pub(super) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    /// Cells hold no text that a terminal would obey; an empty one is shown as `<none>`.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, each as short as its last cell allows.
    pub(super) fn text(&self) -> String {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = shown(cell).chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let line: String = cells
                .map(|(cell, width)| format!("{:width$}", shown(cell), width = width + GAP))
                .collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn shown(cell: &str) -> &str {
    if cell.is_empty() { NONE } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_in_characters() {
        let mut columns = Columns::new(["NAME", "NODE", "OWNER"]);
        columns.row(["web-überlang", "", "Deployment/web"].map(str::to_owned).to_vec());
        columns.row(["a", "n1", ""].map(str::to_owned).to_vec());
        insta::assert_snapshot!(columns.text(), @r"
        NAME           NODE     OWNER
        web-überlang   <none>   Deployment/web
        a              n1       <none>
        ");
    }
}
