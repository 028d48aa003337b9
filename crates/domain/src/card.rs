//! Numbers of cards, as far as they are numbers: length, check digit (ISO/IEC 7812-1, the Luhn formula), and whose they
//! are.
//!
//! A number is never shown again: it prints as its last four digits alone. And none is kept in the clear (PCI DSS 4.0,
//! requirement 3.5): free text that holds one is refused where somebody types it, and masked where it comes in a file.

use std::{borrow::Cow, fmt, ops::Range};

use crate::iban::Iban;

/// Fewest and most digits of a number.
const DIGITS_MIN: usize = 12;
const DIGITS_MAX: usize = 19;

/// By whom a card is, after its first digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CardBrand {
    /// 4.
    Visa,
    /// 51 to 55, 2221 to 2720.
    Mastercard,
    /// 34, 37.
    AmericanExpress,
    /// 6011, 644 to 649, 65.
    Discover,
    /// 3528 to 3589.
    Jcb,
    /// 50, 56 to 58, 60 but for 6011, 61 to 63, 67.
    Maestro,
}

/// Why a text is no number of a card. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardNumberError {
    /// Something else than digits, or in groups that are not of single blanks or hyphens.
    #[error("must be digits, in groups with single blanks or hyphens or without")]
    Characters,
    /// Too short or too long, in general or for the brand.
    #[error("has not as many digits as such a card")]
    Length,
    /// The first digits are of no brand that is known.
    #[error("begins as no card that is known")]
    Brand,
    /// A digit is wrong, or two are in each other's place.
    #[error("the check digit is wrong")]
    CheckDigit,
}

/// A number of a card that could exist.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber {
    digits: Vec<u8>,
    brand: CardBrand,
}

impl CardNumber {
    /// Reads 12 to 19 digits, as they are written on a card.
    ///
    /// # Errors
    /// [`CardNumberError`] for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, CardNumberError> {
        let (mut digits, mut gap) = (Vec::with_capacity(DIGITS_MAX), true);
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' => {
                    digits.push(byte.wrapping_sub(b'0'));
                    gap = false;
                }
                b' ' | b'-' if !gap => gap = true,
                _ => return Err(CardNumberError::Characters),
            }
            if digits.len() > DIGITS_MAX {
                return Err(CardNumberError::Length);
            }
        }
        if gap && !digits.is_empty() {
            return Err(CardNumberError::Characters);
        }
        if digits.len() < DIGITS_MIN {
            return Err(CardNumberError::Length);
        }
        let brand = brand_of(&digits).ok_or(CardNumberError::Brand)?;
        if !brand.has(digits.len()) {
            return Err(CardNumberError::Length);
        }
        if !is_checked(&digits) {
            return Err(CardNumberError::CheckDigit);
        }
        Ok(Self { digits, brand })
    }

    /// By whom it is.
    pub const fn brand(&self) -> CardBrand {
        self.brand
    }

    /// All that is ever shown.
    pub fn last_four(&self) -> String {
        let shown = self.digits.len().saturating_sub(4);
        let last = self.digits.get(shown..).unwrap_or_default();
        last.iter()
            .map(|digit| char::from(digit.wrapping_add(b'0')))
            .collect()
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CardNumber(…{})", self.last_four())
    }
}

impl CardBrand {
    /// Whether its numbers have so many digits.
    const fn has(self, digits: usize) -> bool {
        match self {
            Self::Visa => matches!(digits, 13 | 16 | 19),
            Self::Mastercard => digits == 16,
            Self::AmericanExpress => digits == 15,
            Self::Discover | Self::Jcb => matches!(digits, 16..=19),
            Self::Maestro => matches!(digits, 12..=19),
        }
    }
}

/// Fewest and most digits that are looked for in free text.
const FOUND_DIGITS_MIN: usize = 13;
/// Fewest digits of a group where there are several: numbers are written as 4-4-4-4, 4-6-5 and the like.
const GROUP_DIGITS_MIN: usize = 3;
/// Most groups of a number.
const GROUPS_MAX: usize = 5;

/// Where the first number of a card is in a text, in bytes: 13 to 19 digits of a known brand with a right check digit,
/// together or in groups with single blanks or hyphens between. One of Maestro's is not looked for: too many ordinary
/// numbers look like it. Nor is one looked for in an IBAN.
pub fn number_in(text: &str) -> Option<Range<usize>> {
    // Most texts have no such number of digits at all.
    if text.bytes().filter(u8::is_ascii_digit).count() < FOUND_DIGITS_MIN {
        return None;
    }
    runs(text).into_iter().find_map(|run| first_in(text, &run))
}

/// The text with every number of a card but for its last four digits as stars.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    while let Some(found) = number_in(&masked) {
        let digits = masked.get(found.clone()).map_or(0, count_digits);
        let mut left = digits.saturating_sub(4);
        let stars: String = masked
            .char_indices()
            .map(|(at, c)| {
                let hidden = found.contains(&at) && c.is_ascii_digit() && left > 0;
                left = left.saturating_sub(usize::from(hidden));
                if hidden { '*' } else { c }
            })
            .collect();
        masked = Cow::Owned(stars);
    }
    masked
}

