//! Why a request gets an HTTP error instead of an AdmissionReview, so that the API server applies the configuration's
//! `failurePolicy`.

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};

use super::review::BadReview;

/// The seconds after which a client may retry.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request gets no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "no client certificate was shown that --client-ca vouches for; give the API server one in its AdmissionConfiguration"
    )]
    NoCertificate,
    #[error("the content type is {0:?}; send application/json")]
    ContentType(String),
    #[error("timeout={0:?} is no duration; write it as 3s or 500ms")]
    Timeout(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time; it must keep coming, a mebibyte a second at least")]
    TooSlow,
    #[error("the body broke off")]
    Broken,
    #[error("too many reviews at once; try again in a second, or run more replicas")]
    Overloaded,
    #[error("the review was not judged within its timeout")]
    TooLate,
    #[error("the policies are not loaded yet")]
    NotReady,
    #[error("the review was not finished; see the log")]
    Unfinished,
    #[error(transparent)]
    Review(#[from] BadReview),
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NoCertificate => StatusCode::UNAUTHORIZED,
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLate => StatusCode::GATEWAY_TIMEOUT,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unfinished | Self::Review(BadReview::UnknownNamespace(_)) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Timeout(_) | Self::Broken | Self::Review(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The reason in logs and metrics, which must not repeat text of a body.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCertificate => "NoCertificate",
            Self::ContentType(_) => "ContentType",
            Self::Timeout(_) => "Timeout",
            Self::TooLarge(_) => "TooLarge",
            Self::TooSlow => "TooSlow",
            Self::Broken => "Broken",
            Self::Overloaded => "Overloaded",
            Self::TooLate => "TooLate",
            Self::NotReady => "NotReady",
            Self::Unfinished => "Unfinished",
            Self::Review(review) => review.reason(),
        }
    }

    /// Whether the same request may get a verdict in a moment. On these statuses the API server honours `Retry-After`,
    /// and retries within the webhook's timeout (client-go `rest.withRetry`).
    const fn is_temporary(&self) -> bool {
        matches!(self, Self::Overloaded | Self::NotReady)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("podgate: {self}\n")).into_response();
        if self.is_temporary() {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}
