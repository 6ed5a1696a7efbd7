//! Part of `make test`: the server of the real binary, without a cluster.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate, Standalone};
use crate::support::manifests::{pod, probed_pod, workload};
use crate::support::{eventually, review};

fn enforcing() -> Standalone {
    Standalone::with(&policy("baseline", None, "enforcementMode: enforce, forbidLatestTag: true"))
}

fn denies(podgate: &Podgate, image: &str) -> bool {
    let review = review::create("shop", &workload(Kind::Pod, pod(image)));
    podgate.review(&review)["allowed"] == false
}

fn policy(name: &str, namespace: Option<&str>, spec: &str) -> String {
    let namespace = namespace.map(|it| format!(", namespace: {it}")).unwrap_or_default();
    format!(
        "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {{name: {name}{namespace}}}\nspec: {{{spec}}}\n"
    )
}

#[test]
fn every_kind_is_judged_at_its_template_with_its_own_field_path() {
    let standalone = enforcing();
    for kind in Kind::ALL {
        let bad = review::create("shop", &workload(kind, probed_pod("nginx")));
        let response = standalone.podgate.review(&bad);
        assert_eq!(response["allowed"], false, "{kind:?}");
        assert_eq!(response["status"]["code"], 403);
        assert_eq!(response["status"]["reason"], "Forbidden");
        let message = response["status"]["message"].as_str().unwrap();
        let path = format!("{}.containers[0].image is \"nginx\"", kind.names().spec_path);
        assert!(message.contains(&path), "{message}");
        assert!(response.get("patch").is_none() && response.get("patchType").is_none());
        let annotations = json!({"policy": "baseline", "decision": "deny", "violations": "1"});
        assert_eq!(response["auditAnnotations"], annotations);

        let good = review::create("shop", &workload(kind, probed_pod("nginx:1.29")));
        assert_eq!(standalone.podgate.review(&good)["allowed"], true, "{kind:?}");
    }
}

#[test]
fn a_policys_own_namespace_scopes_it() {
    let standalone = Standalone::with(&policy(
        "baseline",
        Some("shop"),
        "enforcementMode: enforce, forbidLatestTag: true",
    ));
    let pod = workload(Kind::Pod, pod("nginx"));
    let allowed =
        |namespace| standalone.podgate.review(&review::create(namespace, &pod))["allowed"].take();
    assert_eq!(allowed("shop"), false);
    assert_eq!(allowed("lab"), true);
    assert_eq!(allowed(""), false, "an object without a namespace may be created in shop");
}

#[test]
fn an_update_is_judged_by_what_it_changes() {
    let standalone = enforcing();
    let allowed = |old: &Value, new: &Value| {
        standalone.podgate.review(&review::update("shop", old, new))["allowed"].take()
    };
    for kind in Kind::ALL {
        let old = workload(kind, pod("nginx"));
        let mut labelled = old.clone();
        labelled["metadata"]["labels"] = json!({"team": "cart"});
        assert_eq!(allowed(&old, &labelled), true, "{kind:?}: an old violation holds nothing up");
        assert_eq!(
            allowed(&old, &workload(kind, pod("redis"))),
            false,
            "{kind:?}: a new object is denied"
        );
        assert_eq!(allowed(&workload(kind, pod("nginx:1.29")), &old), false, "{kind:?}");
    }
}

