//! Sets of characters in regular expressions, as Go's `regexp/syntax` names and folds them.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, HirKind};

/// A named set, by ranges of characters.
fn set(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(first, last)| ClassUnicodeRange::new(*first, *last)))
}

/// A set of one range of code points. Surrogates are none of any text.
pub fn range(first: u32, last: u32) -> ClassUnicode {
    let above = |code: u32| char::from_u32(code).unwrap_or('\u{e000}');
    let below = |code: u32| char::from_u32(code).unwrap_or('\u{d7ff}');
    let (first, last) = (above(first), below(last));
    if first <= last { set(&[(first, last)]) } else { ClassUnicode::empty() }
}

/// Adds the characters that differ from those of the set by case only.
pub fn fold(class: &mut ClassUnicode) {
    // The tables are compiled in; without them nothing would be folded.
    let _ = class.try_case_fold_simple();
}

/// `\d`, `\s`, `\w` and their opposites: the set, and whether it is negated.
pub fn perl(letter: char) -> Option<(ClassUnicode, bool)> {
    let class = match letter.to_ascii_lowercase() {
        'd' => set(&[('0', '9')]),
        's' => set(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        'w' => set(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    };
    Some((class, letter.is_ascii_uppercase()))
}

/// The set of a name as in `[[:alpha:]]`.
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

/// General categories, by their names and other names, in lower case and without `_`.
const CATEGORIES: &str = "c casedletter cc cf closepunctuation cn cntrl co combiningmark \
    connectorpunctuation control cs currencysymbol dashpunctuation decimalnumber digit \
    enclosingmark finalpunctuation format initialpunctuation l lc letter letternumber \
    lineseparator ll lm lo lowercaseletter lt lu m mark mathsymbol mc me mn modifierletter \
    modifiersymbol n nd nl no nonspacingmark number openpunctuation other otherletter othernumber \
    otherpunctuation othersymbol p paragraphseparator pc pd pe pf pi po privateuse ps punct \
    punctuation s sc separator sk sm so spaceseparator spacingmark surrogate symbol \
    titlecaseletter unassigned uppercaseletter z zl zp zs";

/// Scripts. Go finds none whose name is more than one word.
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

/// The set of a name as in `\p{Greek}`, of the Unicode version that Go has (15.0).
pub fn unicode(name: &str) -> Option<ClassUnicode> {
    let name: String =
        name.chars().filter(|it| !matches!(it, '_' | '-' | ' ')).collect::<String>().to_lowercase();
    let among = |names: &str| names.split_ascii_whitespace().any(|it| it == name);
    let property = match name.as_str() {
        "any" => return Some(range(0, char::MAX.into())),
        "ascii" => return Some(range(0, 0x7f)),
        "assigned" => r"\p{Age=15.0}&&\P{gc=Cn}".to_owned(),
        // Surrogates are no characters.
        "cs" | "surrogate" => return Some(ClassUnicode::empty()),
        // What later versions assigned is unassigned here.
        "c" | "other" => r"[\p{gc=C}\P{Age=15.0}]".to_owned(),
        "cn" | "unassigned" => r"[\p{gc=Cn}\P{Age=15.0}]".to_owned(),
        _ if among(CATEGORIES) => format!(r"\p{{Age=15.0}}&&\p{{gc={name}}}"),
        _ if among(SCRIPTS) => format!(r"\p{{Age=15.0}}&&\p{{sc={name}}}"),
        _ => return None,
    };
    match regex_syntax::parse(&format!("[{property}]")).ok()?.into_kind() {
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => Some(class),
        // One character, or none.
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(ClassUnicode::new(text.chars().map(|it| ClassUnicodeRange::new(it, it))))
        }
        _ => Some(ClassUnicode::empty()),
    }
}
