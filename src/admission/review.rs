//! Decodes AdmissionReview v1. Pure.
//!
//! A body that no API server sends is a [`BadReview`], which becomes an HTTP error, so that the API server applies the
//! configuration's `failurePolicy`: podgate neither admits nor denies what it cannot decode. Everything that an API
//! server may send is judged, however large or unusual it is.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json;
use crate::policy::object::{Object, Text, from_objects_only};
use crate::policy::subject::Subject;
use crate::policy::text;
use crate::policy::workload::{Kind, UnknownVersion};

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const REVIEW_KIND: &str = "AdmissionReview";

from_objects_only!(Review<'a>, Request<'a>, GroupVersionKind<'a>, UserInfo<'a>, Options<'a>);

/// The most bytes of a fault, and of its path, in an error.
const MAX_PATH: usize = 300;

/// The fields of an AdmissionReview that podgate reads.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
struct Review<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub uid: Text<'a>,
    #[serde(borrow)]
    pub kind: GroupVersionKind<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    operation: Text<'a>,
    #[serde(borrow)]
    pub sub_resource: Text<'a>,
    #[serde(borrow)]
    options: Option<Options<'a>>,
    pub dry_run: Option<bool>,
    #[serde(borrow)]
    pub user_info: UserInfo<'a>,
    #[serde(borrow)]
    object: Option<Box<Object<'a>>>,
    #[serde(borrow)]
    pub old_object: Option<Box<Object<'a>>>,
}

/// The user who sent the request to the API server.
#[derive(Default, Deserialize)]
#[serde(default, remote = "Self")]
pub(super) struct UserInfo<'a> {
    #[serde(borrow)]
    pub username: Text<'a>,
}

/// The options of the request.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
struct Options<'a> {
    #[serde(borrow)]
    field_manager: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, remote = "Self")]
pub(super) struct GroupVersionKind<'a> {
    #[serde(borrow)]
    pub group: Text<'a>,
    #[serde(borrow)]
    pub version: Text<'a>,
    #[serde(borrow)]
    pub kind: Text<'a>,
}

/// Why a review cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum BadReview {
    #[error("the body is empty; send an AdmissionReview")]
    Empty,
    #[error("the body is not UTF-8 (byte {0} on)")]
    NotUtf8(usize),
    /// `path` is the field, and `found` the fault. Both are bounded, and hold no value of the body.
    #[error("the body is not an AdmissionReview: {path}: {found}")]
    Malformed { path: String, found: String },
    #[error(
        "the body is no {REVIEW_KIND} of {API_VERSION}: its kind is \"{kind}\", its apiVersion \"{api_version}\""
    )]
    NotAReview { api_version: String, kind: String },
    #[error("request is missing")]
    NoRequest,
    #[error("request.uid is missing, so no answer could be matched to it")]
    NoUid,
    #[error("request.kind.kind is missing")]
    NoKind,
    #[error("request.operation is \"{0}\"; podgate judges CREATE and UPDATE")]
    Operation(String),
    #[error("request.{0} is missing")]
    NoObject(&'static str),
    #[error("request.kind is {expected}, but request.{field} is {found}")]
    OtherKind { field: &'static str, expected: String, found: String },
    #[error("{0}; with matchPolicy: Equivalent in the webhook, the API server converts it")]
    UnknownVersion(#[from] UnknownVersion),
    #[error(
        "a policy selects namespaces by labels, and those of request.namespace are not known yet"
    )]
    UnknownNamespace(String),
}

impl BadReview {
    /// A short stable name for logs, which must not repeat text of a body.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::NotUtf8(_) => "NotUtf8",
            Self::Malformed { .. } => "Malformed",
            Self::NotAReview { .. } => "NotAReview",
            Self::NoRequest => "NoRequest",
            Self::NoUid => "NoUid",
            Self::NoKind => "NoKind",
            Self::Operation(_) => "Operation",
            Self::NoObject(_) => "NoObject",
            Self::OtherKind { .. } => "OtherKind",
            Self::UnknownVersion(_) => "UnknownVersion",
            Self::UnknownNamespace(_) => "UnknownNamespace",
        }
    }

    pub(super) fn unknown_namespace(namespace: Option<&str>) -> Self {
        Self::UnknownNamespace(namespace.unwrap_or_default().to_owned())
    }
}

/// The operation of a review, as metrics label it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    Create,
    Update,
    Other,
}

impl Operation {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Other => "other",
        }
    }
}

impl<'a> Request<'a> {
    pub fn operation(&self) -> Result<Operation, BadReview> {
        match &*self.operation {
            "CREATE" => Ok(Operation::Create),
            "UPDATE" => Ok(Operation::Update),
            "DELETE" | "CONNECT" => Ok(Operation::Other),
            other => Err(BadReview::Operation(text::clip(other))),
        }
    }

