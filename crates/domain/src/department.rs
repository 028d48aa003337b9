//! Where operators work and where customers belong.

use std::fmt;

/// A branch or department by its short name: 1 to [`Department::BYTES_MAX`] lower-case letters, digits and hyphens, a
/// letter or digit first. It is small and copied freely: every decision about a customer's things may look at two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Department([u8; Self::BYTES_MAX]);

impl Department {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 24;

    /// Reads a name; `None` where it is none.
    pub fn parse(name: &str) -> Option<Self> {
        let is_letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = name.len() <= Self::BYTES_MAX
            && name.as_bytes().first().is_some_and(is_letter)
            && name.bytes().all(|byte| is_letter(&byte) || byte == b'-');
        if !fits {
            return None;
        }
        let mut bytes = [0; Self::BYTES_MAX];
        bytes
            .iter_mut()
            .zip(name.bytes())
            .for_each(|(place, byte)| *place = byte);
        Some(Self(bytes))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl fmt::Display for Department {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Department {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_department_is_a_short_name_and_read_back_as_it_was() {
        for name in ["n", "north", "branch-17", "0", &"a".repeat(24)] {
            assert_eq!(Department::parse(name).unwrap().as_str(), name);
        }
        for bad in [
            "",
            "North",
            "-north",
            "n orth",
            "nörth",
            "n\0",
            "north/1",
            &"a".repeat(25),
        ] {
            assert_eq!(Department::parse(bad), None, "{bad}");
        }
        assert_ne!(Department::parse("north"), Department::parse("north-2"));
    }
}
