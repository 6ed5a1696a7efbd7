//! Nonces that prove that an API server called podgate: a replica sends a nonce through the API server, and the replica
//! that is called verifies it. Pure: times and names are parameters.
//!
//! The signing key is derived (HKDF, RFC 5869) from the private key of the serving certificate. All replicas have that
//! key already, so there is no further secret to make, guard or rotate, and whoever has it can impersonate podgate
//! anyway. The signing key changes with the certificate.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use ring::hmac;

/// The Lease whose dry-run writes carry the nonces, and whose `renewTime` is the time of the last successful beat.
pub const LEASE: &str = "podgate-alive";
/// The annotation that carries the nonce. It is sent in dry runs only, so it is never stored.
pub const ANNOTATION: &str = "devops.stochastic.io/beat";
/// The prefix of the warning that carries the echo.
const WARNING: &str = "podgate beat ";
/// How far the time in a nonce may differ from the receiver's clock.
pub const FRESH_MILLISECONDS: i64 = 30_000;
/// The longest name of a sender, in bytes.
const MAX_SENDER: usize = 64;

/// The key that signs nonces and echoes.
pub struct Key(hmac::Key);

impl Key {
    /// Derives the key from a private key in PEM.
    pub fn of(private_key: &str) -> Self {
        // HKDF-SHA256 of 32 bytes is one HMAC to extract and one to expand.
        let salt = hmac::Key::new(hmac::HMAC_SHA256, b"podgate");
        let extracted = hmac::sign(&salt, private_key.as_bytes());
        let extracted = hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref());
        let expanded = hmac::sign(&extracted, b"beat v1\x01");
        Self(hmac::Key::new(hmac::HMAC_SHA256, expanded.as_ref()))
    }

    /// Makes a nonce: `MILLISECONDS.SENDER.TAG`. No two nonces may have the same sender and time.
    pub fn nonce(&self, sender: &str, now: Timestamp) -> String {
        let signed = format!("{}.{sender}", now.as_millisecond());
        let tag = hex(hmac::sign(&self.0, tagged("nonce", &signed).as_bytes()).as_ref());
        format!("{signed}.{tag}")
    }

    /// Verifies a nonce, and returns its sender and time.
    ///
    /// # Errors
    /// The nonce is malformed, signed with another key, or too old or too new.
    pub fn verify(&self, nonce: &str, now: Timestamp) -> Result<Issued, NonceError> {
        let (signed, tag) = nonce.rsplit_once('.').ok_or(NonceError::Malformed)?;
        let (time, sender) = signed.split_once('.').ok_or(NonceError::Malformed)?;
        let named = (1..=MAX_SENDER).contains(&sender.len())
            && sender.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
        let time = time.parse::<i64>().ok().filter(|_| named).ok_or(NonceError::Malformed)?;
        let tag = unhex(tag).ok_or(NonceError::Malformed)?;
        hmac::verify(&self.0, tagged("nonce", signed).as_bytes(), &tag)
            .map_err(|_| NonceError::OtherKey)?;
        if now.as_millisecond().abs_diff(time) > FRESH_MILLISECONDS.unsigned_abs() {
            return Err(NonceError::OtherTime);
        }
        Ok(Issued { time, sender: sender.to_owned() })
    }

    /// The echo: the warning that answers a nonce. It is signed too, so that seeing the nonce is not enough to answer
    /// it.
    pub fn echo(&self, nonce: &str) -> String {
        let tag = hmac::sign(&self.0, tagged("echo", nonce).as_bytes());
        format!("{WARNING}{}", hex(tag.as_ref()))
    }

    /// Whether a text, such as the value of a `Warning` header, contains the echo of this nonce.
    pub fn is_echo(&self, nonce: &str, text: &str) -> bool {
        let tag = text.split_once(WARNING).map(|(_, rest)| rest);
        let tag =
            tag.and_then(|rest| unhex(rest.split(|it: char| !it.is_ascii_hexdigit()).next()?));
        tag.is_some_and(|tag| hmac::verify(&self.0, tagged("echo", nonce).as_bytes(), &tag).is_ok())
    }
}

