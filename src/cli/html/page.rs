//! The frame of a page: the title, the score, the figures, the contents, and a section for each table.

use jiff::Timestamp;

use super::charts;
use super::markup::Html;
use super::table::{Cell, Table};
use crate::api::Classification;
use crate::findings::Fault;

/// What the page may load: nothing, and only its own style and script, by their hashes. A test holds the hashes.
const POLICY: &str = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; base-uri 'none'; form-action 'none'; \
                      style-src 'sha256-PEKIi0iwxqy4eV2uVCpt1euYMCD8rYGg6MHG5Iu4+uk='; script-src 'sha256-UBDMtjQit0QnMgZTXkeQ4aKRr5UJUvvkt6lcFXuCNcI='\">";
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A command's result, as a page.
pub(in crate::cli) struct Page<'a> {
    /// Such as `analyze`.
    pub command: &'static str,
    /// What was judged: `Cluster production`.
    pub title: String,
    pub at: Timestamp,
    /// `None` where the result has no place for one; a score that is null is `no score`.
    pub score: Option<(Option<u8>, Option<Classification>)>,
    /// The result as a sentence without a full stop, and more such sentences.
    pub headline: String,
    pub remarks: Vec<String>,
    pub figures: Vec<(&'static str, u64)>,
    /// How many violations are of each severity, in the order of [`crate::api::Severity::ALL`].
    pub severities: Option<[u64; 4]>,
    pub sections: Vec<Section<'a>>,
    /// How to get what a table leaves out.
    pub more: &'static str,
}

pub(in crate::cli) struct Section<'a> {
    /// The anchor.
    pub id: &'static str,
    pub title: &'static str,
    /// Paragraphs before the table.
    pub text: Vec<String>,
    pub table: Option<Table<'a>>,
}

impl Page<'_> {
    pub(in crate::cli) fn render(&self) -> String {
        let mut html = Html::default();
        let title = format!("{} · podgate {}", self.title, self.command);
        html.markup("<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n").markup(POLICY);
        html.markup("\n<meta name=viewport content=\"width=device-width, initial-scale=1\">\n");
        html.markup("<meta name=color-scheme content=\"light dark\">\n<meta name=referrer content=no-referrer>\n");
        html.element("title", &title).markup("\n<style>").markup(STYLE).markup("</style>\n");
        html.markup("<body>\n<a class=skip href=#main>Skip to the report</a>\n");
        self.header(&mut html);
        html.markup("<main id=main tabindex=-1>\n");
        for section in &self.sections {
            section.write(&mut html, self.more);
        }
        html.markup("</main>\n<footer><p>Written by podgate ").markup(env!("CARGO_PKG_VERSION"));
        html.markup(". This file loads nothing, and sends nothing.</footer>\n");
        html.markup("<script>").markup(SCRIPT).markup("</script>\n");
        html.finish()
    }

    fn header(&self, html: &mut Html) {
        let second = Timestamp::from_second(self.at.as_second()).unwrap_or(self.at);
        html.markup("<header>\n<p class=by>podgate ").markup(self.command).markup(" · <time>");
        html.text(&second.to_string()).markup("</time> · version ");
        html.markup(env!("CARGO_PKG_VERSION")).markup("</p>\n").element("h1", &self.title);
        html.markup("\n<div class=lead>");
        if let Some((score, class)) = self.score {
            charts::ring(html, score, class);
        }
        html.markup("<div>");
        html.markup("<p class=headline>").text(&self.headline).markup(".</p>");
        for remark in &self.remarks {
            html.markup("<p>").text(remark).markup(".</p>");
        }
        html.markup("<dl>");
        for (name, value) in &self.figures {
            html.markup("<div><dt>")
                .markup(name)
                .markup("</dt><dd>")
                .number(*value)
                .markup("</dd></div>");
        }
        html.markup("</dl>");
        if let Some(counts) = self.severities {
            charts::severities(html, counts);
        }
        html.markup("</div></div>\n</header>\n<div class=tools><nav aria-label=Contents><ul>");
        for section in &self.sections {
            html.markup("<li><a href=#")
                .markup(section.id)
                .markup(">")
                .markup(section.title)
                .markup("</a>");
            if let Some(table) = &section.table {
                html.markup(" ").number(table.rows.len() as u64);
            }
        }
        html.markup("</ul></nav><form id=find role=search hidden><label for=words>Search the tables</label>");
        html.markup("<input id=words type=search autocomplete=off spellcheck=false><p id=found role=status></p></form></div>\n");
    }
}

impl Section<'_> {
    fn write(&self, html: &mut Html, more: &str) {
        html.markup("<section><h2 id=")
            .markup(self.id)
            .markup(">")
            .markup(self.title)
            .markup("</h2>");
        for text in &self.text {
            html.element("p", text);
        }
        if let Some(table) = &self.table {
            table.write(html, self.id, more);
        }
        html.markup("</section>\n");
    }
}

