//! Any bytes for an AdmissionReview: an answer that is one, or an error that an HTTP 4xx may carry; twice the same.
//! And a violation in an object of any size that the API server stores: denied, found or undecided; never admitted,
//! never an error.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use podgate::admission::review::BadReview;
use podgate_fuzz::{is_presentable, judge, odd, policies, response};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    any(data);
    if let Ok(review) = odd::review(&mut Unstructured::new(data)) {
        violating(&review);
    }
});

fn any(data: &[u8]) {
    let (first, second) = (judge(data, policies()), judge(data, policies()));
    match (first, second) {
        (Ok(judged), Ok(again)) => {
            assert_eq!(judged.answer, again.answer);
            let response = response(&judged);
            assert!(response["allowed"].is_boolean());
            is_presentable(response["status"]["message"].as_str().unwrap_or_default(), 4096);
            for warning in response["warnings"].as_array().into_iter().flatten() {
                is_presentable(warning.as_str().unwrap(), 120);
            }
            // An independent parser, with a lower nesting limit.
            if let Ok(review) = serde_json::from_slice::<Value>(data) {
                assert_eq!(response["uid"], review["request"]["uid"]);
            }
        }
        (Err(error), Err(again)) => {
            assert_eq!(error.to_string(), again.to_string());
            assert!(
                !matches!(error, BadReview::UnknownNamespace(_)),
                "no policy here selects namespaces"
            );
            is_presentable(&error.to_string(), 1024);
        }
        _ => panic!("the two verdicts differ: one is a refusal"),
    }
}

fn violating(review: &str) {
    let judged = judge(review.as_bytes(), policies());
    let judged = judged.unwrap_or_else(|error| panic!("{error}: {review:.2000}"));
    let response = response(&judged);
    assert_eq!(response["allowed"], false, "it was admitted: {review:.2000}");
    is_presentable(response["status"]["message"].as_str().unwrap(), 4096);
}