#[test]
fn deletions_and_foreign_kinds_are_allowed() {
    let standalone = enforcing();
    let mut deletion = review::create("shop", &workload(Kind::Pod, pod("nginx")));
    deletion["request"]["operation"] = json!("DELETE");
    deletion["request"]["oldObject"] = deletion["request"]["object"].take();
    assert_eq!(standalone.podgate.review(&deletion)["allowed"], true);

    let mut foreign = review::create("shop", &workload(Kind::Pod, pod("nginx")));
    foreign["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "ConfigMap"});
    foreign["request"]["object"] =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
    assert_eq!(standalone.podgate.review(&foreign)["allowed"], true);
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn a_review_that_cannot_be_judged_gets_an_http_error_with_the_reason_and_never_an_answer() {
    let standalone = enforcing();
    let good = review::create("shop", &workload(Kind::Pod, pod("nginx:1.29")));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut review = good.clone();
        change(&mut review);
        review.to_string().into_bytes()
    };
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(200), close.repeat(200));
    let text = good.to_string();
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("an empty body", Vec::new(), 400, "the body is empty"),
        ("white space", b" \n".to_vec(), 400, "the body is empty"),
        ("not JSON", b"hello".to_vec(), 400, "not an AdmissionReview"),
        ("a JSON string", b"\"hello\"".to_vec(), 400, "not an AdmissionReview"),
        ("half a review", text.as_bytes()[..text.len() / 2].to_vec(), 400, "EOF"),
        (
            "something after the review",
            format!("{text}{text}").into_bytes(),
            400,
            "something follows",
        ),
        ("invalid UTF-8", [text.as_bytes(), b"\xff\xfe"].concat(), 400, "not UTF-8"),
        (
            "invalid UTF-8 in a field that is not read",
            text.replace("jane", "\u{0}j").into_bytes(),
            400,
            "control character",
        ),
        ("no request", with(&|it| it["request"] = Value::Null), 400, "request is missing"),
        ("no uid", with(&|it| it["request"]["uid"] = json!("")), 400, "request.uid"),
        ("no kind", with(&|it| it["request"]["kind"] = json!({})), 400, "request.kind.kind"),
        (
            "another version",
            with(&|it| it["apiVersion"] = json!("admission.k8s.io/v1beta1")),
            400,
            "v1beta1",
        ),
        ("another kind of body", with(&|it| it["kind"] = json!("Pod")), 400, "\"Pod\""),
        (
            "an unknown operation",
            with(&|it| it["request"]["operation"] = json!("PATCH")),
            400,
            "PATCH",
        ),
        (
            "no object",
            with(&|it| it["request"]["object"] = Value::Null),
            400,
            "request.object is missing",
        ),
        (
            "an update without the old object",
            {
                let mut update = review::create("shop", &workload(Kind::Pod, pod("nginx")));
                update["request"]["operation"] = json!("UPDATE");
                update.to_string().into_bytes()
            },
            400,
            "request.oldObject is missing",
        ),
        (
            "an object of another kind",
            with(&|it| it["request"]["object"]["kind"] = json!("Deployment")),
            400,
            "v1 Deployment",
        ),
        (
            "another version of a judged kind",
            with(&|it| it["request"]["kind"]["version"] = json!("v2")),
            400,
            "matchPolicy: Equivalent",
        ),
        (
            "a number for an image",
            with(&|it| it["request"]["object"]["spec"]["containers"][0]["image"] = json!(5)),
            400,
            "request.object.spec.containers[0].image",
        ),
        (
            "a string for containers",
            with(&|it| it["request"]["object"]["spec"]["containers"] = json!("web")),
            400,
            "request.object.spec.containers",
        ),
        (
            "a huge number for a port",
            with(&|it| {
                it["request"]["object"]["spec"]["containers"][0]["ports"] =
                    json!([{"containerPort": 1e99}]);
            }),
            400,
            "containerPort",
        ),
        (
            "a NaN",
            text.replacen("\"nginx:1.29\"", "NaN", 1).into_bytes(),
            400,
            "not an AdmissionReview",
        ),
        (
            "a NaN in a field that is not read",
            text.replacen("\"jane\"", "NaN", 1).into_bytes(),
            400,
            "not an AdmissionReview",
        ),
        (
            "a list for an object",
            with(&|it| it["request"]["object"] = json!([])),
            400,
            "request.object",
        ),
        ("200 deep lists", deep("[", "]").into_bytes(), 400, "not an AdmissionReview"),
    ];
    for (what, body, status, why) in cases {
        let (got, answer) = standalone.podgate.post("application/json", &body);
        assert_eq!(got, status, "{what}: {answer}");
        assert!(answer.starts_with("podgate: ") && answer.contains(why), "{what}: {answer}");
    }
    assert!(standalone.podgate.review(&good)["allowed"] == true, "podgate still answers");
    let errors = standalone.podgate.metric(
        r#"podgate_admission_reviews_total{decision="error",kind="other",operation="other",webhook="validate"}"#,
    );
    assert_eq!(errors, Some(25.0));
}

