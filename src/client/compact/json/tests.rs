use serde_json::{Value, json};

use super::*;

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number > 0x7f {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
    out
}

/// A field with the bytes of a string or message.
fn bytes(tag: usize, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(tag << 3 | 2), varint(value.len()), value.to_vec()].concat()
}

/// A field with a number.
fn number(tag: usize, number: usize) -> Vec<u8> {
    [varint(tag << 3), varint(number)].concat()
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

fn of_kind(kind: &str, object: &[u8]) -> Vec<u8> {
    let types = message(&[bytes(1, "v1"), bytes(2, kind)]);
    [b"k8s\0".to_vec(), bytes(1, types), bytes(2, object)].concat()
}

fn json(kind: &str, object: &[u8]) -> Value {
    serde_json::from_slice(&object_of_kind(&of_kind(kind, object)).unwrap()).unwrap()
}

fn pod_with(spec: &[Vec<u8>]) -> Vec<u8> {
    bytes(2, message(spec))
}

#[test]
fn a_list_has_its_version_its_token_and_its_objects() {
    let metadata = message(&[bytes(2, "7"), bytes(3, "token")]);
    let pod = |name: &str| bytes(2, bytes(1, bytes(1, name)));
    let list = message(&[bytes(1, metadata), pod("a"), pod("b")]);
    assert_eq!(
        json("PodList", &list),
        json!({
            "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "token"},
            "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
        })
    );
    assert_eq!(json("PodList", &[])["items"], json!([]));
}

#[test]
fn a_volume_of_an_unknown_kind_is_still_a_volume_of_some_kind() {
    let volume = |source: Vec<u8>| bytes(1, message(&[bytes(1, "v"), bytes(2, source)]));
    let pod = pod_with(&[volume(bytes(31, "x")), volume(bytes(6, "")), volume(Vec::new())]);
    assert_eq!(
        json("Pod", &pod)["spec"]["volumes"],
        json!([{"name": "v", "field31": {}}, {"name": "v", "secret": {}}, {"name": "v"}])
    );
}

#[test]
fn what_is_unset_is_left_out_and_what_points_to_nothing_is_not() {
    let pod = pod_with(&[number(11, 0), bytes(3, ""), number(37, 0)]);
    assert_eq!(json("Pod", &pod)["spec"], json!({"hostUsers": false}));
}

#[test]
fn the_elements_of_a_list_may_stand_apart() {
    let container = |name: &str| bytes(2, bytes(1, name));
    let pod = pod_with(&[container("a"), bytes(3, "Never"), container("b")]);
    assert_eq!(
        json("Pod", &pod)["spec"],
        json!({"containers": [{"name": "a"}, {"name": "b"}], "restartPolicy": "Never"})
    );
}

#[test]
fn text_that_is_not_utf_8_is_replaced_byte_for_byte() {
    let pod = pod_with(&[bytes(3, b"a\xff\xe2\x82\"")]);
    assert_eq!(json("Pod", &pod)["spec"]["restartPolicy"], "a\u{fffd}\u{fffd}\u{fffd}\"");
}

#[test]
fn a_negative_number_and_a_time_are_as_in_json() {
    let minus_one = [vec![2 << 3], vec![0xff; 9], vec![1]].concat();
    let pod = pod_with(&[bytes(14, minus_one)]);
    assert_eq!(json("Pod", &pod)["spec"]["securityContext"]["runAsUser"], -1);
    let created = bytes(1, bytes(8, number(1, 24 * 60 * 60)));
    assert_eq!(json("Pod", &created)["metadata"]["creationTimestamp"], "1970-01-02T00:00:00Z");
    assert_eq!(json("Pod", &bytes(1, bytes(8, "")))["metadata"], json!({}));
}

#[test]
fn a_status_says_why_a_request_failed() {
    let status =
        message(&[bytes(2, "Failure"), bytes(3, "too old"), bytes(4, "Expired"), number(6, 410)]);
    assert_eq!(
        json("Status", &status),
        json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "too old", "reason": "Expired",
            "code": 410,
        })
    );
}

#[test]
fn a_message_that_is_cut_off_or_odd_is_an_error_and_never_a_panic() {
    let pod =
        pod_with(&[bytes(2, message(&[bytes(1, "web"), bytes(2, "nginx")])), bytes(3, "Never")]);
    let whole = of_kind("Pod", &pod);
    for end in 0..whole.len() {
        if let Ok(json) = object_of_kind(&whole[..end]) {
            // It ends between two fields.
            serde_json::from_slice::<Value>(&json).unwrap();
        }
    }
    for odd in [
        of_kind("Node", &pod),
        of_kind("Pod", &[2 << 3 | 4]),
        of_kind("Pod", &[0xff; 12]),
        of_kind("Pod", &pod_with(&[number(3, 1)])),
        b"{}".to_vec(),
    ] {
        assert!(object_of_kind(&odd).is_err(), "{odd:?}");
    }
}
