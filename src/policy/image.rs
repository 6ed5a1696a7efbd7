//! Image references, by the grammar of the OCI distribution specification as
//! container runtimes read it (`github.com/distribution/reference`):
//!
//! ```text
//! reference = name [ ":" tag ] [ "@" digest ]
//! name      = [ host [ ":" port ] "/" ] component { "/" component }
//! ```

use std::borrow::Cow;

pub(super) const DOCKER_HUB: &str = "docker.io";
/// Docker Hub's other name.
const DOCKER_INDEX: &str = "index.docker.io";
/// The longest name a registry accepts, host included.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;
/// The digest algorithms that runtimes know, each with the number of hexadecimal digits.
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// A parsed image reference. Its parts are slices of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ImageReference<'a> {
    /// Host and repository as written: `nginx`, `registry:5000/team/web`.
    pub name: &'a str,
    /// The tag, if present. An absent tag means `latest`.
    pub tag: Option<&'a str>,
    /// The digest, if present. It takes precedence over the tag.
    pub digest: Option<&'a str>,
}

/// Why a text is no image reference, as the end of a sentence about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ImageError {
    #[error("it is empty")]
    Empty,
    #[error("it has white space")]
    WhiteSpace,
    #[error("its repository must be lower case")]
    UpperCase,
    #[error("its registry host is malformed")]
    Host,
    #[error("its repository is malformed")]
    Repository,
    #[error("its name is longer than {MAX_NAME} characters")]
    TooLong,
    #[error("its tag is malformed")]
    Tag,
    #[error("its digest is malformed")]
    Digest,
}

impl<'a> ImageReference<'a> {
    /// Reads a reference.
    ///
    /// # Errors
    /// The part that does not follow the grammar. No runtime would pull such an image.
    pub fn parse(text: &'a str) -> Result<Self, ImageError> {
        if text.is_empty() {
            return Err(ImageError::Empty);
        }
        if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
            return Err(ImageError::WhiteSpace);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it, a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        check_name(name)?;
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ImageError::Tag);
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(ImageError::Digest);
        }
        Ok(Self { name, tag, digest })
    }

    /// The registry's host and port. An image that names none comes from Docker Hub, which has two names.
    pub fn registry(&self) -> &'a str {
        match split_host(self.name).0 {
            Some(host) if !is_docker_hub(host) => host,
            _ => DOCKER_HUB,
        }
    }

    /// The path in the registry: `library/nginx` for `nginx`.
    pub fn repository(&self) -> Cow<'a, str> {
        let (_, path) = split_host(self.name);
        if path.contains('/') || self.registry() != DOCKER_HUB {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(format!("library/{path}"))
        }
    }

    /// The reference with its registry and `library/` written out: `docker.io/library/nginx:1.29` for `nginx:1.29`. The
    /// registry is in lower case.
    pub fn canonical(&self) -> String {
        let tag = self.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        let registry = self.registry().to_ascii_lowercase();
        format!("{registry}/{}{tag}{digest}", self.repository())
    }

    /// Whether two references name the same repository in the same registry.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.registry().eq_ignore_ascii_case(other.registry())
            && self.repository() == other.repository()
    }

    /// Whether the reference floats on `latest`: it has no digest, and its tag is `latest` or absent.
    pub fn floats_on_latest(&self) -> bool {
        self.digest.is_none() && self.tag.is_none_or(|tag| tag == "latest")
    }
}

fn check_name(name: &str) -> Result<(), ImageError> {
    if name.len() > MAX_NAME {
        return Err(ImageError::TooLong);
    }
    let (host, repository) = split_host(name);
    if host.is_some_and(|host| !is_host(host)) {
        return Err(ImageError::Host);
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ImageError::UpperCase);
    }
    if repository.split('/').all(is_path_component) { Ok(()) } else { Err(ImageError::Repository) }
}

/// Whether a host is Docker Hub, under either name.
pub(super) fn is_docker_hub(host: &str) -> bool {
    host.eq_ignore_ascii_case(DOCKER_HUB) || host.eq_ignore_ascii_case(DOCKER_INDEX)
}

/// Splits a name into its host, if it has one, and the path.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest)) if is_host_like(first) => (Some(first), rest),
        _ => (None, name),
    }
}