fn count_digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// Groups of digits that stand together, with single blanks or hyphens between them.
fn runs(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut runs: Vec<Vec<Range<usize>>> = Vec::new();
    let mut gap = true;
    let mut before = None;
    for (at, byte) in text.bytes().enumerate() {
        let next = at.saturating_add(1);
        if byte.is_ascii_digit() {
            match (runs.last_mut(), before) {
                (Some(run), Some(b'0'..=b'9')) => {
                    if let Some(group) = run.last_mut() {
                        group.end = next;
                    }
                }
                (Some(run), Some(b' ' | b'-')) if !gap => run.push(at..next),
                _ => runs.push(std::iter::once(at..next).collect()),
            }
            gap = false;
        } else if !matches!((byte, before), (b' ' | b'-', Some(b'0'..=b'9'))) {
            gap = true;
        }
        before = Some(byte);
    }
    runs
}

fn first_in(text: &str, run: &[Range<usize>]) -> Option<Range<usize>> {
    let (start, end) = (run.first()?.start, run.last()?.end);
    if is_iban(text, start, end) {
        return None;
    }
    let windows = (0..run.len()).flat_map(|from| {
        let most = run.len().min(from.saturating_add(GROUPS_MAX));
        (from..most).filter_map(move |to| run.get(from..=to))
    });
    windows.into_iter().find_map(|groups| {
        let (first, last) = (groups.first()?, groups.last()?);
        let wide = groups.len() == 1 || groups.iter().all(|group| group.len() >= GROUP_DIGITS_MIN);
        let place = first.start..last.end;
        let number = text.get(place.clone())?;
        let found = wide && count_digits(number) >= FOUND_DIGITS_MIN;
        let card = CardNumber::parse(number).ok().filter(|_| found)?;
        (card.brand() != CardBrand::Maestro).then_some(place)
    })
}

/// Whether the digits are those of an IBAN, whose first two characters are letters.
fn is_iban(text: &str, start: usize, end: usize) -> bool {
    let begins = start.checked_sub(2);
    let whole = begins.and_then(|begins| text.get(begins..end));
    whole.is_some_and(|whole| {
        let plain: String = whole.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        Iban::parse(&plain).is_ok()
    })
}

/// The check digit makes the sum a multiple of ten, where every second digit from the right is doubled and its own
/// digits are added.
fn is_checked(digits: &[u8]) -> bool {
    let sum = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0_u32, |sum, (place, digit)| {
            let doubled = if place & 1 == 1 {
                digit.saturating_mul(2)
            } else {
                *digit
            };
            let counted = if doubled > 9 {
                doubled.saturating_sub(9)
            } else {
                doubled
            };
            sum.saturating_add(u32::from(counted))
        });
    sum.is_multiple_of(10)
}