#[test]
fn a_field_that_no_rule_reads_is_skipped_whatever_it_holds() {
    let standalone = enforcing();
    let lists = format!("\"unread\":{}{},", "[".repeat(200), "]".repeat(200));
    // A nested template contains no pod; deep nesting must not overflow the stack.
    let template = "\"template\":{\"spec\":{";
    let templates = format!("{}{},", template.repeat(200), "}}".repeat(200));
    let judged = |image: &str, deep: &str| {
        let review = review::create("shop", &workload(Kind::Pod, pod(image))).to_string();
        let body = review.replacen("\"spec\":{", &format!("\"spec\":{{{deep}"), 1);
        assert_ne!(body, review);
        let (status, answer) = standalone.podgate.post("application/json", body.as_bytes());
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["response"]["allowed"].take()
    };
    for deep in [lists, templates] {
        assert_eq!(judged("nginx", &deep), false);
        assert_eq!(judged("nginx:1.29", &deep), true);
    }
}

#[test]
fn malformed_http_requests_have_their_own_status() {
    let standalone = enforcing();
    let podgate = &standalone.podgate;
    let good = review::create("shop", &workload(Kind::Pod, pod("nginx:1.29"))).to_string();
    let body = good.as_bytes();
    assert_eq!(podgate.post("text/plain", body).0, 415);
    assert_eq!(podgate.post("application/json; charset=utf-8", body).0, 200);
    assert_eq!(podgate.post_to("/validate?timeout=soon", "application/json", body).0, 400);
    assert_eq!(podgate.post_to("/nothing", "application/json", body).0, 404);
    let limit = 20 * 1024 * 1024;
    let padded = |size: usize| format!("{good}{}", " ".repeat(size - good.len()));
    assert_eq!(podgate.post("application/json", padded(limit).as_bytes()).0, 200);
    let (status, answer) = podgate.post("application/json", padded(limit + 1).as_bytes());
    assert_eq!(
        (status, answer.as_str()),
        (413, "podgate: the body is larger than 20971520 bytes\n")
    );
}

#[test]
fn a_denial_is_logged_by_names_and_nothing_of_the_object() {
    let standalone = enforcing();
    let mut object = workload(Kind::Pod, pod("nginx"));
    object["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN", "value": "hunter2"}]);
    standalone.podgate.review(&review::create("shop", &object));
    standalone.podgate.post("application/json", b"{\"request\": \"hunter2\"}");
    let line = standalone.podgate.logs("denied");
    assert_eq!(line["object"], "Pod shop/web");
    assert_eq!(line["rules"], "forbidLatestTag");
    assert_eq!(line["policies"], "baseline");
    standalone.podgate.logs("a review could not be judged");
    assert!(!standalone.podgate.whole_log().contains("hunter2"));
    let denials = r#"podgate_admission_denials_total{rule="forbidLatestTag",severity="high"}"#;
    assert_eq!(standalone.podgate.metric(denials), Some(1.0));
}

#[test]
fn the_log_of_a_denial_names_the_policies_that_denied_and_the_audit_log_all_that_object() {
    let warns = policy("advice", None, "enforcementMode: warn, forbidLatestTag: true");
    let denies = policy("baseline", None, "enforcementMode: enforce, forbidLatestTag: true");
    let standalone = Standalone::with(&format!("{warns}---\n{denies}"));
    let bad = review::create("shop", &workload(Kind::Pod, pod("nginx")));
    let response = standalone.podgate.review(&bad);
    assert_eq!(response["auditAnnotations"]["policy"], "advice,baseline");
    assert_eq!(standalone.podgate.logs("denied")["policies"], "baseline");
}

