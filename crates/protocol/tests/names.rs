//! User names. Which are accepted and refused stands in `vectors/names.json`.

use proptest::prelude::*;
use sparrow_protocol::Username;
use sparrow_protocol::name::fold_prefix;

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