/// The signed text. It begins with its purpose, so that the tag of a nonce is not valid as an echo.
fn tagged(what: &str, text: &str) -> String {
    format!("{what} {text}")
}

/// A valid nonce.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Issued {
    /// Milliseconds since 1970.
    pub time: i64,
    pub sender: String,
}

/// Why a nonce is not valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NonceError {
    #[error("it is none of podgate's")]
    Malformed,
    #[error("it was signed by another key, or changed")]
    OtherKey,
    #[error("it is older or newer than 30 s; compare the clocks of the nodes")]
    OtherTime,
}

/// The current key, which changes with the certificate. Clones share it.
#[derive(Clone, Default)]
pub struct SharedKey(Arc<ArcSwapOption<Key>>);

impl SharedKey {
    /// Derives the key from the private key of the certificate that is served from now on.
    pub fn derive_from(&self, private_key: &str) {
        self.0.store(Some(Arc::new(Key::of(private_key))));
    }

    /// The key; `None` before there is a certificate.
    pub fn key(&self) -> Option<Arc<Key>> {
        self.0.load_full()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a tag; `None` where the text is not 64 hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let right = text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let pairs = (0..text.len()).step_by(2);
    let bytes = || pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect();
    right.then(bytes).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_nonce_is_known_again_by_every_replica_that_serves_by_the_same_certificate() {
        let nonce = Key::of("a private key").nonce("0a1b-1", at(0));
        let issued = Key::of("a private key").verify(&nonce, at(1)).unwrap();
        assert_eq!((issued.time, &*issued.sender), (1_800_000_000_000, "0a1b-1"));
        assert_eq!(Key::of("another").verify(&nonce, at(1)), Err(NonceError::OtherKey));
    }

    #[test]
    fn a_nonce_has_its_time_in_both_directions() {
        let key = Key::of("k");
        let nonce = key.nonce("a", at(0));
        for (seconds, fresh) in [(-31, false), (-30, true), (0, true), (30, true), (31, false)] {
            assert_eq!(key.verify(&nonce, at(seconds)).is_ok(), fresh, "{seconds}");
        }
        assert_eq!(key.verify(&nonce, at(3600)), Err(NonceError::OtherTime));
    }

    #[test]
    fn what_is_no_nonce_is_refused_whatever_its_length() {
        let key = Key::of("k");
        let good = key.nonce("a", at(0));
        let tag = good.rsplit_once('.').unwrap().1;
        let long = "a".repeat(MAX_SENDER + 1);
        for bad in [
            String::new(),
            ".".repeat(1_000_000),
            "9".repeat(1_000_000),
            format!("1.{long}.{tag}"),
            format!("1..{tag}"),
            format!("1.a/b.{tag}"),
            format!("99999999999999999999.a.{tag}"),
            format!("1.a.{}é", &tag[..62]),
            good[..good.len() - 1].to_owned(),
        ] {
            assert_eq!(key.verify(&bad, at(0)), Err(NonceError::Malformed), "{bad:.40}");
        }
        assert_eq!(
            key.verify(&format!("{}0.a.{tag}", at(0).as_millisecond()), at(0)),
            Err(NonceError::OtherKey)
        );
    }

    #[test]
    fn an_echo_is_of_its_nonce_and_nobody_makes_one_from_the_nonce_alone() {
        let key = Key::of("k");
        let (nonce, other) = (key.nonce("a", at(0)), key.nonce("a", at(1)));
        let header = format!("299 - \"{}\"", key.echo(&nonce));
        assert!(key.is_echo(&nonce, &header));
        assert!(!key.is_echo(&other, &header));
        assert!(!Key::of("another").is_echo(&nonce, &header));
        let tag = nonce.rsplit_once('.').unwrap().1;
        assert!(!key.is_echo(&nonce, &format!("299 - \"{WARNING}{tag}\"")));
        assert!(!key.is_echo(&nonce, &nonce) && !key.is_echo(&nonce, ""));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_ends_the_process(text in "\\PC{0,200}") {
            let key = Key::of("k");
            prop_assert!(key.verify(&text, at(0)).is_err());
            prop_assert!(!key.is_echo("n", &text));
        }
    }
}
