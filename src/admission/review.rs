//! AdmissionReview v1: bytes to a request that can be judged, and its verdict. Pure.
//!
//! Whatever cannot be judged is an error ([`BadReview`]), answered with an HTTP
//! status, so that the configuration's `failurePolicy` decides: podgate neither
//! admits nor denies what it does not understand.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{answer, json, policy_object};
use crate::api;
use crate::policy::decision::{Before, Outcome, decide};
use crate::policy::document::Document;
use crate::policy::engine::{Finding, judge, judge_as_created};
use crate::policy::message;
use crate::policy::object::{Object, Text, from_objects_only};
use crate::policy::policy_set::{Plan, PolicySet};
use crate::policy::text;
use crate::policy::workload::{Kind, NoPod, Subject, UnknownVersion};

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const REVIEW_KIND: &str = "AdmissionReview";

from_objects_only!(Review<'a>, Request<'a>, GroupVersionKind<'a>);

/// The most bytes that are told of a fault, and of where it is.
const MAX_PATH: usize = 300;

/// The parts of an AdmissionReview that decide something.
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
    dry_run: Option<bool>,
    #[serde(borrow)]
    object: Option<Object<'a>>,
    #[serde(borrow)]
    old_object: Option<Object<'a>>,
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
    /// `found` is bounded, and holds no value of the body: what is wrong with it and where.
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
    #[error("request.{field}: {source}")]
    NoPod { field: &'static str, source: NoPod },
    #[error(
        "a policy selects namespaces by labels, and those of request.namespace are not known yet"
    )]
    UnknownNamespace,
}

impl BadReview {
    /// A short stable name, for logs: they must not repeat what was in a body.
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
            Self::NoPod { .. } => "NoPod",
            Self::UnknownNamespace => "UnknownNamespace",
        }
    }
}

/// A review that was judged: the answer, and what metrics and logs say of it.
pub struct Judged {
    /// The AdmissionReview to send back, as JSON.
    pub answer: Vec<u8>,
    /// What it comes to, as metrics label it.
    pub decision: &'static str,
    /// `None` is a kind that podgate has nothing to say of.
    pub kind: Option<Kind>,
    pub operation: Operation,
    /// How many operations the answer's patch has.
    pub patch_operations: usize,
    /// The denied object and its violations, for the log line; empty unless denied.
    pub denial: Option<Denial>,
}

/// What a log line says of a denial. Names only: never the object.
pub struct Denial {
    pub object: String,
    pub dry_run: bool,
    pub policies: String,
    /// Each violation's rule, with its check where the rule has several.
    pub rules: Vec<Cow<'static, str>>,
    /// The rule, from the catalogue's closed list, and severity of each violation.
    pub violations: Vec<(&'static str, &'static str)>,
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

impl Judged {
    /// What podgate has nothing to say of, or nothing to change in.
    pub(super) fn allowed(request: &Request<'_>, kind: Option<Kind>, operation: Operation) -> Self {
        let (answer, decision) = (answer::allowed(&request.uid), Outcome::Allow.as_str());
        Self { answer, decision, kind, operation, patch_operations: 0, denial: None }
    }
}

/// By what reviews are judged.
#[derive(Clone, Copy)]
pub struct Reviewer<'p> {
    pub policies: &'p PolicySet,
    /// The admin's own page, with which denials end.
    pub docs_url: Option<&'p str>,
    /// Whether to judge by rules that read whole documents too; they may take long.
    pub documents: bool,
    pub now: Timestamp,
}