/// What could not be read, if anything: the result is incomplete.
pub(in crate::cli) fn faults<'a>(faults: &'a [Fault], notes: &[String]) -> Option<Section<'a>> {
    let row = |it: &'a Fault| vec![Cell::code(&it.place), Cell::text(&it.message)];
    let table = (!faults.is_empty()).then(|| Table {
        caption: "What could not be read or judged".to_owned(),
        headings: vec!["Where".into(), "Why".into()],
        rows: faults.iter().map(row).collect(),
        most: 200,
    });
    let incomplete = (!faults.is_empty()).then(|| {
        "This report is incomplete: it says nothing about what is listed here.".to_owned()
    });
    let text: Vec<_> = incomplete.into_iter().chain(notes.iter().cloned()).collect();
    (!text.is_empty()).then_some(Section { id: "faults", title: "Not read", text, table })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use ring::digest::{SHA256, digest};

    use super::super::findings::severities;
    use super::*;
    use crate::api::Severity;
    use crate::findings::FaultKind;

    fn page(
        sections: Vec<Section<'_>>,
        score: Option<(Option<u8>, Option<Classification>)>,
    ) -> String {
        let page = Page {
            command: "analyze",
            title: "Workloads of cluster </title><script>".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            score,
            headline: "1 violation in 4 workloads".to_owned(),
            remarks: vec!["judged by <b>".to_owned()],
            figures: vec![("Workloads", 4)],
            severities: Some(severities([Severity::High].into_iter())),
            sections,
            more: "podgate analyze -o json has all of them",
        };
        page.render()
    }

    #[test]
    fn the_policy_of_the_page_allows_only_its_own_style_and_script() {
        for (source, text) in [("style", STYLE), ("script", SCRIPT)] {
            let digest = ByteString(digest(&SHA256, text.as_bytes()).as_ref().to_vec());
            let digest = serde_json::to_value(digest).unwrap();
            let allowed = format!("{source}-src 'sha256-{}'", digest.as_str().unwrap());
            assert!(POLICY.contains(&allowed), "page.rs needs: {allowed}");
            assert!(!text.contains("</") && !text.contains("<!--"), "{source} would end early");
            assert!(!text.contains("://") && !text.contains("url(") && !text.contains("@import"));
        }
    }

    #[test]
    fn a_page_says_what_and_when_and_obeys_no_text() {
        let fault = Fault {
            place: "a.yaml:1:1".to_owned(),
            message: "<!-- found \"\u{202e}\"".to_owned(),
            kind: FaultKind::Input,
        };
        let section = faults(std::slice::from_ref(&fault), &["a note & more".to_owned()]).unwrap();
        let page = page(vec![section], Some((Some(90), Some(Classification::Healthy))));
        for shown in [
            "<title>Workloads of cluster &lt;/title&gt;&lt;script&gt; · podgate analyze</title>",
            "<h1>Workloads of cluster &lt;/title&gt;&lt;script&gt;</h1>",
            "<time>1970-01-01T00:00:00Z</time>",
            "<b>90</b> of 100<br><strong>Healthy</strong>",
            "stroke-dasharray=\"90 100\"",
            "<p>judged by &lt;b&gt;.</p>",
            "<p>This report is incomplete: it says nothing about what is listed here.</p><p>a note &amp; more</p>",
            "<tr><td><code>a.yaml:1:1</code><td>&lt;!-- found \"\\u{202e}\"",
        ] {
            assert!(page.contains(shown), "{shown} is not in {page}");
        }
        assert_eq!(page.matches("<script>").count(), 1);
    }

    #[test]
    fn no_score_is_not_a_score_of_100() {
        let without = page(Vec::new(), Some((None, None)));
        assert!(without.contains("<b>–</b> no score") && !without.contains("of 100"), "{without}");
        assert!(!page(Vec::new(), None).contains("class=\"ring"));
    }

    #[test]
    fn what_a_table_leaves_out_is_counted() {
        let shown = |rows: usize, text: &str, most| {
            let rows = (0..rows).map(|_| vec![Cell::text(text)]).collect();
            let (caption, headings) = (String::new(), vec!["What".into()]);
            let table = Some(Table { caption, headings, rows, most });
            page(vec![Section { id: "x", title: "X", text: Vec::new(), table }], None)
        };
        assert!(!shown(3, "a", 3).contains("left out"));
        assert!(
            shown(4, "a", 3)
                .contains("<p class=left>1 more row is left out here; podgate analyze -o json has")
        );
        assert!(shown(9, "a", 3).contains("6 more rows are left out here"));
        // Rows end where the page is as large as a page may be.
        let long = shown(3000, &"a".repeat(1500), 5000);
        assert!(
            long.len() < 2 * 1024 * 1024 && long.contains("more rows are left out here"),
            "{}",
            long.len()
        );
    }
}
