//! Errors of URLs.

/// Why a text is not a URL, in Go's words: expressions see them as messages of `format.uri()`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    #[error("empty url")]
    Empty,
    #[error("invalid URI for request")]
    Relative,
    #[error("missing protocol scheme")]
    NoScheme,
    #[error("first path segment in URL cannot contain colon")]
    Colon,
    #[error("net/url: invalid control character in URL")]
    Control,
    #[error("invalid URL escape {0}")]
    Escape(String),
    #[error("invalid character {0} in host name")]
    HostCharacter(String),
    #[error("invalid IP-literal")]
    IpLiteral,
    #[error("missing ']' in host")]
    Bracket,
    #[error("invalid host: ParseAddr({0}): unable to parse IP")]
    Address(String),
    #[error("invalid port {0} after host")]
    Port(String),
    #[error("net/url: invalid userinfo")]
    User,
}
