//! Expensive expressions and pods: each is answered within the limits, and the expressions as by the judge.

use podgate::cel::meter::{EXPRESSION_COST_LIMIT, REVIEW_MEMORY};
use serde_json::{Value, json};

use crate::cel::judge::{Is, Unit};
use crate::cel::podgate::World;
use crate::cel::trials::{Report, ask};
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> = trials![
    hostile_sources_are_compiled_or_refused_as_by_the_api_server,
    on_hostile_pods_of_the_largest_size_expressions_end_by_a_result_or_a_limit,
];

/// The longest source of a policy, in bytes.
const SOURCE: usize = 1024;
/// About the API server's size limit of an object.
const BYTES: usize = 1 << 20;

/// Nests as often as the source limit allows.
fn nested(open: &str, middle: &str, close: &str) -> String {
    let times = (SOURCE - middle.len()) / (open.len() + close.len());
    format!("{}{middle}{}", open.repeat(times), close.repeat(times))
}

fn sources() -> Vec<String> {
    let nests = [
        ("(", "1", ")"),
        ("[", "", "]"),
        ("[", "1", "][0]"),
        ("{1:", "1", "}"),
        ("{1:", "1", "}[1]"),
        ("!", "true", ""),
        ("-", "1", ""),
        ("- ", "1", ""),
        ("1+", "1", ""),
        ("1-", "1", ""),
        ("", "1", "+1"),
        ("true&&", "true", ""),
        ("true||", "false", ""),
        ("true?1:", "2", ""),
        ("true?", "1", ":2"),
        ("true==", "true", ""),
        ("", "object", ".a"),
        ("", "object", ".?a"),
        ("", "object", "[0]"),
        ("", "object", "[?0]"),
        ("", "'a'", ".trim()"),
        ("", "object", "[object"),
        ("size(", "'a'", ")"),
        ("dyn(", "1", ")"),
        ("type(", "1", ")"),
        ("optional.of(", "1", ")"),
        ("has(", "a.b", ")"),
        ("[1].all(x,", "true", ")"),
        ("[1].map(x,", "x", ")"),
        ("[[1]].map(x,", "x", ").flatten()"),
        ("[1].exists(x, y,", "true", ")"),
        ("", "[1]", ".map(x,x)"),
        ("", "[1]", ".sortBy(x,x)"),
        ("", "{1:1}", ".transformMap(k,v,v)"),
        ("quantity('1').add(", "1", ")"),
        ("'%s'.format([", "1", "])"),
        ("a.", "b", "{}"),
        ("(", "", ""),
        ("[", "", ""),
        ("{", "", ""),
        ("a(", "", ""),
        ("\"", "", ""),
        ("'''", "", ""),
        ("//", "", ""),
        ("\\", "", ""),
        ("?", "", ""),
        (".", "", ""),
        (":", "", ""),
    ];
    let long = [
        format!("'{}' == ''", "x".repeat(SOURCE - 10)),
        format!("'{}'.matches('{}')", "a".repeat(400), "a?".repeat(250) + &"a".repeat(60)),
        format!("'a'.matches('{}')", "(".repeat(400) + &")".repeat(400)),
        format!("'a'.matches('{}')", "(a{9})".repeat(120)),
        format!("'a'.matches('{}a{}')", "(".repeat(160), "{9})".repeat(160)),
        format!("'a'.matches('{}')", "[^a]".repeat(250)),
        format!("'a'.matches('{}')", "\\\\pL".repeat(20)),
        format!("'{}'.format([])", "%s".repeat(500)),
        format!("'%.{}f'.format([1.0])", "9".repeat(900)),
        format!("{} == 1", "9".repeat(1000)),
        format!("{}.0 == 1.0", "9".repeat(1000)),
        format!("1e{} == 1.0", "9".repeat(1000)),
        format!("0x{} == 1", "f".repeat(1000)),
        format!("quantity('{}') == quantity('1')", "9".repeat(900)),
        format!("quantity('1e{}') == quantity('1')", "9".repeat(900)),
        format!("duration('{}h') == duration('1h')", "9".repeat(900)),
        format!("semver('{}.0.0') == semver('1.0.0')", "9".repeat(900)),
        format!("ip('{}') == ip('::1')", "0:".repeat(450)),
        format!("url('http://{}') == url('')", "%41".repeat(300)),
        format!("'{}' == ''", "\\U0001F600".repeat(100)),
        format!("[{}].size()", "[],".repeat(330)),
        format!(
            "{{{}}}.size()",
            (0..150).map(|it| format!("{it}:1")).collect::<Vec<_>>().join(",")
        ),
    ];
    let nests = nests.iter().map(|(open, middle, close)| nested(open, middle, close));
    nests.chain(long).filter(|it| it.len() <= SOURCE).collect()
}

/// Each of these macros doubles its target, and an API server would run out of memory: only podgate evaluates them.
const DOUBLING: [(&str, &str, &str); 2] = [
    ("", "optional.of(1)", ".optMap(x,x)"),
    ("", "optional.of(optional.of(1))", ".optFlatMap(x,optional.of(x))"),
];

/// Each source is compiled or refused as by the judge, and evaluated within the limits.
fn hostile_sources_are_compiled_or_refused_as_by_the_api_server() -> Result<(), String> {
    let (mut judge, world) = crate::cel::trials::prepare();
    let world = World { memory: REVIEW_MEMORY, ..world };
    let unit = |source| Unit {
        validations: vec![source],
        pods: Some(vec![0]),
        runs: 1,
        values: true,
        ..Unit::default()
    };
    let units: Vec<_> = sources().into_iter().map(unit).collect();
    let mut report = Report::default();
    ask(&mut judge, &world, &units, &mut report, &mut |_, _| {});
    for (open, middle, close) in DOUBLING {
        let answer = world.answer(&unit(nested(open, middle, close)));
        let refused = &answer.validations[0].refused;
        assert!(!refused.is_empty(), "{middle}{close}… is compiled");
        println!("{middle}{close}…: {refused}");
    }
    report.finish()
}

