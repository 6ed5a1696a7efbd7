//! podgate's values and types as text, in the judge's notation (`vapeval/render.go`, and `common/types/types.go` of
//! cel-go).

use podgate::cel::types::Type;
use podgate::cel::value::Value;

/// A value as the judge writes it.
pub fn value(of: &Value<'_>) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match of {
        Value::Null => "null".to_owned(),
        Value::Bool(it) => it.to_string(),
        Value::Int(it) => it.to_string(),
        Value::Uint(it) => format!("{it}u"),
        Value::Double(it) => double(*it),
        Value::String(it) => format!("\"{}\"", it.as_str()),
        Value::Bytes(it) => {
            let digits = it.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            format!("bytes({digits})")
        }
        Value::List(items) => format!("[{}]", list(items.iter().map(value).collect())),
        Value::Map(entries) => {
            let pair =
                |(key, its): &(Value<'_>, Value<'_>)| format!("{}: {}", value(key), value(its));
            let mut entries: Vec<_> = entries.as_slice().iter().map(pair).collect();
            entries.sort();
            format!("{{{}}}", list(entries))
        }
        Value::Timestamp(it) => format!("timestamp({}, {})", it.seconds, it.nanos),
        Value::Duration(it) => format!("duration({})", it.0),
        Value::Type(name) => format!("type({name})"),
        Value::Optional(it) => it
            .value()
            .map_or_else(|| "optional.none".to_owned(), |it| format!("optional({})", value(it))),
        Value::Opaque(it) => format!("a {}", it.type_name()),
    }
}

/// As Go's `strconv.FormatFloat(it, 'e', -1, 64)`.
fn double(it: f64) -> String {
    if it.is_nan() {
        return "NaN".to_owned();
    }
    if it.is_infinite() {
        return if it > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{it:e}");
    let (digits, exponent) = text.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A type as the judge names it.
pub fn type_name(of: &Type) -> String {
    match of {
        Type::List(element) => format!("list({})", type_name(element)),
        Type::Map(key, value) => format!("map({}, {})", type_name(key), type_name(value)),
        Type::Optional(value) => format!("optional_type({})", type_name(value)),
        Type::Type(Some(of)) => format!("type({})", type_name(of)),
        Type::Wrapper(of) => format!("wrapper({})", type_name(of)),
        other => other.runtime_name().to_owned(),
    }
}

/// Expressions of `it` that distinguish values of Kubernetes' own types, by type.
pub fn probe(of: &str) -> Option<&'static str> {
    Some(match of {
        "kubernetes.Quantity" => {
            "[string(it.asApproximateFloat()), string(it.isInteger()), string(sign(it)), \
             string(it.compareTo(quantity('1'))), string(it.add(quantity('1n')).sub(quantity('1n')) == it)]"
        }
        "kubernetes.Semver" => {
            "[string(it.major()), string(it.minor()), string(it.patch()), \
             string(it.compareTo(semver('1.2.3-beta.2'))), string(it == semver('1.2.3+b'))]"
        }
        "net.IP" => {
            "[string(it), string(it.family()), string(it.isLoopback()), string(it.isUnspecified()), \
             string(it.isLinkLocalUnicast()), string(it.isLinkLocalMulticast()), string(it.isGlobalUnicast())]"
        }
        "net.CIDR" => {
            "[string(it), string(it.ip()), string(it.prefixLength()), string(it.masked()), \
             string(it.containsIP('10.1.2.3'))]"
        }
        "kubernetes.URL" => {
            "[it.getScheme(), it.getHost(), it.getHostname(), it.getPort(), it.getEscapedPath(), \
             it.getQuery().transformList(k, v, k + '=' + v.join('+')).sort().join('&')]"
        }
        "kubernetes.NamedFormat" => {
            "['A', 'a-b', '', 'a/b', '1', '2024-01-01'].map(text, it.validate(text).orValue([]).size())"
        }
        _ => return None,
    })
}
