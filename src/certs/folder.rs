//! Certificates in a folder: `tls.crt`, `tls.key` and `ca.crt`, as in a Kubernetes TLS Secret and in cert-manager's.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::{Identity, authority};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const CA: &str = "ca.crt";

/// Why a folder holds no identity that can be served.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "cannot write {path}: {source}; name a folder podgate may write to, or put {CERTIFICATE} and {KEY} there"
    )]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "{dir} has {present} but no {absent}; add it, or remove {present} to have new ones made"
    )]
    Half { dir: PathBuf, present: &'static str, absent: &'static str },
    #[error("{path} is no certificate that can be read")]
    Unreadable { path: PathBuf },
    #[error(
        "{path} expired on {on}; replace it, or remove {CERTIFICATE}, {KEY} and {CA} to have new ones made"
    )]
    Expired { path: PathBuf, on: String },
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Reads the identity in a folder; if the folder has none, makes one there for these DNS names and addresses.
///
/// # Errors
/// The file at fault, and the next step. An existing certificate or key is never overwritten.
pub fn load_or_create(
    dir: &Path,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Identity, FolderError> {
    let identity = match (read(dir, CERTIFICATE)?, read(dir, KEY)?) {
        (Some(certificate), Some(key)) => Identity { certificate, key, ca: read(dir, CA)? },
        (None, None) => create(dir, names, now)?,
        (Some(_), None) => return Err(half(dir, CERTIFICATE, KEY)),
        (None, Some(_)) => return Err(half(dir, KEY, CERTIFICATE)),
    };
    check_dates(&dir.join(CERTIFICATE), &identity.certificate, now)?;
    Ok(identity)
}

fn half(dir: &Path, present: &'static str, absent: &'static str) -> FolderError {
    FolderError::Half { dir: dir.to_owned(), present, absent }
}

fn read(dir: &Path, name: &str) -> Result<Option<String>, FolderError> {
    let path = dir.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::Read { path, source }),
    }
}

fn create(dir: &Path, names: &[String], now: OffsetDateTime) -> Result<Identity, FolderError> {
    let identity = authority::self_signed(names, now)?;
    fs::create_dir_all(dir)
        .map_err(|source| FolderError::Write { path: dir.to_owned(), source })?;
    let files = [
        (KEY, Some(&identity.key), 0o600),
        (CERTIFICATE, Some(&identity.certificate), 0o644),
        (CA, identity.ca.as_ref(), 0o644),
    ];
    for (name, text, mode) in files {
        let path = dir.join(name);
        let Some(text) = text else { continue };
        write(&path, text, mode).map_err(|source| FolderError::Write { path, source })?;
    }
    Ok(identity)
}

#[cfg_attr(not(unix), allow(unused_variables))]
fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    // A CA without its leaf and key is useless, so it may be replaced.
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    options.open(path)?.write_all(text.as_bytes())
}

fn check_dates(path: &Path, certificate: &str, now: OffsetDateTime) -> Result<(), FolderError> {
    let unreadable = || FolderError::Unreadable { path: path.to_owned() };
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(certificate.as_bytes()).map_err(|_| unreadable())?;
    let leaf = pem.parse_x509().map_err(|_| unreadable())?;
    let end = leaf.validity().not_after;
    if end.timestamp() < now.unix_timestamp() {
        return Err(FolderError::Expired { path: path.to_owned(), on: end.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn load(dir: &Path, now: OffsetDateTime) -> Result<Identity, FolderError> {
        load_or_create(dir, &["localhost".to_owned()], now)
    }

    #[test]
    fn an_empty_folder_gets_certificates_that_the_next_start_finds() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        let made = load(&dir, now()).unwrap();
        crate::certs::certified_key(&made.certificate, &made.key).unwrap();
        let found = load(&dir, now()).unwrap();
        assert_eq!((made.certificate, made.key, made.ca), (found.certificate, found.key, found.ca));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let permissions = fs::metadata(dir.join(KEY)).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o077, 0, "others may read the key");
        }
    }

    #[test]
    fn half_an_identity_is_an_error_that_names_the_other_half() {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), now()).unwrap();
        fs::remove_file(dir.path().join(KEY)).unwrap();
        let error = load(dir.path(), now()).err().unwrap().to_string();
        assert!(error.contains("has tls.crt but no tls.key"), "{error}");
    }

    #[test]
    fn an_expired_certificate_is_an_error_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let made = load(dir.path(), now()).unwrap();
        let error = load(dir.path(), now() + time::Duration::days(366)).err().unwrap().to_string();
        assert!(error.contains("tls.crt expired on"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join(CERTIFICATE)).unwrap(), made.certificate);
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CERTIFICATE), "hello").unwrap();
        fs::write(dir.path().join(KEY), "hello").unwrap();
        let error = load(dir.path(), now()).err().unwrap().to_string();
        assert!(error.contains("tls.crt is no certificate"), "{error}");
    }
}
