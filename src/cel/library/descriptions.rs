//! One-line descriptions of functions and macros, for the documentation.

/// The description of a function. Operators, and functions that only macros call, have none.
pub fn description(function: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(name, _)| *name == function).map(|(_, text)| *text)
}

/// Variables that Kubernetes has and podgate refuses, with the reason.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "authorizer",
        "a user's permissions are not a property of a workload, and the audit and a scan have no user",
    ),
    (
        "request",
        "the audit and a scan evaluate objects without a request, and must reach the same verdict",
    ),
    (
        "oldObject",
        "the audit and a scan have no old object; a violation that an update does not change is inherited anyway",
    ),
    ("params", "a policy has no parameter resources"),
];

/// Macros and forms of syntax, with their descriptions.
pub const MACROS: &[(&str, &str)] = &[
    ("has(e.f)", "whether the field exists"),
    ("e.all(x, p)", "whether `p` holds for all elements, or keys of a map"),
    ("e.exists(x, p)", "whether `p` holds for at least one element"),
    ("e.exists_one(x, p)", "whether `p` holds for exactly one element"),
    ("e.filter(x, p)", "the elements for which `p` holds"),
    ("e.map(x, t)", "the list of the values of `t`, one for each element"),
    ("e.map(x, p, t)", "the list of the values of `t`, one for each element for which `p` holds"),
    ("e.all(k, v, p)", "as with one variable, for index and element, or key and value"),
    ("e.exists(k, v, p)", "as with one variable, for index and element, or key and value"),
    (
        "e.existsOne(k, v, p)",
        "as `exists_one`, for index and element, or key and value; also written `exists_one`",
    ),
    ("e.transformList(k, v, t)", "the list of the values of `t`, one for each element or entry"),
    ("e.transformList(k, v, p, t)", "the same, only for elements or entries for which `p` holds"),
    ("e.transformMap(k, v, t)", "the map with the same keys, and the values of `t`"),
    ("e.transformMap(k, v, p, t)", "the same, only for elements or entries for which `p` holds"),
    (
        "e.transformMapEntry(k, v, m)",
        "the map of all entries of the maps `m`, one map for each element or entry",
    ),
    (
        "e.transformMapEntry(k, v, p, m)",
        "the same, only for elements or entries for which `p` holds",
    ),
    ("e.sortBy(x, k)", "the elements, sorted by the values of `k`"),
    ("o.optMap(x, t)", "an optional with the value of `t`, where `x` is the optional's value"),
    ("o.optFlatMap(x, t)", "the optional `t`, where `x` is the optional's value"),
    ("e.?f", "the field as an optional"),
    ("e[?k]", "the element or entry as an optional"),
    ("[?o]", "an element that is left out if the optional has no value"),
    ("{?k: o}", "an entry that is left out if the optional has no value"),
];

