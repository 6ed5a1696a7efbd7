//! Texts and numbers, ordinary and malformed.

use super::Choices;

pub const TEXTS: [&str; 30] = [
    "",
    "a",
    "web",
    "nginx:1.29",
    "ghcr.io/team/api:v1.2.3",
    "app",
    "a,b,c",
    "a.b/c",
    "aaa",
    "ABC",
    " a ",
    "é",
    "中文",
    "e\u{301}",
    "👩‍👩‍👧",
    "true",
    "false",
    "1",
    "-1",
    "0x10",
    "1.5",
    "NaN",
    "%s",
    "null",
    "a\nb",
    "\0",
    "'",
    "\\",
    "latest",
    "1e3",
];
const PATTERNS: [&str; 44] = [
    "",
    "a",
    "^a",
    "a$",
    "^[a-z]+$",
    "[0-9]+",
    "\\d",
    "\\w+",
    "\\s",
    "\\bapp\\b",
    "(a|b)+",
    "(?i)WEB",
    "a{2}",
    "a{,2}",
    "a*?",
    "(",
    "[",
    ")",
    "*",
    "a**",
    "(?=a)",
    "(?P<x>a)",
    "(?P<x>a)(?P<x>b)",
    "\\pL",
    "\\p{Greek}",
    "[[:alpha:]]",
    "[^a]",
    "\\x{e9}",
    "\\Qa.b\\E",
    "a|",
    ".",
    "(?s).",
    "(?m)^b$",
    "\\z",
    "\\Z",
    "[a&&b]",
    "[[a]",
    "\\1",
    "^(ghcr\\.io|quay\\.io)/",
    ":[^:/]+$",
    "(?U)a+",
    "[]a]",
    "a{1001}",
    "[\\w-]+",
];
const QUANTITIES: [&str; 34] = [
    "0",
    "1",
    "500m",
    "1Ki",
    "1.5Gi",
    "1k",
    "1K",
    "1e3",
    "1E3",
    "1e",
    "1E",
    "-1",
    "+1",
    ".5",
    "5.",
    "",
    " 1",
    "1Mi ",
    "100n",
    "0.1n",
    "1u",
    "1Ei",
    "16Ei",
    "9223372036854775807",
    "9223372036854775808",
    "1e18",
    "1e19",
    "1e-9",
    "1e-10",
    "0.0000000001",
    "1_0",
    "Ki",
    "1.2.3",
    "0.5Ki",
];
const DURATIONS: [&str; 22] = [
    "1h",
    "0",
    "0s",
    "1m30s",
    "-1.5h",
    "1.5s",
    "500ms",
    "1us",
    "1µs",
    "1ns",
    "0.5ns",
    "1d",
    "",
    "1",
    "s",
    ".s",
    "1h-1m",
    "+5m",
    "2562047h",
    "2562048h",
    "9223372036854775807ns",
    "9223372036854775808ns",
];
const TIMES: [&str; 24] = [
    "2024-02-29T12:34:56Z",
    "1970-01-01T00:00:00Z",
    "2024-01-01T00:00:00.123456789Z",
    "2024-01-01T00:00:00+05:30",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2023-02-29T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01",
    "",
    "x",
    "2024-01-01T00:00:00",
    "2024-01-01 00:00:00Z",
    "2024-01-01T00:00:00z",
    "2024-01-01T1:00:00Z",
    "2024-01-01T00:00:00,5Z",
    "2024-01-01T00:00:60Z",
    "10000-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "2024-1-1T00:00:00Z",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00-00:00",
    "1969-12-31T23:59:59.999Z",
];
const ZONES: [&str; 18] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "+01:00",
    "-08:30",
    "01:00",
    "+1:0",
    "",
    "Z",
    "utc",
    "Local",
    "Mars/X",
    "+99:99",
    ":",
    "a:b",
    "EST5EDT",
    "../UTC",
];
const ADDRESSES: [&str; 26] = [
    "10.0.0.1",
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "2001:db8::1",
    "2001:DB8::1",
    "::ffff:10.0.0.1",
    "ff02::1",
    "224.0.0.1",
    "169.254.0.1",
    "010.0.0.1",
    "1.2.3",
    "256.0.0.1",
    "",
    "a",
    "10.0.0.0/8",
    "10.1.2.3/8",
    "0.0.0.0/0",
    "::/0",
    "fd00::/8",
    "10.0.0.0/33",
    "10.0.0.0/08",
];
const URLS: [&str; 26] = [
    "https://example.com/a?b=c&b=d#e",
    "http://a",
    "/a/b",
    "a/b",
    "",
    "https://u:p@a.b:80/x%20y",
    "https://[::1]:8080/",
    "https://a:/",
    "https://a:b/",
    "https://a b/",
    "//a/b",
    "mailto:a@b",
    "HTTPS://A.B",
    "https://a/%zz",
    "https://a?x=%zz&y=1",
    "https://a?x;y",
    "?a=b",
    "#f",
    ":",
    "1a://b",
    "https://a/b c",
    "https://é/ü",
    "https://a//b/../c",
    "https://a?+=+",
    "https://[::1",
    "https://%41/",
];
const VERSIONS: [&str; 22] = [
    "1.2.3",
    "0.0.0",
    "v1.2.3",
    "1.2",
    "1",
    "1.2.3-alpha.1",
    "1.2.3-beta.2+b.1",
    "1.2.3+b",
    "01.2.3",
    "1.2.3-01",
    "1.2.3-",
    "1.2.3+",
    "1.2.3-a..b",
    "",
    "a",
    "1.2.3.4",
    "18446744073709551615.0.0",
    "18446744073709551616.0.0",
    " 1.2.3",
    "1.-2.3",
    "1.2.x",
    "V1.2.3",
];
const FORMATS: [&str; 22] = [
    "%s",
    "%d",
    "%f",
    "%e",
    "%b",
    "%x",
    "%X",
    "%o",
    "%.2f",
    "%.0e",
    "%%",
    "%",
    "%z",
    "a %s b %s",
    "",
    "%5d",
    "%.s",
    "%s %d",
    "é%sé",
    "%.20f",
    "%.x",
    "%-s",
];
const NAMES: [&str; 12] = [
    "dns1123Label",
    "dns1123Subdomain",
    "qualifiedName",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
    "dns1035LabelPrefix",
    "nope",
    "",
];
const VALIDATED: [&str; 16] = [
    "web",
    "Web",
    "a.b",
    "-a",
    "a-",
    "a/b",
    "a_b",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "aGVsbG8=",
    "https://a.b",
    "123e4567-e89b-12d3-a456-426614174000",
    "",
    "1a",
    "é",
    "a b",
];
const INTS: [&str; 18] = [
    "0",
    "1",
    "2",
    "-1",
    "3",
    "5",
    "10",
    "100",
    "0x10",
    "9223372036854775807",
    "-9223372036854775808",
    "4294967296",
    "1000000007",
    "60",
    "-7",
    "2147483648",
    "-0",
    "-0x1F",
];
const DOUBLES: [&str; 16] = [
    "0.0",
    "1.0",
    "1.5",
    "-0.0",
    "-1.5",
    "1e3",
    "1e-7",
    "1e21",
    "123456789.125",
    "0.1",
    "1e308",
    "5e-324",
    "9007199254740993.0",
    "1e19",
    "9223372036854775807.0",
    ".5",
];

