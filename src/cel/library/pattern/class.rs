//! Classes of characters in regular expressions, with the names and case folding of Go's `regexp/syntax`.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, HirKind};

/// A class of ranges of characters.
fn set(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(first, last)| ClassUnicodeRange::new(*first, *last)))
}

/// A class of one range of code points, without surrogates.
pub fn range(first: u32, last: u32) -> ClassUnicode {
    let above = |code: u32| char::from_u32(code).unwrap_or('\u{e000}');
    let below = |code: u32| char::from_u32(code).unwrap_or('\u{d7ff}');
    let (first, last) = (above(first), below(last));
    if first <= last { set(&[(first, last)]) } else { ClassUnicode::empty() }
}

/// Adds the characters that differ from those of the class by case only.
pub fn fold(class: &mut ClassUnicode) {
    // The tables are compiled in, so this cannot fail.
    let _ = class.try_case_fold_simple();
}

/// The class of `\d`, `\s` and `\w`, or of the upper-case letters,
/// which negate it: the class, and whether it is negated.
pub fn perl(letter: char) -> Option<(ClassUnicode, bool)> {
    let class = match letter.to_ascii_lowercase() {
        'd' => set(&[('0', '9')]),
        's' => set(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        'w' => set(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    };
    Some((class, letter.is_ascii_uppercase()))
}

/// The class of a POSIX name, as in `[[:alpha:]]`.
pub fn posix(name: &str) -> Option<ClassUnicode> {
    Some(set(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    }))
}

/// Names and aliases of general categories, in lower case and without `_`.
const CATEGORIES: &str = "c casedletter cc cf closepunctuation cn cntrl co combiningmark \
    connectorpunctuation control cs currencysymbol dashpunctuation decimalnumber digit \
    enclosingmark finalpunctuation format initialpunctuation l lc letter letternumber \
    lineseparator ll lm lo lowercaseletter lt lu m mark mathsymbol mc me mn modifierletter \
    modifiersymbol n nd nl no nonspacingmark number openpunctuation other otherletter othernumber \
    otherpunctuation othersymbol p paragraphseparator pc pd pe pf pi po privateuse ps punct \
    punctuation s sc separator sk sm so spaceseparator spacingmark surrogate symbol \
    titlecaseletter unassigned uppercaseletter z zl zp zs";

/// Names of scripts. Go finds no script whose name has more than one word.
const SCRIPTS: &str = "adlam ahom arabic armenian avestan balinese bamum batak bengali bhaiksuki \
    bopomofo brahmi braille buginese buhid carian chakma cham cherokee chorasmian common coptic \
    cuneiform cypriot cyrillic deseret devanagari dogra duployan elbasan elymaic ethiopic georgian \
    glagolitic gothic grantha greek gujarati gurmukhi han hangul hanunoo hatran hebrew hiragana \
    inherited javanese kaithi kannada katakana kawi kharoshthi khmer khojki khudawadi lao latin \
    lepcha limbu lisu lycian lydian mahajani makasar malayalam mandaic manichaean marchen \
    medefaidrin miao modi mongolian mro multani myanmar nabataean nandinagari newa nko nushu ogham \
    oriya osage osmanya palmyrene phoenician rejang runic samaritan saurashtra sharada shavian \
    siddham sinhala sogdian soyombo sundanese syriac tagalog tagbanwa takri tamil tangsa tangut \
    telugu thaana thai tibetan tifinagh tirhuta toto ugaritic vai vithkuqi wancho yezidi yi";

/// The class of a Unicode name, as in `\p{Greek}`, in Go's version of Unicode (15.0).
pub fn unicode(name: &str) -> Option<ClassUnicode> {
    let name: String =
        name.chars().filter(|it| !matches!(it, '_' | '-' | ' ')).collect::<String>().to_lowercase();
    let among = |names: &str| names.split_ascii_whitespace().any(|it| it == name);
    let property = match name.as_str() {
        "any" => return Some(range(0, char::MAX.into())),
        "ascii" => return Some(range(0, 0x7f)),
        "assigned" => r"\p{Age=15.0}&&\P{gc=Cn}".to_owned(),
        // Surrogates are not characters.
        "cs" | "surrogate" => return Some(ClassUnicode::empty()),
        // Characters that later versions of Unicode assigned are unassigned here.
        "c" | "other" => r"[\p{gc=C}\P{Age=15.0}]".to_owned(),
        "cn" | "unassigned" => r"[\p{gc=Cn}\P{Age=15.0}]".to_owned(),
        _ if among(CATEGORIES) => format!(r"\p{{Age=15.0}}&&\p{{gc={name}}}"),
        _ if among(SCRIPTS) => format!(r"\p{{Age=15.0}}&&\p{{sc={name}}}"),
        _ => return None,
    };
    match regex_syntax::parse(&format!("[{property}]")).ok()?.into_kind() {
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => Some(class),
        // A class of one character is parsed to a literal.
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(ClassUnicode::new(text.chars().map(|it| ClassUnicodeRange::new(it, it))))
        }
        _ => Some(ClassUnicode::empty()),
    }
}
