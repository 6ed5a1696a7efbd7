//! Tests that call the functions by their overloads' ids.

use super::super::declared::libraries;
use super::super::error::{Error, ErrorKind};
use super::super::function::Call;
use super::super::list::List;
use super::super::meter::{Allowance, Meter};
use super::super::value::Value;
use super::find;

/// Calls an overload with `memory` bytes to allocate.
fn call<'v>(id: &str, args: &[Value<'v>], memory: usize) -> Result<Value<'v>, Error> {
    let overload = find(id).unwrap();
    let mut meter = Meter::new(1_000_000, Allowance { memory, ..Allowance::default() });
    (overload.call)(&mut Call { meter: &mut meter, prepared: None }, args)
}

fn text(text: &str) -> Value<'_> {
    Value::borrowed(text)
}

fn list<'v>(items: &[Value<'v>]) -> Value<'v> {
    Value::List(List::new(items.to_vec()).unwrap())
}

const PLENTY: usize = 4 << 20;

fn strings(id: &str, args: &[Value<'_>]) -> Vec<String> {
    let result = call(id, args, PLENTY).unwrap();
    let list = result.as_list().unwrap();
    list.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn string(id: &str, args: &[Value<'_>]) -> String {
    call(id, args, PLENTY).unwrap().as_str().unwrap().to_owned()
}

fn int(id: &str, args: &[Value<'_>]) -> i64 {
    match call(id, args, PLENTY) {
        Ok(Value::Int(number)) => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn strings_are_split_as_go_splits_them() {
    let split = |whole, separator| strings("string_split_string", &[text(whole), text(separator)]);
    let most = |whole, separator, most| {
        strings("string_split_string_int", &[text(whole), text(separator), Value::Int(most)])
    };
    assert_eq!(split("a,b,", ","), ["a", "b", ""]);
    assert_eq!(split("é日", ""), ["é", "日"]);
    assert_eq!(split("", ","), [""]);
    assert_eq!(split("", ""), [""; 0]);
    assert_eq!(most("a b c", " ", 2), ["a", "b c"]);
    assert_eq!(most("a b c", " ", 0), [""; 0]);
    assert_eq!(most("é日x", "", 2), ["é", "日x"]);
}

#[test]
fn places_in_strings_are_code_points() {
    assert_eq!(string("string_char_at_int", &[text("é日"), Value::Int(1)]), "日");
    assert_eq!(
        string("string_substring_int_int", &[text("é日x"), Value::Int(1), Value::Int(2)]),
        "日"
    );
    assert_eq!(int("string_index_of_string", &[text("é日x"), text("x")]), 2);
    assert_eq!(int("string_last_index_of_string", &[text("éxéx"), text("éx")]), 2);
    assert_eq!(int("string_index_of_string_int", &[text("a"), text(""), Value::Int(-7)]), -7);
    let error = call("string_substring_int", &[text("é"), Value::Int(2)], PLENTY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfBounds);
}

#[test]
fn an_empty_part_is_replaced_between_all_characters() {
    let replaced = string("string_replace_string_string", &[text("é日"), text(""), text("-")]);
    assert_eq!(replaced, "-é-日-");
    let args = [text("aaa"), text("a"), text("b"), Value::Int(2)];
    assert_eq!(string("string_replace_string_string_int", &args), "bba");
}

#[test]
fn formats_print_lists_and_maps_as_literals() {
    let values = list(&[Value::Int(1), text("a\"\n"), Value::Double(0.1), Value::Null]);
    let printed = string("string_format", &[text("%s|%%|%d"), list(&[values, Value::Uint(7)])]);
    assert_eq!(printed, r#"[1, "a\"\n", 0.100000, null]|%|7"#);
    let args = [
        text("%x %X %o %b"),
        list(&[Value::Int(-255), text("é"), Value::Int(8), Value::Bool(true)]),
    ];
    assert_eq!(string("string_format", &args), "-ff C3A9 10 1");
    for format in ["%", "%z", "%.f", "%s %s", "%d"] {
        assert!(
            call("string_format", &[text(format), list(&[text("a")])], PLENTY).is_err(),
            "{format}"
        );
    }
}

#[test]
fn few_equal_elements_stay_in_their_order() {
    let keys = list(&[Value::Int(1), Value::Int(0), Value::Int(1), Value::Int(0)]);
    let items = list(&[text("a"), text("b"), text("c"), text("d")]);
    let sorted = strings("list_int_sortByAssociatedKeys", &[items, keys]);
    assert_eq!(sorted, ["b", "d", "a", "c"]);
}

#[test]
fn many_elements_are_sorted_though_some_are_no_numbers() {
    let numbers: Vec<_> = (0..100)
        .map(|it| Value::Double(if it % 7 == 0 { f64::NAN } else { f64::from(it * 37 % 100) }))
        .collect();
    assert!(call("list_double_sort", &[list(&numbers)], PLENTY).is_ok());
}

/// Calls every overload with huge arguments of every type: each call must return soon.
#[test]
fn no_function_exceeds_the_meter() {
    let long = "a,".repeat(50_000);
    let parts: Vec<_> = (0..500).map(|_| text(&long)).collect();
    let hostile = [
        text(&long),
        text(""),
        text("(a*)*"),
        Value::Int(i64::MAX),
        Value::Int(i64::MIN),
        Value::Int(0),
        Value::Uint(u64::MAX),
        Value::Double(f64::NAN),
        Value::Bool(true),
        list(&parts),
        list(&[list(&parts), list(&parts)]),
        list(&[]),
        call("string_to_quantity", &[text("1.5Gi")], PLENTY).unwrap(),
        call("string_to_cidr", &[text("10.0.0.0/8")], PLENTY).unwrap(),
    ];
    for overload in libraries().iter().flat_map(|it| &it.functions).flat_map(|it| &it.overloads) {
        if find(overload.id).is_none() {
            continue;
        }
        let mut args = vec![0; overload.params.len()];
        // All combinations of two arguments; further arguments equal the second.
        for first in 0..hostile.len() {
            for second in 0..hostile.len() {
                for (at, arg) in args.iter_mut().enumerate() {
                    *arg = if at == 0 { first } else { second };
                }
                let args: Vec<_> = args.iter().map(|at| hostile[*at].clone()).collect();
                let _ = call(overload.id, &args, PLENTY);
                if args.len() < 2 {
                    break;
                }
            }
        }
    }
}

#[test]
fn too_large_results_are_refused_before_they_are_allocated() {
    let args = [Value::Int(i64::MAX)];
    assert_eq!(call("lists_range", &args, PLENTY).unwrap_err().kind(), ErrorKind::Memory);
    let long = "x".repeat(1 << 20);
    for (id, args) in [
        ("string_replace_string_string", vec![text(&long), text(""), text(&long)]),
        ("string_split_string", vec![text(&long), text("")]),
        ("string_find_all_string", vec![text(&long), text("")]),
        ("strings_quote", vec![text(&long)]),
        ("list_join_string", vec![list(&vec![text(&long); 3]), text("")]),
        ("string_format", vec![text("%s%s%s"), list(&vec![text(&long); 3])]),
    ] {
        assert_eq!(call(id, &args, 1 << 20).unwrap_err().kind(), ErrorKind::Memory, "{id}");
    }
}
