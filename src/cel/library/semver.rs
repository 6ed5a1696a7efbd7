//! Semantic versions, read and ordered as by `github.com/blang/semver`, with Kubernetes' optional normalization
//! (`k8s.io/apiserver/pkg/cel/library/semverlib.go`).

use std::borrow::Cow;
use std::cmp::Ordering;

/// A version. Build metadata is not stored: it affects neither order nor equality.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Semver {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    pre_release: Vec<Identifier>,
}

/// Which texts are read as a version.
#[derive(Clone, Copy, Debug)]
pub enum Syntax {
    /// Those of semver.org.
    Strict,
    /// Also `v1.2`, `1`, and numbers with leading zeros.
    Normalized,
}

/// A part of a pre-release, between dots. Numbers come before words.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Identifier {
    Number(u64),
    Word(String),
}

/// Why a text is not a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SemverError {
    #[error("a version has three numbers: MAJOR.MINOR.PATCH")]
    Numbers,
    #[error("the numbers of a version must fit into 64 bits, and have no leading zeros")]
    Number,
    #[error(
        "the parts of a pre-release or build must consist of letters, digits and hyphens, and not be empty"
    )]
    Identifier,
    #[error("a version of fewer than three numbers cannot have a pre-release or build")]
    Short,
}

impl Semver {
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, SemverError> {
        match syntax {
            Syntax::Strict => parse(text),
            Syntax::Normalized => parse(&normalized(text)?),
        }
    }

    /// The most bytes that a comparison traverses.
    pub fn len(&self) -> usize {
        let bytes = |it: &Identifier| match it {
            Identifier::Number(_) => 0,
            Identifier::Word(word) => word.len(),
        };
        self.pre_release.iter().map(|it| size_of::<Identifier>() + bytes(it)).sum()
    }

    /// The most bytes of the version that a text is parsed to.
    pub fn size(text: &str) -> usize {
        // In the worst case an identifier begins at every second byte.
        text.len().saturating_mul(size_of::<Identifier>()).saturating_add(size_of::<Self>())
    }
}

impl Ord for Semver {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| {
            // A version without a pre-release comes after those with one.
            other
                .pre_release
                .is_empty()
                .cmp(&self.pre_release.is_empty())
                .reverse()
                .then_with(|| self.pre_release.cmp(&other.pre_release))
        })
    }
}

impl PartialOrd for Semver {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn normalized(text: &str) -> Result<String, SemverError> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<Cow<'_, str>> = text.splitn(3, '.').map(without_zeros).collect();
    if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        return Err(SemverError::Short);
    }
    parts.resize(3, Cow::Borrowed("0"));
    Ok(parts.join("."))
}

/// A part without leading zeros; a zero that is the whole number stays.
fn without_zeros(part: &str) -> Cow<'_, str> {
    if part.len() < 2 {
        return Cow::Borrowed(part);
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|first: char| first.is_ascii_digit()) {
        Cow::Borrowed(rest)
    } else {
        Cow::Owned(format!("0{rest}"))
    }
}

fn parse(text: &str) -> Result<Semver, SemverError> {
    let mut numbers = text.splitn(3, '.');
    let (Some(major), Some(minor), Some(rest)) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(SemverError::Numbers);
    };
    let (rest, build) = match rest.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (rest, None),
    };
    let (patch, pre_release) = match rest.split_once('-') {
        Some((patch, pre_release)) => (patch, Some(pre_release)),
        None => (rest, None),
    };
    for part in build.into_iter().flat_map(|build| build.split('.')) {
        word(part)?;
    }
    Ok(Semver {
        major: number(major)?,
        minor: number(minor)?,
        patch: number(patch)?,
        pre_release: pre_release
            .into_iter()
            .flat_map(|pre_release| pre_release.split('.'))
            .map(identifier)
            .collect::<Result<_, _>>()?,
    })
}

fn number(text: &str) -> Result<u64, SemverError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(SemverError::Number);
    }
    text.parse().map_err(|_| SemverError::Number)
}

fn identifier(text: &str) -> Result<Identifier, SemverError> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text).map(Identifier::Number);
    }
    Ok(Identifier::Word(word(text)?.to_owned()))
}

fn word(text: &str) -> Result<&str, SemverError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(SemverError::Identifier);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Semver {
        Semver::parse(text, Syntax::Strict).unwrap()
    }

    #[test]
    fn versions_are_ordered_as_semver_orders_them() {
        let order = [
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
        ];
        for pair in order.windows(2) {
            assert!(of(pair[0]) < of(pair[1]), "{pair:?}");
        }
        assert_eq!(of("1.0.0+a"), of("1.0.0+b"));
    }

    #[test]
    fn invalid_versions_are_refused() {
        for text in [
            "",
            "1",
            "1.2",
            "v1.2.3",
            "01.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3+",
            "1.2.3-é",
            "1.2.18446744073709551616",
            "1.2.3.4",
            " 1.2.3",
        ] {
            assert!(Semver::parse(text, Syntax::Strict).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_are_normalized_on_request() {
        for (text, version) in [
            ("v1", "1.0.0"),
            ("1.2", "1.2.0"),
            ("v01.002.0", "1.2.0"),
            ("1.2.00-rc.1", "1.2.0-rc.1"),
            ("", ""),
        ] {
            let version = Semver::parse(version, Syntax::Strict).ok();
            assert_eq!(Semver::parse(text, Syntax::Normalized).ok(), version, "{text}");
        }
        assert_eq!(Semver::parse("1.2-rc", Syntax::Normalized), Err(SemverError::Short));
    }
}
