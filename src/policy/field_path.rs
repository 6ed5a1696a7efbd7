//! Field paths as messages show them: `spec.containers[0].image`, `metadata.labels["app.kubernetes.io/name"]`.

/// One step of a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// The steps of a path; `None` if the text is not a path.
pub fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let (key, after) = quoted.split_once("\"]")?;
            steps.push(Step::Key(key));
            rest = after;
        } else if let Some(bracketed) = rest.strip_prefix('[') {
            let (index, after) = bracketed.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, after) = rest.split_at_checked(end)?;
            if key.is_empty() {
                return None;
            }
            steps.push(Step::Key(key));
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() || after.starts_with(['[', '.']) {
                return None;
            }
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::Step::{Index, Key};
    use super::*;

    #[test]
    fn a_path_is_read_as_messages_write_it() {
        let expected = vec![Key("spec"), Key("containers"), Index(10), Key("image")];
        assert_eq!(steps("spec.containers[10].image"), Some(expected));
        let expected = vec![Key("metadata"), Key("labels"), Key("app.kubernetes.io/name")];
        assert_eq!(steps(r#"metadata.labels["app.kubernetes.io/name"]"#), Some(expected));
        assert_eq!(steps(""), Some(Vec::new()));
        for bad in
            [".spec", "spec.", "spec..x", "spec[", "spec[x]", "spec[\"a", "spec.[0]", "a[-1]"]
        {
            assert_eq!(steps(bad), None, "{bad}");
        }
    }
}
