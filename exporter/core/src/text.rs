//! Text from outside, as it may be shown: names come from paths, environments, kubelets and drivers.

use alloc::string::String;
use alloc::sync::Arc;

/// Whether a character cannot be seen, or turns around what stands beside it: no name has one, and on a terminal or a page it
/// would pretend to be something else.
pub fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A name with a sign of replacement for each unfit character.
pub fn clean(name: &str) -> Arc<str> {
    if !name.contains(is_unfit) {
        return Arc::from(name);
    }
    Arc::from(name.chars().map(fit).collect::<String>())
}

/// The same of a text that may have several lines.
pub fn clean_lines(text: &str) -> Arc<str> {
    let fit_or_end = |character| if character == '\n' { character } else { fit(character) };
    Arc::from(text.chars().map(fit_or_end).collect::<String>())
}

/// The character, or what stands for it.
pub fn fit(character: char) -> char {
    if is_unfit(character) { char::REPLACEMENT_CHARACTER } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_replaced() {
        for plain in ["", "web-1", "é日本\"\\", "a b"] {
            assert_eq!((&*clean(plain), &*clean_lines(plain)), (plain, plain));
        }
        assert_eq!(
            &*clean("a\nb\x1b[1m\u{7f}\u{85}\u{202e}c"),
            "a\u{fffd}b\u{fffd}[1m\u{fffd}\u{fffd}\u{fffd}c"
        );
        assert_eq!(&*clean_lines("a\nb\r"), "a\nb\u{fffd}");
    }
}
