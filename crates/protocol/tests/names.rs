//! User names: which are refused, and which are the same.

use proptest::prelude::*;
use sparrow_protocol::Username;
use sparrow_protocol::name::fold_prefix;

/// As typed, as shown, key.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("alice", "alice", "alice"),
    ("Alice", "Alice", "alice"),
    ("a1", "a1", "a1"),
    ("7up", "7up", "7up"),
    ("jean-luc_p.2", "jean-luc_p.2", "jean-luc_p.2"),
    ("ＡＬＩＣＥ", "ALICE", "alice"),
    ("𝓫𝓸𝓫", "bob", "bob"),
    ("Straße", "Straße", "strasse"),
    ("STRAẞE", "STRAẞE", "strasse"),
    ("Σίσυφος", "Σίσυφος", "σίσυφοσ"),
    ("Zoe\u{308}", "Zoë", "zoë"),
    ("Nguyễn", "Nguyễn", "nguyễn"),
    ("Дмитрий", "Дмитрий", "дмитрий"),
    ("李雷", "李雷", "李雷"),
    ("ひらカタ漢字", "ひらカタ漢字", "ひらカタ漢字"),
    ("スーパー", "スーパー", "スーパー"),
    ("金철수", "金철수", "金철수"),
    ("김\u{1103}\u{1169}", "김도", "김도"),
    ("कृष्ण", "कृष्ण", "कृष्ण"),
    ("น้ำผึ้ง", "น\u{e49}\u{e4d}าผึ้ง", "น\u{e49}\u{e4d}าผึ้ง"),
    ("محمد", "محمد", "محمد"),
    ("דוד", "דוד", "דוד"),
    ("İpek", "İpek", "i\u{307}pek"),
];

const REFUSED: &[&str] = &[
    "",
    "a",
    "аlice",                   // the first letter is Cyrillic
    "李alice",                 // two scripts
    "ㅋㅋ",                    // single jamo
    "ab\u{3164}",              // a filler that is not seen
    "ali\u{200B}ce",           // zero width space
    "ali\u{200D}ce",           // zero width joiner
    "\u{202E}ecila",           // right-to-left override
    "ali\u{AD}ce",             // soft hyphen
    "ali\u{FE0F}ce",           // variation selector
    "q\u{301}\u{301}x",        // an accent that does not compose
    "กก\u{e49}\u{e49}\u{e49}", // a tower of marks
    "\u{e49}กก",               // a mark on nothing
    "al ice",
    "al\0ice",
    "alice'; --",
    "a*",
    "a>",
    "a%b",
    "a/b",
    "@alice",
    "a@b",
    "a:b",
    ".alice",
    "alice.",
    "-alice",
    "alice-",
    "_alice",
    "alice_",
    "al..ice",
    "al-_ice",
    "12345",
    "1.5",
    "١٢٣ab", // other digits
    "ᎠᎡᎢ",   // not a living script by UAX 31
    "😀😀",
    "ʼab", // a letter of no script
    "All",
    "ＡＬＬ",
];

#[test]
fn names_are_accepted_with_their_key() {
    for (typed, shown, key) in ACCEPTED {
        let name = Username::parse(typed).unwrap_or_else(|_| panic!("{typed} is a name"));
        assert_eq!((name.as_str(), name.key()), (*shown, *key));
        assert_eq!(Username::parse(name.as_str()).unwrap(), name, "what is shown can be typed");
    }
}

#[test]
fn bad_names_are_refused() {
    for typed in REFUSED {
        assert!(Username::parse(typed).is_err(), "{typed:?} is no name");
    }
}

#[test]
fn length_counts_characters_after_normalisation() {
    for (count, accepted) in [(1, false), (2, true), (32, true), (33, false), (100_000, false)] {
        assert_eq!(Username::parse(&"é".repeat(count)).is_ok(), accepted);
        assert_eq!(Username::parse(&"e\u{301}".repeat(count)).is_ok(), accepted);
    }
}

#[test]
fn a_prefix_finds_a_name_in_any_case_and_width() {
    let key = Username::parse("Straße_7").unwrap();
    for prefix in ["s", "STRASS", "Straß", "ｓｔｒａ", "strasse_"] {
        assert!(key.key().starts_with(&fold_prefix(prefix).unwrap()));
    }
    assert_eq!(fold_prefix(""), None);
    assert_eq!(fold_prefix(&"a".repeat(100_000)), None);
    assert_eq!(fold_prefix("%_*>").as_deref(), Some("%_*>"));
}

proptest! {
    #[test]
    fn any_text_is_a_name_with_a_stable_key_or_refused(text in "\\PC{0,40}|[a-zA-Zà-žα-ωΑ-Ωа-я一-丣ぁ-ん0-9_.-]{2,32}") {
        if let Ok(name) = Username::parse(&text) {
            let again = Username::parse(name.as_str()).unwrap();
            prop_assert_eq!(&again, &name);
            prop_assert_eq!(fold_prefix(name.key()).unwrap(), name.key());
            prop_assert!(name.as_str().chars().all(|c| !c.is_control() && !c.is_whitespace()));
        }
    }
}
