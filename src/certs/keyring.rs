//! The Secret's content, and the next step of certificate rotation. Pure: [`Keyring::step`] decides, and the keeper
//! writes.
//!
//! A leaf is renewed by the same CA after two thirds of its lifetime. A CA is replaced after two thirds of its own, in
//! three steps, so that no API server ever meets a leaf that it does not trust: the next CA is published in `caBundle`
//! beside the current one; when every webhook configuration has had both for a while, the next CA signs the leaf; and
//! the earlier CA stays in `caBundle` until it expires.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use time::{Duration, OffsetDateTime};

use super::authority::{self, Pair};
use super::trust::{self, Validity};

/// The keys of a Kubernetes TLS Secret, and those that podgate adds.
pub(super) const LEAF: &str = "tls.crt";
pub(super) const LEAF_KEY: &str = "tls.key";
/// The CA that signs the leaf, followed by the earlier CAs that have not expired.
pub(super) const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT_CA: &str = "next-ca.crt";
const NEXT_CA_KEY: &str = "next-ca.key";
/// How long, at most, a CA stands in `caBundle` before it signs: the time until all API servers have seen it.
const PUBLISHED: Duration = Duration::seconds(10);

/// How long the certificates that podgate makes are valid.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub ca: Duration,
    pub leaf: Duration,
}

/// The leaf and the CAs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Keyring {
    pub leaf: Pair,
    signer: Pair,
    next: Option<Pair>,
    /// The certificates of the CAs that signed before, in PEM.
    earlier: Vec<String>,
}

/// The next step of the rotation.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum RotationStep {
    /// Nothing is due before this time.
    Keep(OffsetDateTime),
    /// The next CA waits until all configurations have had it for a while.
    AwaitTrust,
    /// Write this keyring, for the reason that is logged.
    Write { keyring: Box<Keyring>, reason: &'static str },
}

impl Keyring {
    /// A new CA and a leaf.
    pub fn new(
        names: &[String],
        lifetimes: Lifetimes,
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        let signer = authority::authority(now, lifetimes.ca)?;
        let leaf = signed(&signer, names, lifetimes, now)?;
        Ok(Self { leaf, signer, next: None, earlier: Vec::new() })
    }

    /// Reads the Secret's data.
    ///
    /// # Errors
    /// The key that is missing, or that cannot be used now and for this server name.
    pub fn read(
        data: &BTreeMap<String, ByteString>,
        server_name: &str,
        now: OffsetDateTime,
    ) -> Result<Self, String> {
        let text = |key: &str| text(data, key);
        let required = |key: &str| text(key)?.ok_or_else(|| format!("it has no {key}"));
        let cas = trust::split(&required(CA)?).map_err(|why| format!("{CA} {why}"))?;
        let mut cas = cas.into_iter();
        let certificate = cas.next().ok_or_else(|| format!("{CA} is empty"))?;
        let signer = Pair { certificate, key: required(CA_KEY)? };
        let next = match (text(NEXT_CA)?, text(NEXT_CA_KEY)?) {
            (Some(certificate), Some(key)) => Some(Pair { certificate, key }),
            _ => None,
        };
        let leaf = Pair { certificate: required(LEAF)?, key: required(LEAF_KEY)? };
        for (pair, what) in [Some((&signer, CA_KEY)), next.as_ref().map(|it| (it, NEXT_CA_KEY))]
            .into_iter()
            .flatten()
        {
            trust::check_key(pair).map_err(|why| format!("{what} {why}"))?;
        }
        let keyring = Self { leaf, signer, next, earlier: cas.collect() };
        trust::verify(&keyring.bundle(), &keyring.leaf.certificate, server_name, now)
            .map_err(|why| format!("{LEAF} is not trusted by {CA}: {why}"))?;
        super::certified_key(&keyring.leaf.certificate, &keyring.leaf.key)
            .map_err(|error| error.to_string())?;
        Ok(keyring)
    }

