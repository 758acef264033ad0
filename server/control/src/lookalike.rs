//! Names that are made to be taken for others (UTS 39): words of letters from several alphabets, and words that look like another.
//!
//! Refuses: to say so of what people write. Languages that are written in several scripts at once (Japanese, Korean, Chinese)
//! are one, and Latin letters stand beside them without being mistaken for theirs.

use unicode_security::confusable_detection::skeleton;
use unicode_security::mixed_script::MixedScript as _;

/// Does one of the words between dots mix letters that are taken for each other, as Latin, Greek and Cyrillic ones are?
pub(crate) fn mixes_scripts(text: &str) -> bool {
    text.split('.').any(|word| {
        let other = |letter: &char| letter.is_alphabetic() && !letter.is_ascii();
        let rest: String = word.chars().filter(other).collect();
        if rest.is_empty() {
            return false;
        }
        let set = rest.resolve_script_set();
        let ascii = word.chars().find(char::is_ascii_alphabetic);
        let beside_latin = match ascii {
            None => true,
            Some(letter) => {
                set.hanb || set.jpan || set.kore || format!("{letter}{rest}").is_single_script()
            }
        };
        set.is_empty() || !beside_latin
    })
}

/// Are these two hard to tell apart?
pub(crate) fn looks_like(one: &str, other: &str) -> bool {
    skeleton(one).eq(skeleton(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_that_are_taken_for_each_other_do_not_stand_in_one_word() {
        for mixed in [
            "p\u{430}ypal.com",
            "\u{430}dmin",
            "g\u{3bf}\u{3bf}gle.example",
            "x.\u{431}ank.example",
            "\u{3b1}\u{431}",
        ] {
            assert!(mixes_scripts(mixed), "{mixed}");
        }
        for plain in [
            "example.com",
            "m\u{fc}nchen.example",
            "\u{431}\u{430}\u{43d}\u{43a}.example",
            "\u{43f}\u{43e}\u{447}\u{442}\u{430}-24.\u{440}\u{444}",
            "\u{6771}\u{4eac}tower.example",
            "\u{30ab}\u{30bf}\u{4eba}\u{306a}.example",
            "\u{d55c}\u{ae00}.example",
            "jos\u{e9}_maria+1",
            "\u{6f1}\u{6f2}",
            "",
        ] {
            assert!(!mixes_scripts(plain), "{plain}");
        }
    }

    #[test]
    fn words_that_look_alike_are_known_to() {
        for (one, other) in [
            ("admin", "\u{430}dmin"),
            ("admin", "adrnin"),
            ("root", "r\u{43e}\u{43e}t"),
        ] {
            assert!(looks_like(one, other), "{one} {other}");
        }
        assert!(!looks_like("admin", "adam"));
    }
}
