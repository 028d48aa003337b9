//! Text that people typed: kept exactly as written, encoded on output, refused where it deceives.

use crate::card;

/// Longest free text on a movement (description, reference), in Unicode scalar values.
pub const MEMO_CHARS_MAX: usize = 500;
/// Longest name or label, in Unicode scalar values.
pub const NAME_CHARS_MAX: usize = 100;

/// Bytes as text: two hexadecimal digits each, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads [`hex`]; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a').and_then(|above| above.checked_add(10)),
        _ => None,
    };
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4) | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More characters than the field holds.
    #[error("is too long")]
    TooLong,
    /// A control, bidirectional or invisible formatting character, which can make text read otherwise than it is.
    #[error("contains a control or direction-changing character")]
    Deceptive,
    /// The number of a card, which is kept nowhere in the clear ([`crate::card::number_in`]).
    #[error("contains the number of a card, which must not be written here")]
    CardNumber,
}

/// Checks a text of one line.
///
/// # Errors
/// [`TextError`] as its variants say; emptiness is only refused with `required`.
pub fn check_line(text: &str, chars_max: usize, required: bool) -> Result<(), TextError> {
    if required && text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    // Bytes first: a megabyte of text is not counted character by character.
    if text.len() > chars_max.saturating_mul(4) || text.chars().count() > chars_max {
        return Err(TextError::TooLong);
    }
    if text.chars().any(is_deceptive) {
        Err(TextError::Deceptive)
    } else if card::number_in(text).is_some() {
        Err(TextError::CardNumber)
    } else {
        Ok(())
    }
}

/// Controls, line separators, bidirectional marks (Unicode TR 9, TR 36) and invisible fillers.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_words_of_any_script_pass() {
        for text in [
            "Rent for O'Brien",
            "update the lease",
            "2 > 1 = true",
            "家賃 3月",
            "شكرا",
            "👩‍👧 lunch",
            "",
        ] {
            assert_eq!(check_line(text, MEMO_CHARS_MAX, false), Ok(()), "{text}");
        }
    }

    #[test]
    fn characters_that_deceive_are_refused() {
        for text in [
            "pay\u{202E}eman",
            "a\nb",
            "a\u{0}b",
            "a\u{200B}b",
            "a\u{2066}b",
            "\u{FEFF}a",
            "tab\there",
        ] {
            assert_eq!(
                check_line(text, MEMO_CHARS_MAX, false),
                Err(TextError::Deceptive),
                "{text:?}"
            );
        }
    }

    #[test]
    fn numbers_of_cards_are_refused_and_others_pass() {
        let check = |text| check_line(text, MEMO_CHARS_MAX, false);
        for text in ["4111 1111 1111 1111", "paid by 5555555555554444"] {
            assert_eq!(check(text), Err(TextError::CardNumber), "{text}");
        }
        for text in [
            "4111 1111 1111 1112",
            "DE02100100100006820101",
            "Invoice 2026000000000042",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn length_counts_characters_and_white_space_is_no_name() {
        assert_eq!(check_line(&"é".repeat(100), NAME_CHARS_MAX, true), Ok(()));
        assert_eq!(
            check_line(&"é".repeat(101), NAME_CHARS_MAX, true),
            Err(TextError::TooLong)
        );
        assert_eq!(check_line("   ", NAME_CHARS_MAX, true), Err(TextError::Empty));
    }
}
