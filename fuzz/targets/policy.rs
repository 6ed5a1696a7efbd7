//! Any text for a policy file: policies that judge a pod, or a fault with its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_fuzz::{is_presentable, judge, parse, response, set_of};

const REVIEWS: [&[u8]; 2] = [
    include_bytes!("../../tests/hostile/reviews/admitted/pod-that-is-clean-in-every-list.json"),
    include_bytes!("../../tests/hostile/reviews/denied/forty-violations-of-long-names.json"),
];

fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(documents) => {
            let set = set_of(documents);
            for review in REVIEWS {
                // Namespaces are not known here, so a policy that selects them cannot judge.
                if let Ok(judged) = judge(review, &set) {
                    response(&judged);
                }
            }
        }
        Err(fault) => {
            assert!(fault.at.line > 0 && fault.at.column > 0, "{fault}");
            is_presentable(&fault.to_string(), 1024);
        }
    }
});