const FUNCTIONS: &[(&str, &str)] = &[
    ("size", "the number of code points of a string, bytes, elements or entries"),
    ("type", "the type of a value"),
    ("dyn", "the value, with a type that is unknown to the checker"),
    ("bool", "converts to a bool"),
    ("bytes", "converts to bytes"),
    ("double", "converts to a double"),
    (
        "int",
        "converts to an int; a double loses its fraction, a timestamp becomes seconds, a duration nanoseconds",
    ),
    ("uint", "converts to a uint"),
    ("string", "converts to a string"),
    ("duration", "reads a duration such as `1h30m`"),
    ("timestamp", "reads an RFC 3339 time, or takes seconds since 1970"),
    ("contains", "whether the string has the part"),
    ("startsWith", "whether the string begins with the part"),
    ("endsWith", "whether the string ends with the part"),
    ("matches", "whether the RE2 pattern matches somewhere in the string"),
    ("getFullYear", "the year, in UTC or a time zone"),
    ("getMonth", "the month, counted from 0"),
    ("getDayOfYear", "the day of the year, counted from 0"),
    ("getDayOfMonth", "the day of the month, counted from 0"),
    ("getDate", "the day of the month, counted from 1"),
    ("getDayOfWeek", "the day of the week, Sunday is 0"),
    ("getHours", "the hour of a time, or a duration in hours"),
    ("getMinutes", "the minute of a time, or a duration in minutes"),
    ("getSeconds", "the second of a time, or a duration in seconds"),
    ("getMilliseconds", "the milliseconds of a time, or a duration in milliseconds"),
    ("optional.of", "an optional that has the value"),
    (
        "optional.ofNonZeroValue",
        "an optional that has the value unless that is empty, zero, false or null",
    ),
    ("optional.none", "an optional without a value"),
    ("hasValue", "whether the optional has a value"),
    ("value", "the optional's value; an error without one"),
    ("or", "this optional if it has a value, else the other"),
    ("orValue", "the optional's value, or the other value"),
    ("optional.unwrap", "the values of those optionals that have one"),
    ("unwrapOpt", "the values of those optionals that have one"),
    ("first", "the first element, as an optional"),
    ("last", "the last element, as an optional"),
    ("charAt", "the character at an index, `''` at the end"),
    ("indexOf", "the first index of a part or an element, -1 without one"),
    ("lastIndexOf", "the last index of a part or an element, -1 without one"),
    ("join", "the strings of a list as one, with a separator between them"),
    ("lowerAscii", "the string with ASCII letters in lower case"),
    ("upperAscii", "the string with ASCII letters in upper case"),
    ("replace", "the string with a part replaced, everywhere or at most a number of times"),
    ("split", "the parts between separators, at most a number of them"),
    ("substring", "the part from one index to the end, or up to but not including another index"),
    ("trim", "the string without white space at its ends"),
    ("format", "fills in `%s`, `%d`, `%f`, `%e`, `%b`, `%x`, `%X` and `%o` from a list"),
    ("strings.quote", "the string as a literal of CEL"),
    ("find", "the first match of an RE2 pattern, `''` without one"),
    ("findAll", "all matches of an RE2 pattern, or at most a number of them"),
    ("isSorted", "whether the elements are in ascending order"),
    ("sum", "the sum of numbers or durations"),
    ("max", "the greatest element; an error if there is none"),
    ("min", "the least element; an error if there is none"),
    ("slice", "the elements from one index up to but not including another"),
    ("flatten", "the elements of the lists in the list, to a depth (1 without it)"),
    ("sort", "the elements in ascending order"),
    ("lists.range", "the ints from 0 up to but not including the number"),
    ("reverse", "the elements from the last to the first"),
    ("distinct", "the elements, equal ones once"),
    ("sets.contains", "whether the first list has all elements of the second"),
    ("sets.equivalent", "whether two lists have the same elements"),
    ("sets.intersects", "whether two lists share an element"),
    ("quantity", "reads a Kubernetes quantity such as `100m` or `1.5Gi`"),
    ("isQuantity", "whether the string is a quantity"),
    ("sign", "-1, 0 or 1"),
    ("isGreaterThan", "whether the quantity or version is greater"),
    ("isLessThan", "whether the quantity or version is less"),
    ("compareTo", "-1, 0 or 1, as the quantity or version is less, equal or greater"),
    ("asApproximateFloat", "the quantity as a double"),
    ("asInteger", "the quantity as an int; an error where `isInteger` is false"),
    ("isInteger", "whether `asInteger` gives the quantity"),
    ("add", "the sum with a quantity or an int"),
    ("sub", "the difference from a quantity or an int"),
    ("semver", "reads a semantic version; with `true` also `v1.2` and leading zeros"),
    ("isSemver", "whether the string is a semantic version"),
    ("major", "the version's first number"),
    ("minor", "the version's second number"),
    ("patch", "the version's third number"),
    ("ip", "reads an IP address, or gives the address of a CIDR block"),
    ("isIP", "whether the string is an IP address"),
    ("ip.isCanonical", "whether the address is written in its shortest form"),
    ("family", "4 or 6"),
    ("isUnspecified", "whether it is `0.0.0.0` or `::`"),
    ("isLoopback", "whether it is a loopback address"),
    ("isLinkLocalMulticast", "whether it is a link-local multicast address"),
    ("isLinkLocalUnicast", "whether it is a link-local address"),
    (
        "isGlobalUnicast",
        "whether it is neither unspecified, loopback, multicast, broadcast nor link-local; private addresses are global",
    ),
    ("cidr", "reads a CIDR block"),
    ("isCIDR", "whether the string is a CIDR block"),
    ("containsIP", "whether the address is in the block"),
    ("containsCIDR", "whether the other block is in this one"),
    ("prefixLength", "how many bits the block's prefix has"),
    ("masked", "the block with its address cut to the prefix"),
    ("url", "reads an absolute URL or an absolute path"),
    ("isURL", "whether the string is an absolute URL or an absolute path"),
    ("getScheme", "the URL's scheme"),
    ("getHost", "the URL's host with its port"),
    ("getHostname", "the URL's host without its port"),
    ("getPort", "the URL's port"),
    ("getEscapedPath", "the URL's path, percent-encoded"),
    ("getQuery", "the URL's parameters, each with its values"),
    ("format.named", "a named format, as an optional"),
    ("validate", "an optional with what is wrong with the string; empty if the string is valid"),
    ("format.dns1123Label", "the format of a DNS label (RFC 1123)"),
    ("format.dns1123Subdomain", "the format of a DNS subdomain (RFC 1123)"),
    ("format.dns1035Label", "the format of a Service's name (RFC 1035)"),
    ("format.qualifiedName", "the format of a label's key"),
    ("format.dns1123LabelPrefix", "the format of a prefix of a DNS label"),
    ("format.dns1123SubdomainPrefix", "the format of a prefix of a DNS subdomain"),
    ("format.dns1035LabelPrefix", "the format of a prefix of a Service's name"),
    ("format.labelValue", "the format of a label's value"),
    ("format.uri", "the format of a URL"),
    ("format.uuid", "the format of a UUID"),
    ("format.byte", "base64"),
    ("format.date", "the format `YYYY-MM-DD`"),
    ("format.datetime", "the format of an RFC 3339 time"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::declared::{authorization::AUTHORIZATION, libraries};
    use super::*;

    #[test]
    fn every_function_that_can_be_called_is_described_and_no_other() {
        let declared: BTreeSet<_> = libraries()
            .iter()
            .filter(|library| library.name != AUTHORIZATION)
            .flat_map(|library| &library.functions)
            .map(|function| function.name)
            .filter(|name| !name.contains(['_', '@']))
            .collect();
        let described: BTreeSet<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(declared, described);
        assert_eq!(described.len(), FUNCTIONS.len(), "each once");
    }
}
