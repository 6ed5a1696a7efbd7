//! The reader and `serde_json` agree, on whatever text.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::from_str;
use crate::policy::object::Object;

const RECORDED: &str = include_str!("../../../benches/reviews/pod.json");

/// As much of a review as holds both objects.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Review<'a> {
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request<'a> {
    dry_run: Option<bool>,
    #[serde(borrow)]
    object: Option<Object<'a>>,
    #[serde(borrow)]
    old_object: Option<Object<'a>>,
}

/// Reads a text by both; `None` where both refuse it. `-0.0` is not `0.0` in a debug text.
fn read_by_both<'a, T: Deserialize<'a> + Debug>(text: &'a str) -> Option<String> {
    let ours = from_str::<T>(text).map(|it| format!("{it:?}"));
    let theirs = serde_json::from_str::<T>(text).map(|it| format!("{it:?}"));
    assert_eq!(ours.as_ref().ok(), theirs.as_ref().ok(), "{theirs:?} of {text:?}");
    ours.ok()
}

fn agree(text: &str) {
    read_by_both::<IgnoredAny>(text);
    read_by_both::<Value>(text);
    read_by_both::<Review<'_>>(text);
}

/// Pieces of JSON and of what is nearly that.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\"\"",
    "{}",
    "[]",
    ",,",
    "\"a\":",
    "true",
    "nul",
    "NaN",
    "-",
    "-0",
    "00",
    "01",
    ".5",
    "1.",
    "1.5e3",
    "1e999",
    "1e-999",
    "-1e+2",
    "18446744073709551616",
    "-9223372036854775809",
    " ",
    "\n",
    "\t",
    "\r",
    "\u{b}",
    "\u{a0}",
    "\u{feff}",
    "\u{0}",
    "\u{1f}",
    "\u{7f}",
    "é",
    "\u{10ffff}",
    "\\n",
    "\\x",
    "\\u0041",
    "\\u00",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\u0000",
    "\"name\":\"x\",",
    "\"object\":null,",
    "/**/",
    "'",
];

fn noise() -> impl Strategy<Value = String> {
    vec(select(PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((any::<String>(), inner), 0..6).prop_map(|it| it.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_was_written_is_read_and_skipped(value in json(), pretty: bool) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        prop_assert!(read_by_both::<Value>(&text).is_some());
        prop_assert!(read_by_both::<IgnoredAny>(&text).is_some());
    }

    #[test]
    fn noise_is_refused_alike(text in noise()) {
        for text in [text.clone(), format!("[{text}]"), format!("{{\"x\":{text}}}"), format!("\"{text}\"")] {
            agree(&text);
            agree(&format!(r#"{{"request":{{"object":{{"spec":{{"containers":{text}}}}}}}}}"#));
        }
    }

    #[test]
    fn a_damaged_review_is_read_or_refused_alike(
        cuts in vec((0..RECORDED.len(), 0..4_usize, noise()), 1..4),
        end in prop_oneof![9 => Just(usize::MAX), 1 => 0..RECORDED.len()],
    ) {
        let mut text = RECORDED.to_owned();
        for (at, length, put) in cuts {
            let start = text.floor_char_boundary(at);
            let end = text.floor_char_boundary(at + length).max(start);
            text.replace_range(start..end, &put);
        }
        text.truncate(text.floor_char_boundary(end));
        agree(&text);
    }

    #[test]
    fn every_byte_of_a_string_counts(text: String, at in 0..40_usize, byte in 0..0x80_u8) {
        let mut text = text;
        text.insert(text.floor_char_boundary(at), char::from(byte));
        agree(&format!("\"{text}\""));
        agree(&format!("{{\"{text}\":0}}"));
    }
}

#[test]
fn each_byte_is_seen_at_each_place_of_a_string() {
    for length in 0..20 {
        for at in 0..length {
            for byte in 0..0x80 {
                let mut text = vec![b'x'; length];
                text[at] = byte;
                let text = format!("\"{}\"", String::from_utf8(text).unwrap());
                read_by_both::<IgnoredAny>(&text);
                read_by_both::<String>(&text);
            }
        }
    }
}

#[test]
fn each_piece_is_taken_or_refused_alike_wherever_it_stands() {
    for piece in PIECES {
        for text in [
            (*piece).to_owned(),
            format!("[{piece}]"),
            format!("[0{piece}]"),
            format!("[0,{piece}]"),
            format!("{{{piece}}}"),
            format!("{{\"x\":{piece}}}"),
            format!("{{\"x\":0{piece}}}"),
            format!("\"{piece}\""),
            format!("{{\"request\":{{}}}}{piece}"),
            format!(
                "{{\"request\":{{\"object\":{{\"spec\":{{\"containers\":[{{\"name\":{piece}}}]}}}}}}}}"
            ),
            format!(
                "{{\"request\":{{\"object\":{{\"spec\":{{\"containers\":[{{\"ports\":[{{\"containerPort\":{piece}}}]}}]}}}}}}}}"
            ),
            format!(
                "{{\"request\":{{\"object\":{{\"spec\":{{\"resources\":{{\"limits\":{{\"cpu\":{piece}}}}}}}}}}}}}"
            ),
        ] {
            agree(&text);
        }
    }
}

#[test]
fn a_field_that_stands_twice_is_refused_where_it_is_wanted() {
    let twice = |field: &str| format!(r#"{{"request":{{"object":{{{field},{field}}}}}}}"#);
    assert_eq!(read_by_both::<Review<'_>>(&twice(r#""kind":"Pod""#)), None);
    assert!(read_by_both::<Review<'_>>(&twice(r#""status":{}"#)).is_some());
}

#[test]
fn what_is_skipped_may_nest_as_deep_as_it_likes_and_what_is_wanted_may_not() {
    let depth = 100_000;
    for (open, close) in [("[", "]"), ("{\"x\":", "}"), ("[{\"x\":[", "]}]")] {
        let whole = format!("{}0{}", open.repeat(depth), close.repeat(depth));
        assert!(from_str::<IgnoredAny>(&whole).is_ok());
        assert!(from_str::<Value>(&whole).is_err());
        agree(&format!(r#"{{"request":{{"object":{{"metadata":{{"managedFields":{whole}}}}}}}}}"#));
        for broken in [&whole[..whole.len() - 1], &format!("{whole}]"), &whole.replace('0', "]")] {
            assert!(from_str::<IgnoredAny>(broken).is_err());
            agree(broken);
        }
    }
    for depth in 120..132 {
        agree(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    }
}

#[test]
fn the_recorded_review_is_read() {
    assert!(read_by_both::<Review<'_>>(RECORDED).is_some());
    assert!(read_by_both::<Value>(RECORDED).is_some());
}