/// A controller tries again to create a refused pod, at first many times a minute.
#[test]
fn a_controllers_retries_of_a_pod_template_are_one_denial() {
    let standalone = enforcing();
    let podgate = &standalone.podgate;
    let owned = |kind: Kind, controller: &str, image: &str| {
        let mut object = workload(kind, probed_pod(image));
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": controller, "uid": "u", "controller": true,
        }]);
        object
    };
    let counted = |series: &str| podgate.metric(series);
    let mut denials: u32 = 0;
    let mut deny = |namespace: &str, object: &Value, decisions: u32, what: &str| {
        for name in ["web-1", "web-2", "web-3"] {
            let mut object = object.clone();
            object["metadata"]["name"] = name.into();
            let response = podgate.review(&review::create(namespace, &object));
            assert_eq!(response["allowed"], false, "{what}");
        }
        denials += decisions;
        for series in [
            r#"podgate_admission_denials_total{rule="forbidLatestTag",severity="high"}"#,
            r#"podgate_admission_violations_total{mode="enforce",rule="forbidLatestTag",severity="high"}"#,
            r#"devopspolicy_denied_total{namespace="",policy="baseline"}"#,
        ] {
            assert_eq!(counted(series), Some(denials.into()), "{what}: {series}");
        }
    };
    deny("shop", &owned(Kind::Pod, "web-5d4", "nginx"), 1, "one template");
    deny("shop", &owned(Kind::Pod, "web-5d4", "nginx"), 0, "the same once more");
    deny("shop", &owned(Kind::Pod, "web-6e5", "nginx"), 1, "another controller");
    deny("lab", &owned(Kind::Pod, "web-5d4", "nginx"), 1, "another namespace");
    deny("shop", &owned(Kind::Pod, "web-5d4", "redis"), 1, "other violations");
    deny("shop", &workload(Kind::Pod, probed_pod("nginx")), 3, "pods of no controller");
    deny("shop", &owned(Kind::ReplicaSet, "web", "nginx"), 3, "templates");
    assert_eq!(counted("podgate_admission_repeated_denials_total"), Some(11.0));
    let reviews = r#"podgate_admission_reviews_total{decision="deny",kind="Pod",operation="CREATE",webhook="validate"}"#;
    assert_eq!(counted(reviews), Some(18.0), "every review is counted");
    assert_eq!(podgate.count_logged("denied"), 10, "a line for each counted denial");
}

#[test]
fn a_changed_file_comes_into_force_and_a_broken_one_keeps_the_last_good_policies() {
    let standalone = enforcing();
    let state = "podgate_policy_last_load_successful";
    assert!(denies(&standalone.podgate, "nginx"));
    assert_eq!(standalone.podgate.metric(state), Some(1.0));

    standalone.write(&policy("baseline", None, "forbidLatestTag: often"));
    let error = standalone.podgate.logs("policies not reloaded; the last good ones stay in force");
    let text = error["error"].as_str().unwrap();
    assert!(text.contains("policy.yaml:4:25: spec.forbidLatestTag: invalid type"), "{text}");
    assert!(denies(&standalone.podgate, "nginx"));
    eventually("the failed load in the metric", || match standalone.podgate.metric(state) {
        Some(0.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });

    standalone.write(&policy("baseline", None, "forbidLatestTag: false"));
    let ((), after) = eventually("the fixed file to be in force", || {
        if denies(&standalone.podgate, "nginx") { Err("still denied".to_owned()) } else { Ok(()) }
    });
    println!("in force after {after:?}");
    assert_eq!(standalone.podgate.metric(state), Some(1.0));
}

#[test]
fn certificates_are_made_once_and_then_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    fs::write(&file, policy("baseline", None, "")).unwrap();
    let args = ["--standalone", "--policy", file.to_str().unwrap()];
    let certs = dir.path().join("new/certs");
    drop(Podgate::serve(&args, &certs));
    let made = fs::read(certs.join("tls.crt")).unwrap();
    let again = Podgate::serve(&args, &certs);
    assert_eq!(fs::read(certs.join("tls.crt")).unwrap(), made);
    assert_eq!(again.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(again.get("/readyz"), (200, "ok\n".to_owned()));
}

#[test]
fn both_signals_drain_and_end_with_success() {
    for signal in ["TERM", "INT"] {
        let mut standalone = enforcing();
        assert!(denies(&standalone.podgate, "nginx"));
        standalone.podgate.signal(signal);
        let (status, after) = standalone.podgate.ended();
        assert!(status.success(), "{signal}: {status}");
        println!("{signal}: ended after {after:?}");
        assert!(standalone.podgate.logged("draining").is_some());
    }
}

#[test]
fn during_shutdown_late_callers_are_served_and_their_connections_closed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    fs::write(&file, policy("baseline", None, "")).unwrap();
    let args = ["--standalone", "--policy", file.to_str().unwrap(), "--shutdown-delay", "600"];
    let mut podgate = Podgate::serve(&args, &dir.path().join("certs"));
    podgate.signal("TERM");
    podgate.logs("draining");
    assert_eq!(podgate.get("/readyz").0, 503);
    // A new connection for each request, during the shutdown delay.
    let mut connection = podgate.connect(&dir.path().join("certs"));
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: podgate\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let answer = answer.to_lowercase();
    assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
    // The test does not wait for the end of the delay.
    podgate.signal("TERM");
    podgate.ended();
}