/// The meaning of a text to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Any,
    Pattern,
    Quantity,
    Duration,
    Time,
    Zone,
    Address,
    Url,
    Version,
    Format,
    FormatName,
    Validated,
    Number,
    Flag,
}

/// The meaning of an overload's argument.
pub fn purpose(overload: &str, argument: usize) -> Purpose {
    match (overload, argument) {
        ("matches" | "matches_string", 1) => Purpose::Pattern,
        (id, 1) if id.starts_with("string_find") => Purpose::Pattern,
        ("string_to_quantity" | "is_quantity_string", _) => Purpose::Quantity,
        ("string_to_duration", _) => Purpose::Duration,
        ("string_to_timestamp", _) => Purpose::Time,
        (id, 1) if id.starts_with("timestamp_to") => Purpose::Zone,
        ("string_to_ip" | "is_ip" | "ip_is_canonical" | "string_to_cidr" | "is_cidr", _) => {
            Purpose::Address
        }
        (id, 1) if id.starts_with("cidr_contains") => Purpose::Address,
        ("string_to_url" | "is_url_string", _) => Purpose::Url,
        (id, 0) if id.contains("to_semver") || id.starts_with("is_semver") => Purpose::Version,
        ("string_format", 0) => Purpose::Format,
        ("format-named", _) => Purpose::FormatName,
        ("format-validate", 1) => Purpose::Validated,
        ("string_to_int64" | "string_to_uint64" | "string_to_double", _) => Purpose::Number,
        ("string_to_bool", _) => Purpose::Flag,
        _ => Purpose::Any,
    }
}

