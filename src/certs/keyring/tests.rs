use super::*;

const NAME: &str = "podgate.podgate-system.svc";
const LIFETIMES: Lifetimes = Lifetimes { ca: Duration::seconds(60), leaf: Duration::seconds(20) };

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn names() -> Vec<String> {
    vec![NAME.to_owned()]
}

fn new() -> Keyring {
    Keyring::new(&names(), LIFETIMES, start()).unwrap()
}

fn step(keyring: &Keyring, trusted: Option<i64>, at: i64) -> RotationStep {
    let trusted = trusted.map(Duration::seconds);
    keyring.step(&names(), LIFETIMES, trusted, start() + Duration::seconds(at)).unwrap()
}

fn written(step: RotationStep) -> Keyring {
    let RotationStep::Write { keyring, .. } = step else { panic!("{step:?}") };
    *keyring
}

#[test]
fn what_is_written_to_a_secret_is_read_from_it() {
    let keyring = new();
    assert_eq!(Keyring::read(&keyring.data(), NAME, start()).unwrap(), keyring);
    let published = written(step(&Keyring { leaf: fresh(&keyring, 40), ..keyring }, None, 40));
    assert!(published.next.is_some());
    let later = start() + Duration::seconds(41);
    assert_eq!(Keyring::read(&published.data(), NAME, later).unwrap(), published);
}

/// A leaf of the keyring's that is made at that time.
fn fresh(keyring: &Keyring, at: i64) -> Pair {
    signed(&keyring.signer, &names(), LIFETIMES, start() + Duration::seconds(at)).unwrap()
}

#[test]
fn a_leaf_is_renewed_after_two_thirds_of_its_life_by_the_same_authority() {
    let keyring = new();
    let due = start() + Duration::seconds(13);
    assert!(
        matches!(step(&keyring, None, 12), RotationStep::Keep(until) if until - due < Duration::SECOND)
    );
    let renewed = written(step(&keyring, None, 14));
    assert_ne!(renewed.leaf, keyring.leaf);
    assert_eq!(renewed.bundle(), keyring.bundle());
}

#[test]
fn an_authority_signs_only_after_it_was_trusted_for_a_while_and_the_earlier_one_stays_until_it_ends()
 {
    let old = Keyring { leaf: fresh(&new(), 40), ..new() };
    let old = Keyring { leaf: fresh(&old, 40), ..old };
    let published = written(step(&old, Some(100), 40));
    assert_eq!(published.leaf, old.leaf, "the leaf stays the old one's");
    assert!(published.bundle().starts_with(&old.bundle()) && published.bundle() != old.bundle());
    // Neither while no configuration has it, nor at once.
    assert_eq!(step(&published, None, 41), RotationStep::AwaitTrust);
    assert_eq!(step(&published, Some(3), 41), RotationStep::AwaitTrust);
    let switched = written(step(&published, Some(4), 44));
    assert_ne!(switched.leaf, old.leaf);
    let set = |bundle: &str| -> std::collections::BTreeSet<_> {
        trust::split(bundle).unwrap().into_iter().collect()
    };
    assert_eq!(set(&switched.bundle()), set(&published.bundle()), "nobody is distrusted yet");
    let at = |seconds| start() + Duration::seconds(seconds);
    for bundle in [published.bundle(), switched.bundle()] {
        for leaf in [&old.leaf, &switched.leaf] {
            trust::verify(&bundle, &leaf.certificate, NAME, at(45)).unwrap();
        }
    }
    assert!(trust::verify(&old.bundle(), &switched.leaf.certificate, NAME, at(45)).is_err());
    let renewed = written(step(&switched, None, 58));
    let pruned = written(step(&renewed, None, 61));
    assert_eq!(trust::split(&pruned.bundle()).unwrap().len(), 1);
}

#[test]
fn a_leaf_is_renewed_also_while_an_authority_waits_to_be_trusted() {
    let old = Keyring { leaf: fresh(&new(), 30), ..new() };
    let published = written(step(&Keyring { leaf: fresh(&old, 40), ..old }, None, 41));
    let renewed = written(step(&published, None, 54));
    assert_ne!(renewed.leaf, published.leaf);
    assert_eq!(renewed.next, published.next);
}

#[test]
fn what_cannot_be_used_is_named() {
    let keyring = new();
    let with = |key: &str, text: &str| {
        let mut data = keyring.data();
        data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
        Keyring::read(&data, NAME, start()).unwrap_err()
    };
    let other = new();
    let text = |it: &Keyring, key: &str| super::text(&it.data(), key).unwrap().unwrap();
    for (error, expected) in [
        (Keyring::read(&BTreeMap::new(), NAME, start()).unwrap_err(), "it has no ca.crt"),
        (with(LEAF, "hello"), "tls.crt is not trusted by ca.crt: there is no certificate"),
        (with(LEAF, ""), "it has no tls.crt"),
        (with(LEAF, &text(&other, LEAF)), "tls.crt is not trusted by ca.crt: "),
        (with(LEAF_KEY, &text(&other, LEAF_KEY)), "the certificate and the key do not go together"),
        (with(CA, "hello"), "ca.crt holds no certificate in PEM"),
        (with(CA_KEY, &text(&other, CA_KEY)), "ca.key is not the key of its certificate"),
        (with(CA_KEY, "hello"), "ca.key is no private key"),
        (
            Keyring::read(&keyring.data(), "other.podgate-system.svc", start()).unwrap_err(),
            "tls.crt is not trusted by ca.crt: ",
        ),
        (
            Keyring::read(&keyring.data(), NAME, start() + Duration::seconds(21)).unwrap_err(),
            "tls.crt is not trusted by ca.crt: ",
        ),
    ] {
        assert!(error.starts_with(expected), "{error}");
    }
    let bytes = BTreeMap::from([(CA.to_owned(), ByteString(vec![0xff]))]);
    assert_eq!(Keyring::read(&bytes, NAME, start()).unwrap_err(), "ca.crt is no text");
}
