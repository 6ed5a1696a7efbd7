//! Reads samples of the Prometheus text format, in which replicas expose their metrics.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

/// One line: a series and its value.
#[derive(Debug, PartialEq)]
pub struct Sample<'t> {
    pub name: &'t str,
    labels: Vec<(&'t str, String)>,
    pub value: f64,
}

impl Sample<'_> {
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str())
    }
}

/// A line of a wanted family that is no sample.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("line {line} is no sample of {name}")]
pub struct Malformed {
    pub line: usize,
    pub name: String,
}

/// The samples of some families, in the order of the text. Lines of other families are skipped unread.
pub fn samples<'t>(
    text: &'t str,
    wanted: &[&str],
) -> impl Iterator<Item = Result<Sample<'t>, Malformed>> {
    text.lines().zip(1..).filter_map(move |(text, line)| {
        let text = text.trim_matches(is_blank);
        let end = text.find(|it| !is_of_a_name(it)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        if !wanted.contains(&name) {
            return None;
        }
        Some(sample(name, rest).ok_or_else(|| Malformed { line, name: name.to_owned() }))
    })
}

/// What follows the name: labels, the value, and perhaps a timestamp.
fn sample<'t>(name: &'t str, rest: &'t str) -> Option<Sample<'t>> {
    let (labels, rest) = match rest.trim_start_matches(is_blank).strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest.strip_prefix(is_blank)?),
    };
    let mut fields = rest.split(is_blank).filter(|field| !field.is_empty());
    let value = fields.next()?.parse().ok()?;
    if let Some(milliseconds) = fields.next() {
        milliseconds.parse::<i64>().ok()?;
    }
    fields.next().is_none().then_some(Sample { name, labels, value })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(is_blank);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_end_matches(is_blank);
        if name.is_empty() || !name.chars().all(is_of_a_name) {
            return None;
        }
        let (value, after) = quoted(after.trim_start_matches(is_blank))?;
        labels.push((name, value));
        let after = after.trim_start_matches(is_blank);
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
}

/// A label's value without quotes and escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(match characters.next()? {
                'n' => '\n',
                same @ ('"' | '\\') => same,
                _ => return None,
            }),
            plain => value.push(plain),
        }
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

fn is_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The label `policy` and the value of each sample of `a_total`.
    fn read(text: &str) -> Result<Vec<(Option<String>, f64)>, String> {
        let read = samples(text, &["a_total"]).map(|sample| {
            let sample = sample.map_err(|error| error.to_string())?;
            Ok((sample.label("policy").map(str::to_owned), sample.value))
        });
        read.collect()
    }

    #[test]
    fn the_lines_of_the_wanted_families_are_read_as_the_format_has_them() {
        for (text, value) in [
            ("a_total 3", 3.0),
            ("  a_total\t3  ", 3.0),
            ("a_total 3 1395066363000", 3.0),
            ("a_total{} 3", 3.0),
            ("a_total {x=\"1\"}3\r\n", 3.0),
            ("a_total 1e3", 1000.0),
            ("a_total +Inf", f64::INFINITY),
        ] {
            assert_eq!(read(text), Ok(vec![(None, value)]), "{text:?}");
        }
        for (text, policy) in [
            (r#"a_total{policy="p"} 1"#, "p"),
            (r#"a_total{ x = "}" , policy = "p" , } 1"#, "p"),
            (r#"a_total{policy="a\\b\"c\n}, x=1"} 1"#, "a\\b\"c\n}, x=1"),
            (r#"a_total{policy=""} 1"#, ""),
            (r#"a_total{policy="日本"} 1"#, "日本"),
        ] {
            assert_eq!(read(text), Ok(vec![(Some(policy.to_owned()), 1.0)]), "{text}");
        }
        assert!(read("a_total NaN").unwrap()[0].1.is_nan());
    }

    #[test]
    fn what_is_no_line_of_a_wanted_family_is_skipped() {
        for text in [
            "",
            "\n\n",
            "# HELP a_total How many.\n# TYPE a_total counter",
            "a_total_created 1",
            "a 1",
            "b{ 1",
            "<html>",
            "{",
            "日本 1",
        ] {
            assert_eq!(read(text), Ok(Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn a_line_of_a_wanted_family_that_is_no_sample_is_an_error_with_its_number() {
        for line in [
            "a_total ",
            "a_total",
            "a_total x",
            "a_total-1",
            "a_total 1 2 3",
            "a_total 1 x",
            "a_total{",
            "a_total{}",
            r#"a_total{policy="p} 1"#,
            r#"a_total{policy="p\"#,
            r#"a_total{policy="\t"} 1"#,
            r"a_total{policy=p} 1",
            r#"a_total{policy="p" x="y"} 1"#,
            r#"a_total{="p"} 1"#,
            r"a_total{,} 1",
            r#"a_total{policy="p"}"#,
        ] {
            let read = read(&format!("a_total 1\n{line}\n"));
            assert_eq!(read, Err("line 2 is no sample of a_total".to_owned()), "{line}");
        }
    }
}