fn pods() -> Vec<Value> {
    let values = [
        ",".repeat(BYTES),
        "a".repeat(BYTES - 1) + "!",
        "\u{301}".repeat(BYTES / 2),
        "😀".repeat(BYTES / 4),
        "a,".repeat(BYTES / 2),
        "(".repeat(BYTES),
        "9".repeat(BYTES),
        " ".repeat(BYTES),
        "\u{0}".repeat(BYTES),
        "%s".repeat(BYTES / 2),
    ];
    let pod = |value: String| {
        json!({
            "metadata": {"name": "hostile", "annotations": {"value": value}},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        })
    };
    let many: serde_json::Map<_, _> =
        (0..60_000).map(|it| (format!("key-{it}"), json!(it.to_string()))).collect();
    let containers: Vec<_> =
        (0..20_000).map(|it| json!({"name": format!("c{it}"), "image": "a:b"})).collect();
    let others = [
        json!({"metadata": {"name": "many", "annotations": many}, "spec": {"containers": []}}),
        json!({"metadata": {"name": "containers", "annotations": {"value": ""}}, "spec": {"containers": containers}}),
    ];
    values.into_iter().map(pod).chain(others).collect()
}

/// `§` is the value.
const OF_VALUES: [&str; 34] = [
    "§.size() > 0",
    "§.split(',').size() > 0",
    "§.split('').size() > 0",
    "§.split(',', 3).size() > 0",
    "§.replace(',', ',,').size() > 0",
    "§.replace('', 'x').size() > 0",
    "§.lowerAscii().upperAscii().trim() == §",
    "§.contains('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab')",
    "§.indexOf('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab') > 0",
    "§.lastIndexOf('baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') > 0",
    "§.matches('^(a+)+$')",
    "§.matches('(x+x+)+y')",
    "§.matches('(.*)(.*)(.*)(.*)(.*)[^a]$')",
    "§.matches('^(a|aa)+$')",
    "§.matches('a{500}b')",
    "§.find('(a*)*b') == ''",
    "§.findAll('.').size() > 0",
    "§.findAll('').size() > 0",
    "'a'.matches(§)",
    "'a'.find(§) == ''",
    "quantity(§).isInteger()",
    "isQuantity(§)",
    "duration(§) > duration('1h')",
    "timestamp(§) > timestamp(0)",
    "semver(§).major() > 0",
    "ip(§).family() == 4",
    "url(§).getHost() == ''",
    "int(§) > 0 || double(§) > 0.0 || bool(§)",
    "§.format([§, §, §, §, §, §]).size() > 0",
    "'%s%s%s%s'.format([§, §, §, §]).size() > 0",
    "strings.quote(§).size() > 0",
    "bytes(§).size() > 0 && string(bytes(§)) == §",
    "(§ + § + § + §).size() > 0",
    "format.dns1123Subdomain().validate(§).hasValue()",
];

const OF_PODS: [&str; 14] = [
    "object.metadata.annotations.all(k, v, v.size() < 10)",
    "object.metadata.annotations.map(k, k).sort().size() > 0",
    "object.metadata.annotations.transformMap(k, v, v + v).size() > 0",
    "object.metadata.annotations.transformList(k, v, [k, v]).flatten().size() > 0",
    "object.metadata.annotations.transformMapEntry(k, v, {v: k}).size() > 0",
    "object.metadata.annotations == object.metadata.annotations",
    "object == object",
    "object.spec.containers.map(c, c.name).distinct().size() > 0",
    "object.spec.containers.sortBy(c, c.name).size() > 0",
    "object.spec.containers.all(c, object.spec.containers.exists(d, d.name == c.name))",
    "sets.equivalent(object.spec.containers, object.spec.containers)",
    "(object.spec.containers + object.spec.containers + object.spec.containers).size() > 0",
    "object.spec.containers.map(c, c).map(c, c).map(c, c).size() > 0",
    "'%s'.format([object]).size() > 0",
];

/// On pods of the largest size, each expression ends with a result or at a limit. The judge is not run: it has no
/// memory limit, and takes minutes.
fn on_hostile_pods_of_the_largest_size_expressions_end_by_a_result_or_a_limit() -> Result<(), String>
{
    let world = World { pods: pods(), namespaces: Vec::new(), memory: REVIEW_MEMORY };
    let of_values = OF_VALUES.iter().map(|it| it.replace('§', "object.metadata.annotations.value"));
    let expressions = of_values.chain(OF_PODS.iter().map(|it| (*it).to_owned()));
    let (mut results, mut ran_out, mut dearest) = (0, 0, 0);
    for expression in expressions {
        let unit = Unit { validations: vec![expression], ..Unit::default() };
        let answer = &world.answer(&unit).validations[0];
        if !answer.refused.is_empty() {
            return Err(format!("{}: {}", unit.validations[0], answer.refused));
        }
        for outcome in &answer.results {
            results += 1;
            ran_out += usize::from(matches!(outcome.is, Is::Budget | Is::Memory));
            // The last step may exceed the limit.
            if outcome.is != Is::Budget {
                dearest = dearest.max(outcome.cost);
            }
        }
    }
    println!(
        "{results} results on pods of a megabyte, {ran_out} of them a limit; the dearest other costs {dearest}"
    );
    if dearest > EXPRESSION_COST_LIMIT {
        return Err(format!("{dearest} units"));
    }
    if ran_out <= 20 || results - ran_out <= 200 {
        return Err(format!("{ran_out} of {results} ran out"));
    }
    Ok(())
}
