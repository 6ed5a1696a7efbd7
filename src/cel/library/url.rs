//! URLs, read as by Go's `net/url`. Kubernetes accepts a text if `ParseRequestURI` does, and takes the parts from
//! `Parse` (`k8s.io/apiserver/pkg/cel/library/urls.go`).

mod error;
mod escape;

use super::address::{Ip, is_ipv6};
use super::quoted;
use escape::{Component, escape, text, unescape};

pub use error::UrlError;

/// A URL. Its parts are decoded, so they may not be UTF-8.
#[derive(Clone, Debug, Default)]
pub struct Url {
    scheme: String,
    opaque: String,
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    host: Vec<u8>,
    omit_host: bool,
    path: Vec<u8>,
    /// The path as written, if encoding `path` gives a different text; else empty.
    raw_path: String,
    force_query: bool,
    raw_query: String,
    fragment: Vec<u8>,
    raw_fragment: String,
}

/// Go's function whose rules apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// `ParseRequestURI`: an absolute URL or an absolute path, without a fragment.
    Request,
    /// `Parse`.
    Reference,
}

/// A query with more parameters than these counts as empty.
const MAX_QUERY_PARAMETERS: usize = 10_000;

impl Url {
    /// Whether a text is a URL.
    pub fn check(text: &str) -> Result<(), UrlError> {
        parse(text, Mode::Request).map(drop)
    }

    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::check(text)?;
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = parse(before, Mode::Reference)?;
        url.fragment = unescape(fragment.as_bytes(), Component::Fragment)?;
        if escape(&url.fragment, Component::Fragment) != fragment {
            fragment.clone_into(&mut url.raw_fragment);
        }
        Ok(url)
    }

    /// The bytes of the URL's parts.
    pub fn len(&self) -> usize {
        let texts = [&self.scheme, &self.opaque, &self.raw_path, &self.raw_query];
        let texts: usize = texts.into_iter().map(String::len).sum();
        texts + self.host.len() + self.path.len()
    }

    /// The most parameters that the query can have.
    pub fn most_parameters(&self) -> usize {
        self.raw_query.bytes().filter(|byte| *byte == b'&').count() + 1
    }

    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host with its port.
    pub fn host(&self) -> String {
        text(&self.host)
    }

    /// The host without port and brackets. The port is empty if there is none.
    pub fn hostname(&self) -> String {
        let (host, _) = self.host_and_port();
        text(host.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]")).unwrap_or(host))
    }

    pub fn port(&self) -> String {
        text(self.host_and_port().1)
    }

    fn host_and_port(&self) -> (&[u8], &[u8]) {
        let colon = self.host.iter().rposition(|byte| *byte == b':');
        let split = colon.and_then(|at| self.host.split_at_checked(at));
        match split {
            Some((host, [_, port @ ..])) if port.iter().all(u8::is_ascii_digit) => (host, port),
            _ => (&self.host, &[]),
        }
    }

    pub fn escaped_path(&self) -> String {
        escaped(&self.path, &self.raw_path, Component::Path)
    }

    /// The parameters of the query, in the order of their first occurrence, each with its values. Parameters that
    /// cannot be decoded are left out.
    pub fn query(&self) -> Vec<(String, Vec<String>)> {
        let mut values: Vec<(String, Vec<String>)> = Vec::new();
        if self.most_parameters() > MAX_QUERY_PARAMETERS {
            return values;
        }
        let mut places = std::collections::HashMap::new();
        for part in self.raw_query.split('&') {
            if part.is_empty() || part.contains(';') {
                continue;
            }
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let decode = |it: &str| unescape(it.as_bytes(), Component::Query);
            let (Ok(key), Ok(value)) = (decode(key), decode(value)) else {
                continue;
            };
            let at = *places.entry(key).or_insert_with_key(|key| {
                values.push((text(key), Vec::new()));
                values.len() - 1
            });
            if let Some((_, all)) = values.get_mut(at) {
                all.push(text(&value));
            }
        }
        values
    }
}

