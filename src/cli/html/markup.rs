//! Writes HTML. Markup comes from the source code only; every other text is escaped.

use std::fmt::Write;

use crate::policy::text::brief;

/// The longest text, in bytes. Longer ones end with an ellipsis.
const MAX_TEXT: usize = 2000;

/// HTML that is being written.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup as it is. No text of an object has the lifetime of the program.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A text, which is shown and never obeyed: by the browser as markup, or by the reader's eyes as bidirectional or
    /// invisible characters. Only the content of elements may be a text, not an attribute's value.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for part in brief(text.to_owned(), MAX_TEXT).split_inclusive(['&', '<', '>']) {
            let entities = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];
            let found =
                entities.iter().find_map(|(it, entity)| Some((part.strip_suffix(*it)?, *entity)));
            let (plain, entity) = found.unwrap_or((part, ""));
            self.0.push_str(plain);
            self.0.push_str(entity);
        }
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let _ = write!(self.0, "{number}");
        self
    }

    /// A text in an element without attributes.
    pub(super) fn element(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.markup("<").markup(name).markup(">").text(text);
        self.markup("</").markup(name).markup(">")
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes back what was written after this length.
    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::text::printable;

    fn written(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.finish()
    }

    #[test]
    fn a_text_is_shown_and_not_obeyed() {
        for (text, expected) in [
            ("nginx:1.29", "nginx:1.29"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x'&amp;", "\" onload='x'&amp;amp;"),
            ("]]> --> </style>", "]]&gt; --&gt; &lt;/style&gt;"),
            ("a\nb\u{202e}c\u{200b}d\u{0}", r"a\nb\u{202e}c\u{200b}d\0"),
            ("日本 é", "日本 é"),
            ("", ""),
        ] {
            assert_eq!(written(text), expected, "{text:?}");
        }
        assert_eq!(written(&"<".repeat(1_000_000)).len(), "&lt;".len() * 1997 + "…".len());
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup_and_none_is_lost(text in any::<String>()) {
            let written = written(&text);
            prop_assert!(!written.contains(['<', '>']), "{written}");
            let entities = [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
            let read = entities.iter().fold(written, |read, (entity, it)| read.replace(entity, it));
            prop_assert_eq!(read, printable(&text));
        }
    }
}
