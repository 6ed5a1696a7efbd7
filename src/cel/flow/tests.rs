use proptest::prelude::*;
use serde::de::DeserializeSeed;
use serde_json::{Value, json};

use super::super::activation::Activation;
use super::super::admission;
use super::super::compile::compile;
use super::super::library;
use super::super::meter::Meter;
use super::super::program::Program;
use super::super::tree::{PartSeed, Tree};
use super::super::wanted::Wanted;
use super::*;

fn analysis(source: &str, variables: &[(&str, &str)]) -> ReadAnalysis {
    let mut environment = admission::environment();
    let mut before = Vec::new();
    for (name, source) in variables {
        let checked = compile(source, &environment, 1024).unwrap();
        admission::define(&mut environment, name, checked.result_type());
        let its = analyze(&checked, &before, None);
        before.push((Name::from(*name), its));
    }
    analyze(&compile(source, &environment, 1024).unwrap(), &before, None)
}

fn is_same(source: &str, one: &Value, other: &Value) -> bool {
    let (one, other) = (Tree::of(one).unwrap(), Tree::of(other).unwrap());
    analysis(source, &[]).reads().same(&one.value(), &other.value())
}

/// The result of an expression, as text.
fn evaluated(source: &str, object: &Value) -> String {
    evaluated_on(source, &Tree::of(object).unwrap())
}

/// What an expression reads of an object.
fn read_part<'a>(source: &str, object: &'a Value) -> Tree<'a> {
    let mut wanted = Wanted::default();
    wanted.add_all(&analysis(source, &[]).reads());
    PartSeed { path: &[], wanted: &wanted }.deserialize(object).unwrap()
}

fn evaluated_on(source: &str, object: &Tree<'_>) -> String {
    let environment = admission::environment();
    let checked = compile(source, &environment, 1024).unwrap();
    let Ok(program) = Program::plan(&checked, &environment, &library::find) else {
        return "refused".to_owned();
    };
    let namespace = Tree::empty();
    let mut activation = Activation::new(object.value(), namespace.value(), &[]);
    match program.evaluate(&mut activation, &mut Meter::default()) {
        Ok(value) => format!("{value:?}"),
        Err(_) => "an error".to_owned(),
    }
}

fn paths(source: &str, variables: &[(&str, &str)]) -> Vec<String> {
    analysis(source, variables)
        .reads()
        .paths()
        .map(|path| format!("{path} {:?}", path.end))
        .collect()
}

#[test]
fn an_expression_reads_the_paths_that_it_goes_along() {
    for (source, read) in [
        ("object.spec.hostNetwork == true", vec!["object.spec.hostNetwork Whole"]),
        ("has(object.spec.hostNetwork)", vec!["object.spec.hostNetwork Presence"]),
        (
            "object.spec.containers.all(c, c.image != '')",
            vec!["object.spec.containers[].image Whole"],
        ),
        ("object.spec.containers.size() > 1", vec!["object.spec.containers Keys"]),
        ("object.spec.containers[0].image == ''", vec!["object.spec.containers[].image Whole"]),
        ("object['spec'].?a.b.orValue('') == ''", vec!["object.spec.a.b Whole"]),
        ("object.metadata.labels.all(k, v, v != '')", vec!["object.metadata.labels[] Whole"]),
        ("'a' in object.metadata.labels", vec!["object.metadata.labels.a Presence"]),
        (
            "object.metadata.labels[object.a] == ''",
            vec!["object.a Whole", "object.metadata.labels[] Whole"],
        ),
        (
            "(object.a ? object.b : object.c).d == 1",
            vec!["object.a Whole", "object.b.d Whole", "object.c.d Whole"],
        ),
        ("(object.a + object.b).all(c, c.d > 0)", vec!["object.a Whole", "object.b Whole"]),
        (
            "object.a.filter(c, c.x).map(c, c.y).all(d, d.z)",
            vec!["object.a[].x Whole", "object.a[].y.z Whole"],
        ),
        ("object.?a.optMap(x, x.b).orValue(1) == 1", vec!["object.a.b Whole"]),
        ("{'k': object.a.b}.k.c == 1", vec!["object.a.b.c Whole"]),
        ("object == null", vec!["object Whole"]),
        ("[object].size() == 1", vec![]),
        ("namespaceObject.metadata.name == 'a'", vec![]),
        ("object.a.first().value().b == 1", vec!["object.a[].b Whole"]),
        (
            "object.a.exists(c, object.b.exists(d, c.x == d.y))",
            vec!["object.a[].x Whole", "object.b[].y Whole"],
        ),
    ] {
        assert_eq!(paths(source, &[]), read, "{source}");
    }
}

#[test]
fn variables_read_when_they_are_taken() {
    let variables = [
        ("spec", "object.spec"),
        ("images", "variables.spec.containers.map(c, c.image)"),
        ("unused", "object.x == 1"),
    ];
    assert_eq!(paths("variables.spec.hostPID == true", &variables), ["object.spec.hostPID Whole"]);
    assert_eq!(
        paths("variables.images.all(i, i != '')", &variables),
        ["object.spec.containers[].image Whole"]
    );
    assert_eq!(paths("true", &variables), Vec::<String>::new());
}

#[test]
fn an_expression_with_too_many_paths_reads_the_whole_object() {
    let source = (0..60).map(|at| format!("object.f{at} == 1")).collect::<Vec<_>>().join("||");
    assert_eq!(paths(&source, &[]).len(), 60);
    let parts: Vec<(String, String)> = (0..3)
        .map(|at| (format!("v{at}"), source.replace(".f", &format!(".{}", ["a", "b", "c"][at]))))
        .collect();
    let variables: Vec<(&str, &str)> =
        parts.iter().map(|(name, source)| (&**name, &**source)).collect();
    assert_eq!(paths("variables.v0 || variables.v1 || variables.v2", &variables), ["object Whole"]);
}