#[test]
fn a_second_signal_ends_what_an_open_connection_holds_up() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    fs::write(&file, policy("baseline", None, "")).unwrap();
    let args = ["--standalone", "--policy", file.to_str().unwrap(), "--drain-timeout", "600"];
    let mut podgate = Podgate::serve(&args, &dir.path().join("certs"));
    let _idle = TcpStream::connect(&podgate.metrics).unwrap();
    podgate.get("/healthz");
    podgate.signal("TERM");
    podgate.logs("draining");
    eventually("readiness to be off", || match podgate.get("/readyz") {
        (503, why) if why == "not ready: it is shutting down\n" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    podgate.signal("TERM");
    podgate.ended();
}

/// The exit code and the error line of a failed start.
fn refused(args: &[&str]) -> (i32, String) {
    let output = binary::run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), stderr)
}

fn refused_policy(text: &str) -> (i32, String, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    fs::write(&file, text).unwrap();
    let args =
        ["serve", "--standalone", "--policy", file.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let (code, line) = refused(&args);
    (code, line, file)
}

#[test]
fn a_faulty_policy_file_is_named_with_line_and_column_and_nothing_starts() {
    let twice = policy("same", None, "") + "---\n" + &policy("same", None, "");
    for (text, place, why) in [
        (
            policy("a", None, "forbidLatestTags: true"),
            "4:8",
            "spec: unknown field `forbidLatestTags`; did you mean `forbidLatestTag`?",
        ),
        (policy("a", None, "maxRestartCount: many"), "4:25", "spec.maxRestartCount: invalid type"),
        (twice, "8:12", "policy \"same\" is defined twice, first at 3:12"),
        ("kind: [".to_owned(), "1:7", "it is not YAML: unclosed bracket"),
    ] {
        let (code, line, file) = refused_policy(&text);
        assert_eq!(code, 2, "{line}");
        let expected = format!("podgate: {}:{place}: {why}", file.display());
        assert!(line.starts_with(&expected), "{line}\nis not\n{expected}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn a_failed_start_is_reported_in_one_line_with_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("policy.yaml", &policy("a", None, ""));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_address = taken.local_addr().unwrap().to_string();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let config = |server: &str| {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": server}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        })
        .to_string()
    };
    let unreachable = file("unreachable", &config(&format!("https://{closed}")));
    let absent = dir.path().join("absent").to_str().unwrap().to_owned();
    let half = dir.path().join("half");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("tls.crt"), "x").unwrap();
    let half = half.to_str().unwrap();
    let standalone = |more: &[&str]| {
        let base = ["serve", "--standalone", "--policy", &good, "--metrics-listen", "127.0.0.1:0"];
        base.iter().chain(more).map(ToString::to_string).collect::<Vec<_>>()
    };
    let owned = |args: &[&str]| args.iter().map(ToString::to_string).collect::<Vec<_>>();
    let any = "127.0.0.1:0";
    for (args, code, why) in [
        (standalone(&["--listen", &taken_address]), 3, "choose another with --listen"),
        (standalone(&["--listen", any, "--cert-dir", half]), 3, "has tls.crt but no tls.key"),
        (owned(&["serve", "--kubeconfig", &absent]), 3, "check KUBECONFIG and --kubeconfig"),
        (owned(&["serve", "--kubeconfig", &unreachable]), 3, "does not answer"),
        (
            owned(&["serve", "--kubeconfig", &unreachable, "--context", "other"]),
            3,
            "there are: here",
        ),
        (owned(&["crd", "install", "--kubeconfig", &unreachable]), 3, "does not answer"),
        (owned(&["serve", "--standalone", "--policy", &absent]), 2, "cannot read"),
        (owned(&["explain", "forbidLatest"]), 2, "did you mean forbidLatestTag?"),
    ] {
        let words: Vec<_> = args.iter().map(String::as_str).collect();
        let (got, line) = refused(&words);
        assert_eq!(got, code, "{words:?}: {line}");
        assert!(line.starts_with("podgate: ") && line.contains(why), "{words:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    for args in [
        ["serve", "--listen", "nowhere"].as_slice(),
        &["webhook", "serve", "--standalone"],
        &["serve", "--standalone"],
        &["serve", "--policy", &good],
        &["nothing"],
    ] {
        assert_eq!(refused(args).0, 2, "{args:?}");
    }
}

