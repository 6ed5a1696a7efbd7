//! Tables of a page: cells by what they mean, and rows up to a limit. What is left out is counted below the table.

use std::borrow::Cow;

use super::charts;
use super::markup::Html;
use crate::api::{Classification, Severity};

/// A page is at most 2 MiB large. Rows end here, where the rest of the page still fits.
const MAX_BYTES: usize = 2 * 1024 * 1024 - 30_000;

pub(in crate::cli) struct Table<'a> {
    /// What the rows are, and their order: `200 namespaces, the lowest score first`.
    pub caption: String,
    pub headings: Vec<Cow<'a, str>>,
    pub rows: Vec<Vec<Cell<'a>>>,
    /// The most rows that are shown, the first ones.
    pub most: usize,
}

/// A cell, by what it means.
pub(in crate::cli) enum Cell<'a> {
    /// What the row is about: its heading.
    Name(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// Something to type or to look for: a rule, a policy, a place in a file.
    Code(Cow<'a, str>),
    Number(u64),
    Severity(Severity),
    /// A number with a bar that is as long as its part of the largest number.
    Bar {
        value: u64,
        largest: u64,
    },
    Score(Option<u8>, Option<Classification>),
    /// A message, and the path of the field that it may begin with.
    Message {
        path: &'a str,
        message: Cow<'a, str>,
        fix: Option<String>,
    },
}

impl<'a> Cell<'a> {
    pub fn text(text: &'a str) -> Self {
        Self::Text(text.into())
    }

    pub fn code(text: &'a str) -> Self {
        Self::Code(text.into())
    }

    /// Whether it stands on the right, digits below digits.
    fn is_number(&self) -> bool {
        matches!(self, Self::Number(_))
    }

    fn write(&self, html: &mut Html) {
        match self {
            Self::Name(text) => html.markup("<th scope=row>").text(text).markup("</th>"),
            Self::Text(text) => html.markup("<td>").text(text),
            Self::Code(text) if text.is_empty() => html.markup("<td>"),
            Self::Code(text) => html.markup("<td>").element("code", text),
            Self::Number(number) => html.markup("<td class=n>").number(*number),
            Self::Severity(severity) => {
                let severity = severity.as_str();
                html.markup("<td class=").markup(severity).markup(">").markup(severity)
            }
            Self::Bar { value, largest } => {
                html.markup("<td class=b>");
                charts::bar(html, *value, *largest, "plain");
                html.number(*value)
            }
            Self::Score(None, _) => html.markup("<td class=b>no score"),
            Self::Score(Some(score), class) => {
                html.markup("<td class=b>");
                charts::score_bar(html, *score, *class);
                html.number((*score).into())
                    .markup(" ")
                    .text(class.map_or("", Classification::as_str))
            }
            Self::Message { path, message, fix } => {
                html.markup("<td class=m>");
                match message.strip_prefix(path).filter(|_| !path.is_empty()) {
                    Some(rest) => html.element("code", path).text(rest),
                    None => html.text(message),
                };
                if let Some(fix) = fix {
                    html.markup("<details><summary>fix</summary>").element("code", fix);
                    html.markup("</details>");
                }
                html
            }
        };
    }
}

impl Table<'_> {
    /// `more` says how to get the rows that are left out.
    pub(super) fn write(&self, html: &mut Html, id: &'static str, more: &str) {
        html.markup("<div class=scroll role=region tabindex=0 aria-labelledby=").markup(id);
        html.markup("><table><caption>").text(&self.caption).markup("</caption><thead><tr>");
        let first = self.rows.first();
        for (column, heading) in self.headings.iter().enumerate() {
            let number = first.and_then(|row| row.get(column)).is_some_and(Cell::is_number);
            html.markup(if number { "<th scope=col class=n>" } else { "<th scope=col>" });
            html.text(heading).markup("</th>");
        }
        html.markup("</tr></thead><tbody>");
        let mut shown = 0;
        for row in self.rows.iter().take(self.most) {
            let before = html.len();
            html.markup("<tr>");
            for cell in row {
                cell.write(html);
            }
            if html.len() > MAX_BYTES {
                html.truncate(before);
                break;
            }
            shown += 1;
        }
        html.markup("</tbody></table></div>");
        let left = match self.rows.len() - shown {
            0 => return,
            1 => "1 more row is".to_owned(),
            left => format!("{left} more rows are"),
        };
        html.markup("<p class=left>").text(&format!("{left} left out here; {more}"));
    }
}