impl Reviewer<'_> {
    /// Judges one AdmissionReview: what `/validate` answers. `None` where its policies read documents, and that is not
    /// wanted.
    ///
    /// # Errors
    /// The body is no review that podgate can judge; see [`BadReview`].
    pub fn validate(&self, body: &[u8]) -> Result<Option<Judged>, BadReview> {
        let request = decode(body)?;
        let (operation, kind) = (request.operation()?, request.kind()?);
        let changes = matches!(operation, Operation::Create | Operation::Update);
        if changes && kind.is_none() && &*request.kind.group == api::GROUP {
            return Ok(Some(policy_object::judge(&request, operation, body)));
        }
        let Some(kind) = kind.filter(|_| changes) else {
            return Ok(Some(Judged::allowed(&request, kind, operation)));
        };
        let subject = request.subject(kind)?;
        let plan = self.policies.covering(subject.namespace);
        let plan = plan.map_err(|_| BadReview::UnknownNamespace)?;
        if plan.reads_documents() && !self.documents {
            return Ok(None);
        }
        self.judge(plan, &request, subject, body).map(Some)
    }

    fn judge(
        &self,
        plan: &Plan,
        request: &Request<'_>,
        subject: Subject<'_>,
        body: &[u8],
    ) -> Result<Judged, BadReview> {
        let (kind, operation) = (subject.kind, request.operation()?);
        let documents = if plan.reads_documents() {
            documents(kind, body, &self.policies.namespace_object(subject.namespace))
        } else {
            Documents::default()
        };
        let subject = Subject { document: documents.object.as_ref(), ..subject };
        let findings = if subject.is_mirror() {
            // It shows a pod that runs already; refusing it would only hide that.
            Vec::new()
        } else if kind == Kind::Pod {
            // What was to be put in, `/mutate` has put in.
            judge(plan, &subject, self.now).violations
        } else {
            judge_as_created(plan, &subject, || whole_objects(body).object, self.now).violations
        };
        let before = if operation == Operation::Create || findings.is_empty() {
            Before::Nothing
        } else if kind != Kind::Pod {
            let unchanged = template_unchanged(kind, body);
            if unchanged { Before::SameTemplate } else { Before::Nothing }
        } else {
            let mut old = pod_in("oldObject", kind, request.old_object.as_ref())?;
            old.namespace = subject.namespace;
            old.document = documents.old_object.as_ref();
            Before::Violations(judge(plan, &old, self.now).violations)
        };
        let decision = decide(findings, &before);
        let policies = answer::policy_names(&decision);
        let denial = (decision.outcome() == Outcome::Deny).then(|| Denial {
            object: message::object_name(&subject, subject.namespace),
            dry_run: request.dry_run == Some(true),
            policies: policies.clone(),
            rules: decision.denied.iter().map(Finding::id).collect(),
            violations: decision
                .denied
                .iter()
                .map(|it| (it.rule.id, it.severity.as_str()))
                .collect(),
        });
        let text = denial.as_ref().map(|it| message::denial(&it.object, &decision, self.docs_url));
        Ok(Judged {
            answer: answer::decided(&request.uid, &decision, policies, text),
            decision: decision.outcome().as_str(),
            kind: Some(kind),
            operation,
            patch_operations: 0,
            denial,
        })
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

    /// The new pod or template, in the namespace that it is or will be in.
    pub fn subject(&'a self, kind: Kind) -> Result<Subject<'a>, BadReview> {
        let mut subject = pod_in("object", kind, self.object.as_ref())?;
        let own = subject.metadata.map_or("", |metadata| &metadata.namespace);
        let given = [&self.namespace, own].into_iter().find(|namespace| !namespace.is_empty());
        subject.namespace = given;
        Ok(subject)
    }
}

/// The pods of both objects, for rules that read documents.
#[derive(Default)]
struct Documents {
    object: Option<Document>,
    old_object: Option<Document>,
}

fn documents(kind: Kind, body: &[u8], namespace: &Value) -> Documents {
    let Objects { object, old_object } = whole_objects(body);
    let of = |object: Option<Value>| object.map(|it| Document::of(kind, it, namespace.clone()));
    Documents { object: of(object), old_object: of(old_object) }
}

/// A review's objects as JSON.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Objects {
    pub object: Option<Value>,
    pub old_object: Option<Value>,
}

/// Decodes the body once more, whole; only what cannot do with the view pays for it.
pub(super) fn whole_objects(body: &[u8]) -> Objects {
    #[derive(Default, Deserialize)]
    struct Review {
        request: Objects,
    }
    serde_json::from_slice::<Review>(body).unwrap_or_default().request
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

/// Finds the field at fault; only bad bodies pay for it.
fn malformed(json: &str) -> BadReview {
    let mut reader = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, Review<'_>>(&mut reader) {
        Err(error) => BadReview::Malformed {
            path: text::brief(error.path().to_string(), MAX_PATH),
            found: fault(&error.into_inner().to_string()),
        },
        // What failed can only be what follows the review.
        Ok(_) => BadReview::Malformed {
            path: ".".to_owned(),
            found: "something follows the AdmissionReview".to_owned(),
        },
    }
}

/// What is wrong, without the text that was found: it may be a secret, API servers log it, and it can be any length.
fn fault(error: &str) -> String {
    let (start, rest) = error.split_once(": string \"").unwrap_or((error, ""));
    let found = match rest.rsplit_once("\", expected ") {
        Some((_, expected)) => format!("{start}: a string, expected {expected}"),
        None => error.to_owned(),
    };
    text::brief(found, MAX_PATH)
}

/// The pod in one of a review's objects, which must be what the request says it is.
fn pod_in<'a>(
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
    Subject::of(kind, object).map_err(|source| BadReview::NoPod { field, source })
}

/// Whether the pod template is the same, byte for byte, before and after. The
/// API server writes both from the same type, so equal templates are equal
/// text; only updates of violating templates pay for this second look.
fn template_unchanged(kind: Kind, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Request<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        #[serde(borrow)]
        object: Holder<'a>,
        #[serde(borrow)]
        old_object: Holder<'a>,
    }
    /// Whatever may hold a template: an object, or a spec.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Holder<'a> {
        #[serde(borrow)]
        spec: Option<Box<Holder<'a>>>,
        #[serde(borrow)]
        job_template: Option<Box<Holder<'a>>>,
        #[serde(borrow)]
        template: Option<&'a RawValue>,
    }
    fn template<'a>(kind: Kind, object: &Holder<'a>) -> Option<&'a str> {
        let holder = match kind {
            Kind::PodTemplate => object,
            Kind::CronJob => object.spec.as_ref()?.job_template.as_ref()?.spec.as_ref()?,
            _ => object.spec.as_ref()?,
        };
        holder.template.map(RawValue::get)
    }
    let Ok(Review { request }) = serde_json::from_slice::<Review<'_>>(body) else { return false };
    let before = template(kind, &request.old_object);
    before.is_some() && before == template(kind, &request.object)
}
