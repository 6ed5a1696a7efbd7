use proptest::prelude::*;

use super::super::admission;
use super::*;

const MAX: usize = 1024;

fn type_of(source: &str) -> String {
    match compile(source, &admission::environment(), MAX) {
        Ok(checked) => checked.result_type().to_string(),
        Err(error) => panic!("{source}: {error}"),
    }
}

fn refusal(source: &str) -> String {
    match compile_validation(source, &admission::environment(), MAX) {
        Ok(checked) => panic!("{source}: {}", checked.result_type()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn operators_bind_as_in_the_grammar_of_cel() {
    for source in [
        "1 + 2 * 3 == 7 && !false || true ? 1 == 1 : 2 < 3",
        "1 in [1] in [true] == true",
        "-1 - -1 == 0",
        "--1 == 1",
        "!!true",
        "!-1 in [true]",
        "1 - 2 - 3 < 0 == true",
    ] {
        let compiled = compile(source, &admission::environment(), MAX);
        assert_eq!(compiled.is_ok(), !source.starts_with("!-"), "{source}: {compiled:?}");
    }
}

#[test]
fn literals_have_the_types_of_their_forms() {
    for (source, of) in [
        ("1", "int"),
        ("-9223372036854775808", "int"),
        ("0x7f", "int"),
        ("1u", "uint"),
        ("0xFFu", "uint"),
        (".5", "double"),
        ("1e-3", "double"),
        ("'a' + \"b\" + '''c\nd''' + r'\\d'", "string"),
        ("b'\\xff\\377'", "bytes"),
        ("'\\u00e9\\U0001F600\\x41\\101\\?\\`'", "string"),
        ("null", "null"),
        ("[1, 2,]", "list(int)"),
        ("[,]", "list(dyn)"),
        ("{,}", "map(dyn, dyn)"),
        ("{'a': [1u]}", "map(string, list(uint))"),
        ("[?optional.of(1), 2]", "list(int)"),
        ("google.protobuf.Int64Value{value: 1}", "int or null"),
    ] {
        assert_eq!(type_of(source), of, "{source}");
    }
}

#[test]
fn malformed_literals_are_refused() {
    for source in [
        "9223372036854775808",
        "18446744073709551616u",
        "1e400",
        "'a",
        "'a\nb'",
        "'\\d'",
        "'\\uD800'",
        "'\\400'",
        "b'\\u0041'",
        "0x",
        "1.",
        "[,,]",
        "[1 2]",
        "{1}",
        "'''a",
    ] {
        refusal(source);
    }
}

#[test]
fn names_resolve_to_types_and_functions_with_dots() {
    assert_eq!(type_of("type(ip('1.1.1.1')) == net.IP"), "bool");
    assert_eq!(type_of("sets.contains([1], [])"), "bool");
    assert_eq!(type_of(".object"), "dyn");
    assert_eq!(type_of("google.protobuf.NullValue.NULL_VALUE"), "int");
    assert_eq!(type_of("optional.none()"), "optional(dyn)");
    assert_eq!(type_of("namespaceObject.metadata.labels"), "map(string, string)");
    assert_eq!(type_of("namespaceObject.metadata.?labels.a"), "optional(string)");
}

#[test]
fn overloads_give_the_type_of_those_that_fit() {
    assert_eq!(type_of("object.x + 1"), "int");
    assert_eq!(type_of("object.x + object.y"), "dyn");
    assert_eq!(type_of("object.x.size()"), "int");
    assert_eq!(type_of("[1, 2].map(x, string(x))"), "list(string)");
    assert_eq!(type_of("{'a': 1}.transformMap(k, v, v > 0)"), "map(string, bool)");
    assert_eq!(type_of("{'a': 1}.transformMapEntry(k, v, {v: k})"), "map(int, string)");
    assert_eq!(type_of("optional.of(1).optMap(x, x + 1)"), "optional(int)");
    assert_eq!(type_of("[3, 1].sortBy(x, -x)"), "list(int)");
    assert_eq!(type_of("true ? [] : [1]"), "list(int)");
    assert_eq!(type_of("object.spec.containers.all(c, c.image != '')"), "bool");
}

#[test]
fn a_field_may_have_a_reserved_name_and_a_variable_may_not() {
    assert_eq!(type_of("object.for.if.namespace"), "dyn");
    assert_eq!(
        refusal("for == 1"),
        "1:1: for is a reserved word; a variable or a function cannot have this name"
    );
    refusal("object.in == 1");
    refusal("object.true == 1");
}

#[test]
fn lists_and_maps_are_of_one_type_but_in_formats() {
    assert_eq!(type_of("'%d of %s'.format([1, 'a'])"), "string");
    assert_eq!(type_of("[dyn(1), dyn('a')]"), "list(dyn)");
    let refused = refusal("[1, 'a'].size() == 2");
    assert!(
        refused
            .starts_with("1:5: a list must be of one type: the first is int, and this is string"),
        "{refused}"
    );
    refusal("{'a': 1, 'b': 'c'}.size() == 1");
    refusal("[1, dyn(1)].size() == 1");
    refusal("[?dyn(1)].size() == 1");
}

#[test]
fn a_refusal_that_quotes_the_source_has_no_control_characters() {
    let refusal = refusal("'a'.matches('[0-\u{b}]')");
    assert!(refusal.ends_with(r"0-\u{b} is not a range or class of characters"), "{refusal}");
}

#[test]
fn variables_of_the_request_are_refused_with_the_reason() {
    for name in ["request", "oldObject", "params", "authorizer"] {
        let refused = refusal(&format!("{name}.x == 1"));
        assert!(refused.starts_with(&format!("1:1: {name} is not available: ")), "{refused}");
    }
}

#[test]
fn an_error_has_a_position_and_a_suggestion() {
    for (source, message) in [
        (
            "object.metadata.name.startswith('a')",
            "1:22: there is no function startswith(); did you mean startsWith()?",
        ),
        (
            "objct.x == 1",
            "1:1: there is no variable objct; did you mean object?; there are object, namespaceObject and variables; write text in quotes",
        ),
        ("variables.a", "1:11: variables has no a; no variable is defined before it"),
        (
            "namespaceObject.metadata.label == {}",
            "1:26: namespaceObject.metadata has no label; did you mean labels?; there are name, generateName, namespace, labels, annotations, UID, \
             creationTimestamp, deletionGracePeriodSeconds, deletionTimestamp, generation, resourceVersion and finalizers",
        ),
        ("object.x = 1", "1:10: write == to compare; there is no assignment"),
        ("object.x == 1 and true", "1:15: and cannot stand here; write && for and"),
        (
            "'a'.size('b')",
            "1:5: there is no string.size(string); there is bytes.size() -> int, list(A).size() -> int, map(A, B).size() -> int, string.size() -> int",
        ),
        (
            "1 == 'a'",
            "1:3: int and string are never equal; compare values of one type, as with string(x), int(x) or double(x)",
        ),
        (
            "1 + 1.0 == 2.0",
            "1:3: + does not take int and double; write double(x) around the int, or 1.0 for 1",
        ),
        (
            "[1].all(x > 0)",
            "1:5: all() is written as range.all(x, condition) or range.all(k, v, condition)",
        ),
        ("[1].all(1, true)", "1:9: a variable's name is expected here, as x in list.all(x, x > 0)"),
        ("[1].all(x, x)", "1:12: this is an int, and && and conditions take a bool"),
        (
            "int([]) == 1",
            "1:1: int() takes int, double, duration, string, timestamp, uint, and this is a list(dyn)",
        ),
        (
            "quantity('1') < quantity('2')",
            "1:15: < does not take kubernetes.Quantity and kubernetes.Quantity; write isLessThan(), isGreaterThan() or compareTo()",
        ),
        ("1 in 1", "1:3: in does not take int and int; its right side must be a list or a map"),
        (
            "[1].sortBy(x, [x]) == [1]",
            "1:5: sortBy() takes a key that can be compared, such as an int or a string, and these are list(list(int))",
        ),
        (
            "object.?a.first() == 1",
            "1:11: there is no optional(dyn).first(); there is list(V).first() -> optional(V); write .orValue(…) after the optional for its value",
        ),
        ("has(object)", "1:5: has() takes a field, as in has(object.spec.hostNetwork)"),
        (
            "object.x",
            "1:8: a validation must be a bool, and this is dyn; compare it, as with == true",
        ),
        (
            "object.containers.0.image == ''",
            "1:18: .0 cannot stand here; an operator, such as == or &&, or the end should follow",
        ),
        (
            "size == 1",
            "1:1: size is a function; call it as size(bytes) -> int, bytes.size() -> int, size(list(A)) -> int",
        ),
        ("(1", "1:3: the expression ends here; a ) should close the parenthesis"),
        (
            "\n  'é' == x",
            "2:10: there is no variable x; there are object, namespaceObject and variables; write text in quotes",
        ),
    ] {
        assert_eq!(refusal(source), message.replace("             ", ""), "{source}");
    }
}

#[test]
fn a_variable_has_the_type_it_came_to_for_those_after_it() {
    let mut environment = admission::environment();
    let images =
        compile("object.spec.containers.map(c, string(c.image))", &environment, MAX).unwrap();
    admission::define(&mut environment, "images", images.result_type());
    let address = compile("ip('1.1.1.1')", &environment, MAX).unwrap();
    admission::define(&mut environment, "address", address.result_type());
    let of =
        |source: &str| compile(source, &environment, MAX).map(|it| it.result_type().to_string());
    assert_eq!(of("variables.images").unwrap(), "list(string)");
    // Kubernetes knows only the language's own types of variables.
    assert_eq!(of("variables.address").unwrap(), "dyn");
    let refused = of("variables.image").unwrap_err().to_string();
    assert_eq!(
        refused,
        "1:11: variables has no image; did you mean images?; there are images and address"
    );
}

#[test]
fn nesting_is_bounded_as_by_the_api_server() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        let source = format!("{}{inner}{}", open.repeat(times), close.repeat(times));
        compile(&source, &admission::environment(), 100_000).is_ok()
    };
    for (open, inner, close, most) in [
        ("(", "1", ")", 249),
        ("[", "", "]", 250),
        ("-(", "1", ")", 249),
        ("", "object", ".a", 250),
        ("", "object", "[0]", 250),
        ("1+", "1", "", 250),
        ("true?1:", "1", "", 249),
        ("1+(", "1", ")", 124),
    ] {
        assert!(nested(open, inner, close, most), "{open}{inner}{close} {most} times");
        assert!(!nested(open, inner, close, most + 1), "{open}{inner}{close} {} times", most + 1);
    }
    assert!(nested("true&&", "true", "", 1000));
    assert!(nested("!", "true", "", 2000));
}

#[test]
fn the_deepest_trees_are_checked_on_an_ordinary_stack() {
    for (open, inner, close) in [
        ("[1].all(x, ", "true", ")"),
        ("[1].map(x, true, ", "1", ")"),
        ("[1].sortBy(x, ", "[]", ".size())"),
        ("object.?a.optMap(x, ", "1", ")"),
        ("{1: [{1: ", "1", "}]}"),
        ("-(1 + object[", "0", "])"),
    ] {
        let deepest = [249, 240, 124, 120, 83, 80].into_iter().find_map(|times| {
            let source = format!("{}{inner}{}", open.repeat(times), close.repeat(times));
            compile(&source, &admission::environment(), 100_000).ok()
        });
        let deepest = deepest.unwrap();
        let depth = deepest.ast().depth();
        assert!(depth > 200, "{open}: {depth}");
        let analysis = super::super::flow::analyze(&deepest, &[], None);
        assert!(analysis.warnings.is_empty());
        let _ = super::super::program::Program::plan(
            &deepest,
            &admission::environment(),
            &super::super::library::find,
        );
    }
}

#[test]
fn bombs_are_refused_before_they_grow() {
    let chain = format!("object.?a{}", ".optMap(x, x)".repeat(60));
    assert!(refusal(&chain).contains("has more than 10000 parts"));
    let doubling = format!("[1]{}.size() == 1", ".map(x, {x: x})".repeat(60));
    assert!(refusal(&doubling).contains("the types of its parts are too complex"));
    assert!(refusal(&"a".repeat(MAX + 1)).contains("1024 are allowed"));
    for part in [
        "(",
        "[",
        "{1:",
        "!",
        "-",
        "a.",
        "a(",
        "[1].map(x,",
        "true?",
        "object.?a.optMap(x,",
        "'",
        "\\",
    ] {
        refusal(&part.repeat(MAX / part.len()));
    }
}

#[test]
fn the_declarations_say_how_they_are_called() {
    let environment = admission::environment();
    let overloads = environment.function("charAt").unwrap();
    assert_eq!(
        super::super::declarations::signature("charAt", &overloads[0]),
        "string.charAt(int) -> string"
    );
}

proptest! {
    #[test]
    fn no_text_panics(source in "\\PC{0,200}") {
        let _ = compile(&source, &admission::environment(), MAX);
    }

    #[test]
    fn no_tokens_panic(parts in prop::collection::vec(prop::sample::select(vec![
        "object", ".spec", "[0]", "?", ".", "(", ")", "[", "]", "{", "}", "1", "'a'", "b'a'", "&&", "||", "==", "in", "!", "-", ":", ",",
        ".all(x, ", ".map(x, y, ", ".optMap(v, ", "has(", "size(", "x", "[?", "{?", ".?a", "null", "1u", "1.5", "type(", "dyn(", "''' '", "\\",
    ]), 0..40)) {
        let _ = compile(&parts.concat(), &admission::environment(), MAX);
    }
}