#[test]
fn objects_are_the_same_where_they_are_the_same_along_the_paths() {
    let old = json!({"a": [{"x": 1, "y": 1}], "b": {"k": 1}, "c": 0});
    for (source, new, same) in [
        ("object.a.all(e, e.x > 0)", json!({"a": [{"x": 1, "y": 2}], "b": {}, "c": 2}), true),
        (
            "object.a.all(e, e.x > 0)",
            json!({"a": [{"x": 2, "y": 1}], "b": {"k": 1}, "c": 0}),
            false,
        ),
        ("object.a.all(e, e.x > 0)", json!({"a": [{"x": 1}, {"x": 1}]}), false),
        ("object.a.all(e, e.x > 0)", json!({}), false),
        ("has(object.b.k)", json!({"b": {"k": 2}}), true),
        ("has(object.b.k)", json!({"b": {"l": 1}}), false),
        ("has(object.b.z)", json!({"b": {"k": 2}}), true),
        ("has(object.b.z)", json!({}), false),
        ("object.b.size() == 1", json!({"b": {"k": 2}}), true),
        ("object.b.size() == 1", json!({"b": {"l": 1}}), false),
        ("has(object.c)", json!({}), false),
        ("object.?d.orValue(1) == 1", json!({"e": 1}), true),
        ("object == null", json!({"a": 1}), false),
    ] {
        assert_eq!(is_same(source, &old, &new), same, "{source} on {new}");
    }
}

#[test]
fn an_object_is_read_as_far_as_an_expression_goes() {
    let object = json!({
        "metadata": {"name": "x", "labels": {"a": "1", "b": "2"}, "managedFields": [1]},
        "spec": {"containers": [{"image": "i", "args": ["a"]}, {"image": "j"}], "volumes": [{"name": "v"}]},
        "status": {"phase": "Running"},
    });
    for (source, part) in [
        ("true", json!({})),
        (
            "object.spec.containers.all(c, c.image != '')",
            json!({"spec": {"containers": [{"image": "i"}, {"image": "j"}]}}),
        ),
        (
            "object.spec.containers.size() > 1",
            json!({"spec": {"containers": [{"image": "i", "args": ["a"]}, {"image": "j"}]}}),
        ),
        (
            "has(object.spec.volumes) && object.spec.x.y",
            json!({"spec": {"volumes": [{"name": "v"}]}}),
        ),
        ("object.metadata.labels.a == ''", json!({"metadata": {"labels": {"a": "1"}}})),
        (
            "object.metadata.labels.all(k, v, v != '')",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
        ),
        (
            "object.metadata.labels.all(k, v, v.c) && object.metadata.labels.a.d",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
        ),
        (
            "object.metadata == object.metadata",
            json!({"metadata": {"name": "x", "labels": {"a": "1", "b": "2"}}}),
        ),
    ] {
        assert_eq!(read_part(source, &object), Tree::of(&part).unwrap(), "{source}");
    }
}

#[test]
fn a_text_is_read_as_one_object_and_nothing_after_it() {
    let mut wanted = Wanted::default();
    wanted.add_all(&analysis("object.a", &[]).reads());
    let part = PartSeed { path: &[], wanted: &wanted };
    assert_eq!(part.read(r#" {"a": 1, "b": 2} "#).unwrap(), Tree::of(&json!({"a": 1})).unwrap());
    for broken in ["", r#"{"a": 1"#, r#"{"a": 1} {}"#] {
        assert!(part.read(broken).is_err(), "{broken}");
    }
}

fn part() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "object.a",
        "object.b",
        "object.a.x",
        "object.?b.x.orValue(1)",
        "object.a[0]",
        "1",
        "'x'",
        "[1]",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("dyn({a}) == dyn({b})")),
            inner.clone().prop_map(|a| format!("dyn({a}).all(e, e == 1)")),
            inner.clone().prop_map(|a| format!("has(dyn({a}).x)")),
            inner.clone().prop_map(|a| format!("dyn({a}).x")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("dyn({a}).map(e, dyn({b}))")),
            inner.clone().prop_map(|a| format!("dyn({a}).size()")),
            inner.clone().prop_map(|a| format!("dyn({a}).filter(e, has(e.x))")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(dyn({a}) == 1 ? dyn({b}) : dyn({c}))")),
            inner.clone().prop_map(|a| format!("{{'x': dyn({a})}}.x")),
            inner.prop_map(|a| format!("'x' in dyn({a})")),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(json!(1)),
        Just(json!("x")),
        Just(json!({"x": 1})),
        Just(json!({"x": 2, "y": 1})),
        Just(json!([1])),
        Just(json!([{"x": 1}, {}])),
        Just(json!([])),
        Just(Value::Null),
    ];
    prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), value, 0..3)
        .prop_map(|fields| json!(fields))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn equal_reads_give_equal_results(source in part(), one in object(), other in object()) {
        let compiles = compile(&source, &admission::environment(), 1024).is_ok();
        if compiles && is_same(&source, &one, &other) {
            prop_assert_eq!(evaluated(&source, &one), evaluated(&source, &other), "{}", source);
        }
    }

    #[test]
    fn what_is_not_read_may_be_missing(source in part(), object in object()) {
        if compile(&source, &admission::environment(), 1024).is_ok() {
            let of_part = evaluated_on(&source, &read_part(&source, &object));
            prop_assert_eq!(of_part, evaluated(&source, &object), "{}", source);
        }
    }
}