/// URLs are equal if their texts are.
impl PartialEq for Url {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut written = !self.scheme.is_empty();
        if written {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            let authority = !self.host.is_empty() || self.user.is_some();
            let slashes =
                (!self.scheme.is_empty() && !self.omit_host && !self.path.is_empty()) || authority;
            if slashes {
                f.write_str("//")?;
                written = true;
            }
            if let Some((name, password)) = &self.user {
                f.write_str(&escape(name, Component::UserPassword))?;
                if let Some(password) = password {
                    write!(f, ":{}", escape(password, Component::UserPassword))?;
                }
                f.write_str("@")?;
            }
            f.write_str(&escape(&self.host, Component::Host))?;
            let path = self.escaped_path();
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                f.write_str("/")?;
            }
            if !written && path.split('/').next().is_some_and(|first| first.contains(':')) {
                f.write_str("./")?;
            }
            f.write_str(&path)?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if self.force_query || !self.raw_query.is_empty() {
            write!(f, "?{}", self.raw_query)?;
        }
        if !self.fragment.is_empty() {
            let fragment = escaped(&self.fragment, &self.raw_fragment, Component::Fragment);
            write!(f, "#{fragment}")?;
        }
        Ok(())
    }
}

/// The part as written if that is a valid encoding of it, else the default encoding.
fn escaped(decoded: &[u8], raw: &str, component: Component) -> String {
    let valid = |byte: u8| b"!$&'()*+,;=:@[]%".contains(&byte) || component.allows(byte);
    let written = !raw.is_empty()
        && raw.bytes().all(valid)
        && unescape(raw.as_bytes(), component).is_ok_and(|it| it == decoded);
    if written {
        raw.to_owned()
    } else if component == Component::Path && decoded == b"*" {
        "*".to_owned()
    } else {
        escape(decoded, component)
    }
}

fn parse(text: &str, mode: Mode) -> Result<Url, UrlError> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(UrlError::Control);
    }
    if text.is_empty() && mode == Mode::Request {
        return Err(UrlError::Empty);
    }
    let mut url = Url::default();
    if text == "*" {
        url.path = b"*".to_vec();
        return Ok(url);
    }
    let (scheme, rest) = split_scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let mut rest = match rest.split_once('?') {
        Some((rest, "")) => {
            url.force_query = true;
            rest
        }
        Some((rest, query)) => {
            query.clone_into(&mut url.raw_query);
            rest
        }
        None => rest,
    };
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            rest.clone_into(&mut url.opaque);
            return Ok(url);
        }
        let first_has_colon = rest.split('/').next().is_some_and(|first| first.contains(':'));
        if mode == Mode::Request {
            return Err(UrlError::Relative);
        }
        if first_has_colon {
            return Err(UrlError::Colon);
        }
    }
    let has_authority = !scheme.is_empty() || (mode == Mode::Reference && !rest.starts_with("///"));
    if let Some(after) = rest.strip_prefix("//").filter(|_| has_authority) {
        let authority;
        (authority, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        url.host = parse_host(&url.scheme, host)?;
        url.user = user.map(parse_user).transpose()?;
    } else if !scheme.is_empty() && rest.starts_with('/') {
        url.omit_host = true;
    }
    url.path = unescape(rest.as_bytes(), Component::Path)?;
    if escape(&url.path, Component::Path) != rest {
        rest.clone_into(&mut url.raw_path);
    }
    Ok(url)
}

fn split_scheme(text: &str) -> Result<(&str, &str), UrlError> {
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let end = text.bytes().position(|byte| !in_scheme(byte)).unwrap_or(text.len());
    let (scheme, rest) = text.split_at(end);
    match rest.strip_prefix(':') {
        Some(_) if scheme.is_empty() => Err(UrlError::NoScheme),
        Some(rest) if scheme.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            Ok((scheme, rest))
        }
        _ => Ok(("", text)),
    }
}

fn parse_user(text: &str) -> Result<(Vec<u8>, Option<Vec<u8>>), UrlError> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !text.bytes().all(valid) {
        return Err(UrlError::User);
    }
    let (name, password) = match text.split_once(':') {
        Some((name, password)) => (name, Some(password)),
        None => (text, None),
    };
    let decode = |it: &str| unescape(it.as_bytes(), Component::UserPassword);
    Ok((decode(name)?, password.map(decode).transpose()?))
}