fn brand_of(digits: &[u8]) -> Option<CardBrand> {
    let first = |count: usize| {
        let first = digits.iter().take(count);
        first.fold(0_u32, |number, digit| {
            number.saturating_mul(10).saturating_add(u32::from(*digit))
        })
    };
    match (first(2), first(3), first(4)) {
        (40..=49, ..) => Some(CardBrand::Visa),
        (51..=55, ..) | (_, _, 2_221..=2_720) => Some(CardBrand::Mastercard),
        (34 | 37, ..) => Some(CardBrand::AmericanExpress),
        (65, ..) | (_, 644..=649, _) | (_, _, 6_011) => Some(CardBrand::Discover),
        (_, _, 3_528..=3_589) => Some(CardBrand::Jcb),
        (50 | 56..=58 | 60..=63 | 67, ..) => Some(CardBrand::Maestro),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that brands publish for tests.
    const GOOD: [(&str, CardBrand); 11] = [
        ("4111111111111111", CardBrand::Visa),
        ("4111 1111 1111 1111", CardBrand::Visa),
        ("4222222222222", CardBrand::Visa),
        ("5555-5555-5555-4444", CardBrand::Mastercard),
        ("2223003122003222", CardBrand::Mastercard),
        ("378282246310005", CardBrand::AmericanExpress),
        ("371449635398431", CardBrand::AmericanExpress),
        ("6011111111111117", CardBrand::Discover),
        ("6445644564456445", CardBrand::Discover),
        ("3530111333300000", CardBrand::Jcb),
        ("6759649826438453", CardBrand::Maestro),
    ];

    #[test]
    fn numbers_that_could_exist_are_read_and_show_their_last_four_alone() {
        for (text, brand) in GOOD {
            let number = CardNumber::parse(text).unwrap();
            assert_eq!(number.brand(), brand, "{text}");
            assert_eq!(number.last_four(), text[text.len() - 4..]);
            assert_eq!(
                format!("{number:?}"),
                format!("CardNumber(…{})", number.last_four())
            );
        }
    }

    #[test]
    fn what_is_no_number_of_a_card_says_why() {
        use CardNumberError::{Brand, Characters, CheckDigit, Length};
        for (text, expected) in [
            ("4111111111111112", CheckDigit),
            ("5555555555554445", CheckDigit),
            ("378282246310006", CheckDigit),
            ("", Length),
            ("4", Length),
            ("41111111111", Length),
            ("41111111111111111111", Length),
            ("411111111111116", Length),
            ("3782822463100055", Length),
            ("0000000000000000", Brand),
            ("9999999999999995", Brand),
            ("1234567812345670", Brand),
            ("4111a11111111111", Characters),
            ("4111  1111 1111 1111", Characters),
            (" 4111111111111111", Characters),
            ("4111111111111111 ", Characters),
            ("4111-1111-1111-1111-", Characters),
            ("٤١١١١١١١١١١١١١١١", Characters),
        ] {
            assert_eq!(CardNumber::parse(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_number_in_a_text_is_found_and_masked() {
        for (text, expected) in [
            ("4111111111111111", "************1111"),
            (
                "card 4111 1111 1111 1111, thanks",
                "card **** **** **** 1111, thanks",
            ),
            ("my card:5555-5555-5555-4444.", "my card:****-****-****-4444."),
            ("Invoice 12 4111 1111 1111 1111", "Invoice 12 **** **** **** 1111"),
            ("4111 1111 1111 1111 12/29 123", "**** **** **** 1111 12/29 123"),
            ("PAN4222222222222x", "PAN*********2222x"),
            ("amex 3782 822463 10005", "amex **** ****** *0005"),
            (
                "4111111111111111 and 378282246310005",
                "************1111 and ***********0005",
            ),
            ("Ünïcode 4111111111111111 ✓", "Ünïcode ************1111 ✓"),
        ] {
            assert!(number_in(text).is_some(), "{text}");
            assert_eq!(masked(text), expected);
            assert_eq!(number_in(expected), None);
        }
    }

    #[test]
    fn what_people_write_beside_is_no_number_of_a_card() {
        for text in [
            "",
            "Rent for March",
            "Invoice 2026-11-20-0042, customer 100200300",
            "4111111111111112",
            "411111111111111",
            "41111111111111111",
            "call +49 30 1234567890 123",
            "DE02100100100006820101",
            "IBAN DE44 5001 0517 5407 3249 31",
            "order 6759649826438453",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "4111  1111  1111  1111",
            "4111/1111/1111/1111",
            "٤١١١١١١١١١١١١١١١",
        ] {
            assert_eq!(number_in(text), None, "{text}");
            assert!(matches!(masked(text), Cow::Borrowed(_)));
        }
    }

    /// Groups of four after the letters and digits that an IBAN begins with: some of these would pass for a number.
    #[test]
    fn no_iban_is_taken_for_a_card() {
        let mut taken = 0;
        for number in 0..2_000_u64 {
            let bban = format!("4{:017}", number * 7_919 + 100_000_000_000_000);
            let digits = format!("{bban}131400");
            let rest = digits
                .bytes()
                .fold(0_u64, |rest, byte| (rest * 10 + u64::from(byte - b'0')) % 97);
            let iban = format!("DE{:02}{bban}", 98 - rest);
            let groups: Vec<&str> = (0..iban.len())
                .step_by(4)
                .map(|at| &iban[at..iban.len().min(at + 4)])
                .collect();
            let printed = groups.join(" ");
            assert_eq!(number_in(&printed), None, "{printed}");
            assert_eq!(number_in(&iban), None, "{iban}");
            taken += usize::from(number_in(printed.split_at(5).1).is_some());
        }
        assert!(taken > 50, "the test meets none: {taken}");
    }

    /// What the formula is for: one wrong digit is always found, and two neighbours in each other's place are, unless
    /// they are 0 and 9.
    #[test]
    fn a_wrong_digit_and_two_that_changed_places_are_found() {
        for (text, _) in GOOD {
            let digits: Vec<u8> = text
                .bytes()
                .filter(u8::is_ascii_digit)
                .map(|byte| byte - b'0')
                .collect();
            for place in 0..digits.len() {
                for other in 0..10 {
                    let mut wrong = digits.clone();
                    wrong[place] = other;
                    assert_eq!(
                        is_checked(&wrong),
                        other == digits[place],
                        "{text} {place} {other}"
                    );
                }
                if let Some(next) = digits.get(place + 1) {
                    let mut swapped = digits.clone();
                    swapped.swap(place, place + 1);
                    let blind = [digits[place], *next] == [0, 9] || [digits[place], *next] == [9, 0];
                    let found = !is_checked(&swapped);
                    assert_eq!(found, digits[place] != *next && !blind, "{text} {place}");
                }
            }
        }
    }
}