/// Whether the first component of a name is a host. Runtimes decide by a dot, a port, upper case, or the name
/// `localhost`.
pub(super) fn is_host_like(first: &str) -> bool {
    first == "localhost"
        || first.bytes().any(|byte| byte == b'.' || byte == b':' || byte.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    if let Some(bracketed) = text.strip_prefix('[') {
        let Some((address, after)) = bracketed.split_once(']') else { return false };
        let is_address = address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        let is_end = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return !address.is_empty() && is_address && is_end;
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    port.is_none_or(is_port) && host.split('.').all(is_domain_component)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_domain_component(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Lower-case letters and digits, separated by one dot, one or two underscores
/// or any number of dashes.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && bytes.split(|&byte| alphanumeric(byte)).filter(|separator| !separator.is_empty()).all(
            |separator| {
                matches!(separator, b"." | b"_" | b"__")
                    || separator.iter().all(|&byte| byte == b'-')
            },
        )
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Whether a text is `ALGORITHM:HEX` with the number of lower-case digits of the algorithm. Runtimes reject other
/// lengths.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    DIGESTS.contains(&(algorithm, hex.len()))
        && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_split_where_a_runtime_splits_them() {
        let pinned = format!("nginx@{DIGEST}");
        let both = format!("registry:5000/team/web:latest@{DIGEST}");
        for (text, name, tag, digest) in [
            ("nginx", "nginx", None, None),
            ("nginx:1.29", "nginx", Some("1.29"), None),
            ("nginx:LATEST", "nginx", Some("LATEST"), None),
            ("registry:5000/nginx", "registry:5000/nginx", None, None),
            ("registry:5000/nginx:1.2", "registry:5000/nginx", Some("1.2"), None),
            ("Registry.Example.COM/a/b-c__d.e", "Registry.Example.COM/a/b-c__d.e", None, None),
            ("localhost/web:v1_2-3", "localhost/web", Some("v1_2-3"), None),
            ("[fd00::1]:5000/web:1", "[fd00::1]:5000/web", Some("1"), None),
            (&pinned, "nginx", None, Some(DIGEST)),
            (&both, "registry:5000/team/web", Some("latest"), Some(DIGEST)),
        ] {
            assert_eq!(
                ImageReference::parse(text),
                Ok(ImageReference { name, tag, digest }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_no_runtime_would_pull_is_refused_with_the_reason() {
        let long = "a".repeat(256);
        let long_tag = format!("nginx:{}", "a".repeat(129));
        for (text, error) in [
            ("", ImageError::Empty),
            (" nginx", ImageError::WhiteSpace),
            ("nginx\n", ImageError::WhiteSpace),
            ("NGINX:1.2", ImageError::UpperCase),
            ("ghcr.io/Team/web", ImageError::UpperCase),
            ("-bad.io/web", ImageError::Host),
            ("registry:port/web", ImageError::Host),
            ("[fd00::1/web.x", ImageError::Host),
            ("/web", ImageError::Repository),
            ("web/", ImageError::Repository),
            ("a//b", ImageError::Repository),
            ("a___b", ImageError::Repository),
            ("https://ghcr.io/web", ImageError::Host),
            (&long, ImageError::TooLong),
            ("nginx:", ImageError::Tag),
            ("nginx:-x", ImageError::Tag),
            ("nginx:1:2", ImageError::Repository),
            (&long_tag, ImageError::Tag),
            ("nginx@", ImageError::Digest),
            ("nginx@sha256:12", ImageError::Digest),
            ("nginx@1x:0123456789abcdef0123456789abcdef", ImageError::Digest),
            ("nginx@md5:0123456789abcdef0123456789abcdef", ImageError::Digest),
            ("nginx@sha256:0123456789abcdef0123456789abcdef", ImageError::Digest),
            (&DIGEST.replace("sha256:", "nginx@sha256:A"), ImageError::Digest),
        ] {
            assert_eq!(ImageReference::parse(text), Err(error), "{text:?}");
        }
    }

    /// Every reference with its registry, repository, tag and digest.
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    #[test]
    fn references_resolve_to_registry_repository_tag_and_digest() {
        const SHA512: &str = "sha512:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\
            00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        const HUB: &str = "docker.io";
        let digest = |name: &str| format!("{name}@{DIGEST}");
        let sha512 = format!("nginx@{SHA512}");
        let d = Some(DIGEST);
        for (text, registry, repository, tag, expected_digest) in [
            // Docker Hub, by every name it has.
            ("nginx", HUB, "library/nginx", None, None),
            ("nginx:latest", HUB, "library/nginx", Some("latest"), None),
            ("nginx:1.29", HUB, "library/nginx", Some("1.29"), None),
            ("nginx:1.29-alpine", HUB, "library/nginx", Some("1.29-alpine"), None),
            ("library/nginx", HUB, "library/nginx", None, None),
            ("docker.io/nginx", HUB, "library/nginx", None, None),
            ("docker.io/library/nginx:1", HUB, "library/nginx", Some("1"), None),
            ("index.docker.io/nginx", HUB, "library/nginx", None, None),
            ("index.docker.io/library/nginx", HUB, "library/nginx", None, None),
            ("bitnami/redis", HUB, "bitnami/redis", None, None),
            ("docker.io/bitnami/redis:8", HUB, "bitnami/redis", Some("8"), None),
            ("a/b/c", HUB, "a/b/c", None, None),
            (
                "registry-1.docker.io/library/nginx",
                "registry-1.docker.io",
                "library/nginx",
                None,
                None,
            ),
            // What looks like a host and is none.
            ("registry/nginx", HUB, "registry/nginx", None, None),
            ("local/nginx:1", HUB, "local/nginx", Some("1"), None),
            ("com.example/web", "com.example", "web", None, None),
            ("web.example", HUB, "library/web.example", None, None),
            ("localhost", HUB, "library/localhost", None, None),
            ("localhost:5000", HUB, "library/localhost", Some("5000"), None),
            // Hosts.
            ("ghcr.io/team/web", "ghcr.io", "team/web", None, None),
            ("ghcr.io/team/web:v1", "ghcr.io", "team/web", Some("v1"), None),
            ("GHCR.IO/team/web:v1", "GHCR.IO", "team/web", Some("v1"), None),
            ("Registry/web", "Registry", "web", None, None),
            ("quay.io/a/b/c/d:x", "quay.io", "a/b/c/d", Some("x"), None),
            ("gcr.io/distroless/static", "gcr.io", "distroless/static", None, None),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io", "pause", Some("3.10"), None),
            (
                "mcr.microsoft.com/dotnet/aspnet:9.0",
                "mcr.microsoft.com",
                "dotnet/aspnet",
                Some("9.0"),
                None,
            ),
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1",
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                "web",
                Some("1"),
                None,
            ),
            (
                "europe-docker.pkg.dev/p/r/web:1",
                "europe-docker.pkg.dev",
                "p/r/web",
                Some("1"),
                None,
            ),
            ("localhost/web", "localhost", "web", None, None),
            ("localhost:5000/web", "localhost:5000", "web", None, None),
            ("registry:5000/nginx", "registry:5000", "nginx", None, None),
            ("registry:5000/nginx:1.2", "registry:5000", "nginx", Some("1.2"), None),
            (
                "registry.example.com:443/team/web:1",
                "registry.example.com:443",
                "team/web",
                Some("1"),
                None,
            ),
            ("10.0.0.1/web", "10.0.0.1", "web", None, None),
            ("127.0.0.1:5000/web:1", "127.0.0.1:5000", "web", Some("1"), None),
            ("[::1]/web", "[::1]", "web", None, None),
            ("[::1]:5000/web", "[::1]:5000", "web", None, None),
            ("[2001:db8::1]:5000/team/web:1", "[2001:db8::1]:5000", "team/web", Some("1"), None),
            ("xn--bcher-kva.example/web", "xn--bcher-kva.example", "web", None, None),
            ("a.b-c.d/web", "a.b-c.d", "web", None, None),
            // Path components.
            ("ghcr.io/a_b/c__d/e-f/g--h/i.j", "ghcr.io", "a_b/c__d/e-f/g--h/i.j", None, None),
            ("0/1", HUB, "0/1", None, None),
            ("x", HUB, "library/x", None, None),
            // Tags.
            ("web:V1", HUB, "library/web", Some("V1"), None),
            ("web:_x", HUB, "library/web", Some("_x"), None),
            ("web:1.0_2-3", HUB, "library/web", Some("1.0_2-3"), None),
            ("web:2026-11-23T10.00", HUB, "library/web", Some("2026-11-23T10.00"), None),
            ("web:LATEST", HUB, "library/web", Some("LATEST"), None),
            ("web:5000", HUB, "library/web", Some("5000"), None),
            ("team/web:5000", HUB, "team/web", Some("5000"), None),
            // Digests.
            (&digest("nginx"), HUB, "library/nginx", None, d),
            (&digest("nginx:latest"), HUB, "library/nginx", Some("latest"), d),
            (&digest("nginx:1.29"), HUB, "library/nginx", Some("1.29"), d),
            (&digest("ghcr.io/team/web"), "ghcr.io", "team/web", None, d),
            (&digest("registry:5000/web"), "registry:5000", "web", None, d),
            (&digest("registry:5000/web:1"), "registry:5000", "web", Some("1"), d),
            (&digest("localhost/web"), "localhost", "web", None, d),
            (&digest("[::1]:5000/web:1"), "[::1]:5000", "web", Some("1"), d),
            (&digest("index.docker.io/web"), HUB, "library/web", None, d),
            (&sha512, HUB, "library/nginx", None, Some(SHA512)),
        ] {
            let image = ImageReference::parse(text).unwrap_or_else(|it| panic!("{text}: {it}"));
            assert_eq!(image.registry(), registry, "{text}");
            assert_eq!(image.repository(), repository, "{text}");
            assert_eq!((image.tag, image.digest), (tag, expected_digest), "{text}");
        }
    }

    #[test]
    fn only_an_unpinned_latest_floats() {
        let floats = |text: &str| ImageReference::parse(text).unwrap().floats_on_latest();
        assert!(floats("nginx"));
        assert!(floats("nginx:latest"));
        assert!(floats("registry:5000/nginx"));
        assert!(!floats("nginx:1.29"));
        assert!(!floats("registry:5000/nginx:1.2"));
        assert!(!floats("nginx:latest-alpine"));
        assert!(!floats(&format!("nginx@{DIGEST}")));
        assert!(!floats(&format!("nginx:latest@{DIGEST}")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in ".{0,80}") {
            if let Ok(image) = ImageReference::parse(&text) {
                let mut rebuilt = image.name.to_owned();
                if let Some(tag) = image.tag { rebuilt = format!("{rebuilt}:{tag}"); }
                if let Some(digest) = image.digest { rebuilt = format!("{rebuilt}@{digest}"); }
                proptest::prop_assert_eq!(rebuilt, text);
            }
        }
    }
}