    /// The Secret's data.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let ca = [&self.signer.certificate].into_iter().chain(&self.earlier);
        let ca = ca.map(String::as_str).collect::<String>();
        let mut texts = vec![
            (LEAF, &self.leaf.certificate),
            (LEAF_KEY, &self.leaf.key),
            (CA, &ca),
            (CA_KEY, &self.signer.key),
        ];
        if let Some(next) = &self.next {
            texts.extend([(NEXT_CA, &next.certificate), (NEXT_CA_KEY, &next.key)]);
        }
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        texts.into_iter().map(|(key, text)| (key.to_owned(), bytes(text))).collect()
    }

    /// The `caBundle`, in PEM.
    pub fn bundle(&self) -> String {
        let next = self.next.iter().map(|it| &it.certificate);
        let all = [&self.signer.certificate].into_iter().chain(next).chain(&self.earlier);
        all.map(String::as_str).collect()
    }

    /// The step that is due now. `trusted` is for how long every configuration has had the whole [`Self::bundle`].
    pub fn step(
        &self,
        names: &[String],
        lifetimes: Lifetimes,
        trusted: Option<Duration>,
        now: OffsetDateTime,
    ) -> Result<RotationStep, rcgen::Error> {
        let write =
            |keyring, reason| Ok(RotationStep::Write { keyring: Box::new(keyring), reason });
        if let Some(next) = &self.next
            && trusted.is_some_and(|trusted| trusted >= PUBLISHED.min(lifetimes.leaf / 6))
        {
            let earlier = [&self.signer.certificate].into_iter().chain(&self.earlier);
            let earlier = earlier.filter(|it| !trust::expired(it, now)).cloned().collect();
            let leaf = signed(next, names, lifetimes, now)?;
            let keyring = Self { leaf, signer: next.clone(), next: None, earlier };
            return write(keyring, "another authority signs");
        }
        let leaf_due = renewal(&self.leaf.certificate);
        if leaf_due.is_none_or(|due| due <= now) {
            let leaf = signed(&self.signer, names, lifetimes, now)?;
            return write(Self { leaf, ..self.clone() }, "the leaf is renewed");
        }
        let signer_due = renewal(&self.signer.certificate);
        if self.next.is_none() && signer_due.is_none_or(|due| due <= now) {
            let next = Some(authority::authority(now, lifetimes.ca)?);
            return write(Self { next, ..self.clone() }, "another authority is published");
        }
        if self.earlier.iter().any(|it| trust::expired(it, now)) {
            let earlier = self.earlier.iter().filter(|it| !trust::expired(it, now));
            let earlier = earlier.cloned().collect();
            return write(Self { earlier, ..self.clone() }, "an expired authority is removed");
        }
        if self.next.is_some() {
            return Ok(RotationStep::AwaitTrust);
        }
        let ends = self.earlier.iter().filter_map(|it| Some(Validity::of(it)?.end));
        let times = ends.chain(leaf_due).chain(signer_due);
        Ok(RotationStep::Keep(times.min().unwrap_or(now)))
    }
}

/// The text of one key of a Secret; `None` where it is missing or empty.
pub(super) fn text(
    data: &BTreeMap<String, ByteString>,
    key: &str,
) -> Result<Option<String>, String> {
    let Some(bytes) = data.get(key).filter(|it| !it.0.is_empty()) else { return Ok(None) };
    String::from_utf8(bytes.0.clone()).map(Some).map_err(|_| format!("{key} is no text"))
}

/// A leaf that expires with its CA at the latest.
fn signed(
    signer: &Pair,
    names: &[String],
    lifetimes: Lifetimes,
    now: OffsetDateTime,
) -> Result<Pair, rcgen::Error> {
    let end = Validity::of(&signer.certificate).map(|it| it.end);
    let until = (now + lifetimes.leaf).min(end.unwrap_or(now));
    authority::leaf(signer, names, now, until)
}

/// When two thirds of a certificate's lifetime are over, counted from when it was made: `notBefore` is earlier.
fn renewal(certificate: &str) -> Option<OffsetDateTime> {
    let Validity { begin, end } = Validity::of(certificate)?;
    let made = begin + authority::BACKDATED;
    Some(made + (end - made) * 2 / 3)
}

#[cfg(test)]
mod tests;
