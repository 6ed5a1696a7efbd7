//! One violation is planted where it counts, among decoys, in any order and spelling: it must be denied with its path,
//! and the fixed object must pass.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use podgate_fuzz::pods::Case;
use podgate_fuzz::{judge, policies, response};

fuzz_target!(|data: &[u8]| {
    let Ok(case) = Case::take(&mut Unstructured::new(data)) else { return };
    let judged = |body: &str| {
        let judged = judge(body.as_bytes(), policies());
        response(&judged.unwrap_or_else(|error| panic!("{error}: {body}")))
    };
    let broken = judged(&case.broken);
    assert_eq!(broken["allowed"], false, "{} let pass: {}", case.path, case.broken);
    let message = broken["status"]["message"].as_str().unwrap();
    assert!(message.contains(&case.path), "not {}: {message}: {}", case.path, case.broken);
    let healed = judged(&case.healed);
    assert_eq!(healed["allowed"], true, "{healed}: {}", case.healed);
});
