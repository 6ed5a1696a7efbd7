//! Any bytes for an AdmissionReview: an answer that is one, or an error that an HTTP 4xx may carry; twice the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate::admission::review::BadReview;
use podgate_fuzz::{is_presentable, judge, policies, response};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
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
            // A reader of its own, which nests less deep.
            if let Ok(review) = serde_json::from_slice::<Value>(data) {
                assert_eq!(response["uid"], review["request"]["uid"]);
            }
        }
        (Err(error), Err(again)) => {
            assert_eq!(error.to_string(), again.to_string());
            assert!(!matches!(error, BadReview::UnknownNamespace), "no policy here selects");
            is_presentable(&error.to_string(), 1024);
        }
        _ => panic!("judged twice, it was refused once"),
    }
});
