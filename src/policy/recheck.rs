//! The commands that judge an object again before it is pushed: a denial names them.

use std::fmt;

/// The longest name of a namespace (an RFC 1123 label).
const MAX_NAMESPACE: usize = 63;

/// What the commands depend on.
#[derive(Clone, Copy, Debug)]
pub struct Recheck<'a> {
    pub namespace: Option<&'a str>,
    /// The verb that sends the object of a file again; `None` if none would send the same request.
    pub kubectl: Option<KubectlVerb>,
    /// How `podgate scan` judges it; `None` if it does not judge the kind.
    pub scan: Option<ScanAs>,
    /// Whether the policies are objects of the cluster, else of files.
    pub live: bool,
}

/// How kubectl sends an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KubectlVerb {
    Apply,
    /// Where the API server makes the name, or the user may have no other right.
    Create,
}

/// Whose object it is (`--as`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScanAs {
    User,
    Controller,
}

impl fmt::Display for Recheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, kubectl, scan, live } = *self;
        let namespace = namespace.filter(|it| is_name(it)).map(|it| format!(" -n {it}"));
        let namespace = namespace.unwrap_or_default();
        if let Some(verb) = kubectl {
            let verb = match verb {
                KubectlVerb::Apply => "apply",
                KubectlVerb::Create => "create",
            };
            write!(f, "kubectl {verb} --dry-run=server -f FILE{namespace}")?;
        }
        let Some(scan) = scan else { return Ok(()) };
        let between = if kubectl.is_some() { " · " } else { "" };
        let policies = if live { "--live" } else { "--policy POLICY" };
        write!(f, "{between}podgate scan FILE {policies} --fail-on denied{namespace}")?;
        f.write_str(match scan {
            ScanAs::User => "",
            ScanAs::Controller => " --as controller",
        })
    }
}

/// Whether a shell takes it as one plain word, as it does the name of every namespace.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= MAX_NAMESPACE && text.bytes().all(plain) && !text.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_only_where_it_judges_the_same_object_by_the_same_policies() {
        let denied = Recheck {
            namespace: Some("shop"),
            kubectl: Some(KubectlVerb::Apply),
            scan: Some(ScanAs::User),
            live: true,
        };
        let pod = Recheck { kubectl: None, scan: Some(ScanAs::Controller), ..denied };
        let revision = Recheck { kubectl: Some(KubectlVerb::Create), scan: None, ..denied };
        let of_files = Recheck { namespace: None, live: false, ..denied };
        let all = [denied, pod, revision, of_files].map(|it| it.to_string());
        insta::assert_snapshot!(all.join("\n"), @"
        kubectl apply --dry-run=server -f FILE -n shop · podgate scan FILE --live --fail-on denied -n shop
        podgate scan FILE --live --fail-on denied -n shop --as controller
        kubectl create --dry-run=server -f FILE -n shop
        kubectl apply --dry-run=server -f FILE · podgate scan FILE --policy POLICY --fail-on denied
        ");
        for odd in ["a b", "$(id)", "-A", "Shop", &"a".repeat(64)] {
            let denied = Recheck { namespace: Some(odd), ..denied };
            assert!(!denied.to_string().contains("-n"), "{denied}");
        }
    }
}