fn parse_host(scheme: &str, host: &str) -> Result<Vec<u8>, UrlError> {
    match host.rfind('[') {
        Some(0) => return parse_bracketed_host(host),
        Some(_) => return Err(UrlError::IpLiteral),
        None => {}
    }
    if let Some(first) = host.find(':') {
        // Schemes of databases allow a list of hosts with ports; http and https have one port.
        let last = if matches!(scheme, "http" | "https") { Some(first) } else { host.rfind(':') };
        valid_port(last.and_then(|at| host.get(at..)).unwrap_or_default())?;
    }
    unescape(host.as_bytes(), Component::Host)
}

fn parse_bracketed_host(host: &str) -> Result<Vec<u8>, UrlError> {
    let (address, port) =
        host.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')).ok_or(UrlError::Bracket)?;
    valid_port(port)?;
    let address = match address.find("%25").and_then(|at| address.split_at_checked(at)) {
        Some((address, zone)) => [
            unescape(address.as_bytes(), Component::Host)?,
            unescape(zone.as_bytes(), Component::Zone)?,
        ]
        .concat(),
        None => unescape(address.as_bytes(), Component::Host)?,
    };
    if !is_ipv6(&address) {
        let address = text(&address);
        return Err(match Ip::parse(&address) {
            Ok(_) => UrlError::IpLiteral,
            Err(_) => UrlError::Address(quoted::go(&address)),
        });
    }
    Ok([b"[".as_slice(), &address, b"]", port.as_bytes()].concat())
}

/// An optional port: nothing, or a colon and digits.
fn valid_port(text: &str) -> Result<(), UrlError> {
    match text.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Ok(()),
        None if text.is_empty() => Ok(()),
        _ => Err(UrlError::Port(quoted::go(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn urls_have_the_parts_that_go_finds() {
        let url = of("HTTPS://user:p%40@example.com:8443/a%20b%2fc?q=1&q=2&r#f");
        assert_eq!(
            (url.scheme(), url.host(), url.hostname(), url.port()),
            ("https", "example.com:8443".into(), "example.com".into(), "8443".into())
        );
        assert_eq!(url.escaped_path(), "/a%20b%2fc");
        assert_eq!(
            url.query(),
            [("q".into(), vec!["1".into(), "2".into()]), ("r".into(), vec![String::new()])]
        );
        assert_eq!(of("http://[fe80::1%25en0]:80/").hostname(), "fe80::1%en0");
        assert_eq!(of("/only/a/path").host(), "");
        assert_eq!(of("mailto:a@b").escaped_path(), "");
        assert_eq!(of("http://h/?a=%zz&b;c&=d").query(), [(String::new(), vec!["d".into()])]);
    }

    #[test]
    fn urls_are_equal_whose_texts_are() {
        assert_eq!(of("HTTP://a/b"), of("http://a/b"));
        assert_ne!(of("http://a/%7e"), of("http://a/~"));
        for text in [
            "http://u:p@h:1/a%20b?q#f",
            "//h/p",
            "x:y",
            "/a:b",
            "http:///p",
            "x:/p",
            "*",
            "http://h?",
        ] {
            assert_eq!(of(text).to_string(), text);
        }
    }

    #[test]
    fn texts_that_go_refuses_are_not_urls() {
        for text in [
            "",
            "a",
            "a/b",
            ":x",
            "http://a b",
            "http://[::1",
            "http://[1.2.3.4]",
            "http://a:b",
            "http://%41",
            "/%zz",
            "/\n",
            "http://é@b",
            "http://a:1:2",
        ] {
            assert!(Url::check(text).is_err(), "{text}");
        }
        assert!(Url::check("ftp://a:1:2").is_ok());
    }

    #[test]
    fn a_query_of_too_many_parameters_is_none() {
        let query = |times| of(&format!("/?{}", "a&".repeat(times))).query().len();
        assert_eq!((query(9_999), query(10_000)), (1, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(http:)?(//)?[-a-z%0-9é@:/?#\\[\\]&=;. ]{0,30}") {
            if let Ok(url) = Url::parse(&text) {
                let _ = (url.to_string(), url.hostname(), url.port(), url.query(), url.escaped_path());
            }
        }
    }
}