pub fn text(choices: &mut Choices<'_>) -> &'static str {
    TEXTS[choices.below(TEXTS.len())]
}

/// A literal of a string: its text by purpose, sometimes changed, in one of the forms of quoting.
pub fn string(choices: &mut Choices<'_>, purpose: Purpose) -> String {
    let pool: &[&str] = match purpose {
        _ if choices.once_in(16) => &TEXTS,
        Purpose::Any => &TEXTS,
        Purpose::Pattern => &PATTERNS,
        Purpose::Quantity => &QUANTITIES,
        Purpose::Duration => &DURATIONS,
        Purpose::Time => &TIMES,
        Purpose::Zone => &ZONES,
        Purpose::Address => &ADDRESSES,
        Purpose::Url => &URLS,
        Purpose::Version => &VERSIONS,
        Purpose::Format => &FORMATS,
        Purpose::FormatName => &NAMES,
        Purpose::Validated => &VALIDATED,
        Purpose::Number => &INTS,
        Purpose::Flag => &["true", "false", "1", "0", "t", "F", "True", "FALSE", "tRUE", "", "yes"],
    };
    let mut text = choices.of(pool).to_owned();
    if choices.once_in(6) {
        let mut characters: Vec<char> = text.chars().collect();
        let at = choices.below(characters.len() + 1);
        match choices.below(3) {
            0 if at < characters.len() => {
                characters.remove(at);
            }
            1 if at < characters.len() => characters[at] = character(choices),
            _ => characters.insert(at, character(choices)),
        }
        let changed: String = characters.into_iter().collect();
        // The judge takes hours to read a quantity such as 1e199999999.
        let digits = changed.rsplit(['e', 'E']).next().unwrap_or_default().len();
        if purpose != Purpose::Quantity || digits <= 4 || !changed.contains(['e', 'E']) {
            text = changed;
        }
    }
    quoted(choices, &text)
}

fn quoted(choices: &mut Choices<'_>, text: &str) -> String {
    let plain = !text.contains(['\\', '\n', '\r', '\0', '\'', '"']);
    match choices.below(6) {
        1 if plain => format!("\"{text}\""),
        2 if !text.contains(['\'', '\n', '\r', '\0']) && !text.ends_with('\\') => {
            format!("r'{text}'")
        }
        3 if !text.contains(['\'', '\\', '\0', '\r']) => format!("'''{text}'''"),
        _ if plain => format!("'{text}'"),
        _ => {
            let escape = |it: char| match it {
                '\\' => "\\\\".to_owned(),
                '\'' => "\\'".to_owned(),
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\0' => "\\x00".to_owned(),
                other => other.to_string(),
            };
            format!("'{}'", text.chars().map(escape).collect::<String>())
        }
    }
}

pub fn int(choices: &mut Choices<'_>) -> String {
    choices.of(&INTS).to_owned()
}

pub fn double(choices: &mut Choices<'_>) -> String {
    choices.of(&DOUBLES).to_owned()
}

pub fn bytes(choices: &mut Choices<'_>) -> String {
    choices
        .of(&[
            "b''",
            "b'a'",
            "b'abc'",
            "b'\\xff'",
            "b'\\xc3\\xa9'",
            "b'é'",
            "b\"\"\"a\"\"\"",
            "br'\\n'",
            "b'\\377\\000'",
        ])
        .to_owned()
}

/// A character of the language, or an invalid one.
pub fn character(choices: &mut Choices<'_>) -> char {
    const ALL: &[u8] = b"a1.'\"()[]{}?:,+-*/%=!<>&|\\ x0_`eEuIn@#;~\n";
    if choices.once_in(12) {
        ['é', '\u{301}', '中', '\u{200b}'][choices.below(4)]
    } else {
        char::from(ALL[choices.below(ALL.len())])
    }
}