    pub fn kind(&self) -> Result<Option<Kind>, BadReview> {
        Ok(Kind::find(&self.kind.group, &self.kind.version, &self.kind.kind)?)
    }

    /// Whether `kubectl create` sent it.
    pub fn is_by_kubectl_create(&self) -> bool {
        self.options.as_ref().is_some_and(|it| &*it.field_manager == "kubectl-create")
    }

    /// The new pod or template, with the namespace that it has or will have.
    pub fn subject(&'a self, kind: Kind) -> Result<Subject<'a>, BadReview> {
        let mut subject = pod_in("object", kind, self.object.as_deref())?;
        let own = subject.metadata.map_or("", |metadata| &metadata.namespace);
        let given = [&self.namespace, own].into_iter().find(|namespace| !namespace.is_empty());
        subject.namespace = given;
        Ok(subject)
    }
}

/// A review's objects as JSON; `None` for one that is absent, or too large or too deep to be read whole.
pub(super) struct ReviewObjects {
    pub object: Option<Value>,
    pub old_object: Option<Value>,
}

/// Decodes the objects once more, whole: for the few reviews that need more than the typed view; see [`json::whole`].
pub(super) fn whole_objects(body: &[u8]) -> ReviewObjects {
    #[derive(Default, Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Raw<'a>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Raw<'a> {
        #[serde(borrow)]
        object: Option<&'a RawValue>,
        #[serde(borrow)]
        old_object: Option<&'a RawValue>,
    }
    let Raw { object, old_object } =
        serde_json::from_slice::<Review<'_>>(body).unwrap_or_default().request;
    let whole = |raw: &RawValue| json::whole(raw.get());
    ReviewObjects { object: object.and_then(whole), old_object: old_object.and_then(whole) }
}

pub(super) fn decode(body: &[u8]) -> Result<Request<'_>, BadReview> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(BadReview::Empty);
    }
    let json =
        std::str::from_utf8(body).map_err(|error| BadReview::NotUtf8(error.valid_up_to()))?;
    let review: Review<'_> = json::from_str(json).map_err(|_| malformed(json))?;
    if &*review.api_version != API_VERSION || &*review.kind != REVIEW_KIND {
        return Err(BadReview::NotAReview {
            api_version: text::clip(&review.api_version),
            kind: text::clip(&review.kind),
        });
    }
    let request = review.request.ok_or(BadReview::NoRequest)?;
    if request.uid.is_empty() {
        return Err(BadReview::NoUid);
    }
    if request.kind.kind.is_empty() {
        return Err(BadReview::NoKind);
    }
    Ok(request)
}

/// The largest malformed body in which the field at fault is searched: the search takes memory several times the body's
/// size.
const MAX_EXPLAINED: usize = 1024 * 1024;

/// Finds the field at fault in a malformed body.
fn malformed(json: &str) -> BadReview {
    if json.len() > MAX_EXPLAINED {
        return BadReview::Malformed {
            path: ".".to_owned(),
            found: format!("the fault is not searched in more than {MAX_EXPLAINED} bytes"),
        };
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, Review<'_>>(&mut reader) {
        Err(error) => BadReview::Malformed {
            path: text::brief(error.path().to_string(), MAX_PATH),
            found: fault(&error.into_inner().to_string()),
        },
        // The review itself can be decoded, so the fault is text after it.
        Ok(_) => BadReview::Malformed {
            path: ".".to_owned(),
            found: "something follows the AdmissionReview".to_owned(),
        },
    }
}

/// The fault without the string that was found: API servers log the error, and the string may be a secret, of any
/// length.
fn fault(error: &str) -> String {
    let (start, rest) = error.split_once(": string \"").unwrap_or((error, ""));
    let found = match rest.rsplit_once("\", expected ") {
        Some((_, expected)) => format!("{start}: a string, expected {expected}"),
        None => error.to_owned(),
    };
    text::brief(found, MAX_PATH)
}

/// The pod or template in one of a review's objects, which must have the kind that the request names.
pub(super) fn pod_in<'a>(
    field: &'static str,
    kind: Kind,
    object: Option<&'a Object<'a>>,
) -> Result<Subject<'a>, BadReview> {
    let object = object.ok_or(BadReview::NoObject(field))?;
    let expected = kind.names();
    let api_version = expected.api_version();
    let differs = |found: &str, expected: &str| !found.is_empty() && found != expected;
    if differs(&object.kind, expected.kind) || differs(&object.api_version, &api_version) {
        return Err(BadReview::OtherKind {
            field,
            expected: format!("{api_version} {}", expected.kind),
            found: text::clip(&format!("{} {}", &*object.api_version, &*object.kind)),
        });
    }
    // An object without a pod spec counts as empty: the API server itself refuses a pod without containers.
    Ok(Subject::or_empty(kind, object))
}