#[test]
fn the_server_offers_http_1_1_only() {
    let standalone = enforcing();
    let mut stream = standalone.connect();
    stream.flush().unwrap();
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
}

#[test]
fn a_body_that_does_not_arrive_within_the_timeout_is_not_waited_for() {
    let standalone = enforcing();
    let mut stream = standalone.connect();
    let head =
        "POST /validate?timeout=1s HTTP/1.1\r\nhost: podgate\r\ncontent-type: application/json\r\n";
    write!(stream, "{head}content-length: 1000\r\n\r\n{{\"half\":").unwrap();
    stream.flush().unwrap();
    let mut answer = Vec::new();
    // The server then closes the connection, with or without a TLS close_notify.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("the body did not arrive in time"), "{answer}");
    assert!(denies(&standalone.podgate, "nginx"), "podgate still answers");
}

#[test]
fn connections_without_tls_are_closed_and_harm_nobody() {
    let standalone = enforcing();
    let mut plain = TcpStream::connect(&standalone.podgate.listen).unwrap();
    plain.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: podgate\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert!(denies(&standalone.podgate, "nginx"), "podgate still answers");
}

#[test]
fn the_sample_policies_and_workloads_are_judged_as_their_comments_say() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/samples");
    let policies = samples.join("policies");
    let dir = tempfile::tempdir().unwrap();
    let args = ["--standalone", "--policy", policies.to_str().unwrap()];
    let podgate = Podgate::serve(&args, &dir.path().join("certs"));
    for (file, allowed, violations) in [
        ("good-deployment", true, "0"),
        ("bad-deployment", false, "3"),
        ("bad-cronjob", false, "1"),
        ("bad-init-container", false, "1"),
        ("warned-pod", true, "2"),
        ("mended-pod", true, "0"),
    ] {
        let text = fs::read_to_string(samples.join(format!("workloads/{file}.yaml"))).unwrap();
        let mut object: Value = serde_saphyr::from_str(&text).unwrap();
        let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
        let changes = podgate.mutate(&review::create(&namespace, &object));
        let patch = review::patch_of(&changes);
        assert_eq!(patch.is_some(), file == "mended-pod", "{file}");
        json_patch::patch(&mut object, &patch.unwrap_or_default()).unwrap();
        let response = podgate.review(&review::create(&namespace, &object));
        assert_eq!(response["allowed"], allowed, "{file}");
        assert_eq!(response["auditAnnotations"]["violations"], violations, "{file}");
    }
}
