//! Renders tables as kubectl does: aligned columns without borders.

use std::fmt::Write;

use clap::builder::styling::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::color::Coloring;
use crate::api::{Classification, Severity};
use crate::policy::text::printable;

/// The blanks between two columns, as in kubectl.
const GAP: usize = 3;

/// A cell whose value is unknown or does not exist.
pub(super) const NOTHING: &str = "-";

/// How much a table shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Detail {
    /// The worst rows and the main columns.
    Brief,
    /// Every row and every column.
    Full,
}

/// One line of text, escaped for a terminal, and its colour.
#[derive(Debug)]
pub(super) struct TableCell {
    text: String,
    style: Style,
}

impl TableCell {
    pub(super) fn new(text: &str) -> Self {
        Self { text: printable(text), style: Style::new() }
    }

    /// A cell that shows kubectl's `<none>` for an empty text, so that every row has the same number of columns.
    pub(super) fn or_none(text: &str) -> Self {
        Self::new(if text.is_empty() { "<none>" } else { text })
    }

    pub(super) fn severity(severity: Severity, coloring: Coloring) -> Self {
        let style = match coloring {
            Coloring::Colored => severity_style(severity),
            Coloring::Plain => Style::new(),
        };
        Self { text: severity.to_string(), style }
    }
}

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical => AnsiColor::Red.on_default().bold(),
        Severity::High => AnsiColor::Red.on_default(),
        Severity::Medium => AnsiColor::Yellow.on_default(),
        Severity::Low => AnsiColor::Cyan.on_default(),
    }
}

/// A score, or `-` where there is none.
pub(super) fn score(score: Option<u8>) -> String {
    score.map_or_else(|| NOTHING.to_owned(), |score| score.to_string())
}

/// The class of a score, or `-` where there is none.
pub(super) fn class(class: Option<Classification>) -> String {
    class.map_or_else(|| NOTHING.to_owned(), |class| class.as_str().to_owned())
}

/// One line for each row, without line breaks. Columns that are empty in all rows are left out.
pub(super) fn align(rows: &[Vec<TableCell>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.text.width().max(*width);
        }
    }
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[TableCell], widths: &[usize]) -> String {
    let mut line = String::new();
    // Blanks are written only before the next text, so that no line ends in blanks.
    let mut blanks = 0;
    for (TableCell { text, style }, width) in
        row.iter().zip(widths).filter(|(_, width)| **width > 0)
    {
        if !text.is_empty() {
            line.extend(std::iter::repeat_n(' ', blanks));
            let _ = write!(line, "{style}{text}{style:#}");
            blanks = 0;
        }
        blanks += width - text.width() + GAP;
    }
    line
}

/// A table with a line of headings. Each line ends with a line break.
pub(super) fn table(headings: &[&str], rows: Vec<Vec<TableCell>>) -> String {
    let headings = headings.iter().map(|heading| TableCell::new(heading)).collect();
    let rows: Vec<_> = std::iter::once(headings).chain(rows).collect();
    align(&rows).into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(texts: &[&str]) -> Vec<TableCell> {
        texts.iter().map(|text| TableCell::new(text)).collect()
    }

    #[test]
    fn columns_align_by_the_width_on_screen_and_lines_end_with_their_text() {
        let rows = [cells(&["日本", "x"]), cells(&["abcde", ""]), cells(&["é", "y"])];
        assert_eq!(align(&rows), ["日本    x", "abcde", "é       y"]);
    }

    #[test]
    fn a_column_that_no_row_fills_takes_no_room() {
        assert_eq!(align(&[cells(&["a", "", "b"]), cells(&["c", "", "d"])]), ["a   b", "c   d"]);
    }

    #[test]
    fn colours_take_no_width_and_only_come_if_wanted() {
        let row =
            |coloring| vec![TableCell::severity(Severity::High, coloring), TableCell::new("x")];
        let critical =
            |coloring| vec![TableCell::severity(Severity::Critical, coloring), TableCell::new("y")];
        assert_eq!(
            align(&[row(Coloring::Plain), critical(Coloring::Plain)]),
            ["high       x", "critical   y"]
        );
        assert_eq!(
            align(&[row(Coloring::Colored), critical(Coloring::Colored)]),
            ["\u{1b}[31mhigh\u{1b}[0m       x", "\u{1b}[1m\u{1b}[31mcritical\u{1b}[0m   y"]
        );
    }

    #[test]
    fn what_an_object_holds_does_not_steer_the_terminal() {
        assert_eq!(align(&[cells(&["a\u{1b}[2J\nb"])]), [r"a\u{1b}[2J\nb"]);
    }
}
