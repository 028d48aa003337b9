//! How an account's entries find their past in O(log n) without an index.
//!
//! Every entry points to the account's previous entry and to one further back, its jump. Jumps follow the skew-binary
//! numbers of E. W. Myers, "An applicative random-access stack" (Information Processing Letters 17, 1983): from
//! any entry, any earlier one is reached in at most about 2·log₂ n steps of "jump if that does not go too far, else previous".
//! To append, only the roots of the current skew-binary trees are needed, so the account row carries them and no old
//! entry is read when money moves.

/// Most roots a path can have: one per skew-binary digit of a 63-bit count, and one digit that may be doubled.
const ROOTS_MAX: usize = 64;

/// The roots of the skew-binary trees over an account's entries, oldest first; the last is the newest entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SkipPath {
    /// (entry id, number of entries in its tree)
    roots: Vec<(i64, u64)>,
}

/// Where a new entry points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Links {
    /// The account's previous entry.
    pub prev: Option<i64>,
    /// One further back.
    pub jump: Option<i64>,
}

impl SkipPath {
    /// The newest entry.
    pub fn head(&self) -> Option<i64> {
        self.roots.last().map(|(id, _)| *id)
    }

    /// Appends an entry, whose id is larger than all before, and says where it points.
    pub fn push(&mut self, id: i64) -> Links {
        let prev = self.head();
        let size = match self.roots.as_slice() {
            [.., (_, a), (_, b)] if a == b => {
                let merged = a.saturating_add(*b).saturating_add(1);
                self.roots.truncate(self.roots.len().saturating_sub(2));
                merged
            }
            _ => 1,
        };
        let jump = self.head();
        self.roots.push((id, size));
        Links { prev, jump }
    }

    /// Compact bytes: ids only, each as the LEB128 difference to the one before. The sizes follow from the count.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.roots.len().saturating_mul(4));
        let mut last = 0_i64;
        for (id, _) in &self.roots {
            put_varint(
                &mut out,
                u64::try_from(id.saturating_sub(last)).unwrap_or_default(),
            );
            last = *id;
        }
        out
    }

    /// Reads the bytes of a path over `count` entries; `None` when they do not fit that count.
    pub fn from_bytes(bytes: &[u8], count: u64) -> Option<Self> {
        let mut roots = Vec::new();
        let (mut rest, mut last, mut left) = (bytes, 0_i64, count);
        while left > 0 {
            if roots.len() >= ROOTS_MAX {
                return None;
            }
            let (delta, tail) = take_varint(rest)?;
            last = last.checked_add(i64::try_from(delta).ok()?)?;
            let size = largest_tree(left);
            roots.push((last, size));
            left = left.checked_sub(size)?;
            rest = tail;
        }
        rest.is_empty().then_some(Self { roots })
    }
}

/// The largest 2ᵏ − 1 that is at most `count`, for `count` ≥ 1.
fn largest_tree(count: u64) -> u64 {
    let above = count.saturating_add(1);
    let bits = 63_u32.saturating_sub(above.leading_zeros());
    1_u64.checked_shl(bits).unwrap_or(1).saturating_sub(1)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value: u64 = 0;
    for (position, byte) in bytes.iter().enumerate().take(10) {
        let shift = u32::try_from(position).ok()?.checked_mul(7)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(position.checked_add(1)?..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_earlier_entry_is_reached_in_logarithmic_steps() {
        let mut path = SkipPath::default();
        let mut links = vec![Links::default()];
        for id in 1..=20_000_i64 {
            links.push(path.push(id));
        }
        for target in (1..=20_000_i64).step_by(37).chain([1, 2, 19_999, 20_000]) {
            let (mut at, mut steps) = (path.head().unwrap(), 0);
            while at > target {
                let here = links[usize::try_from(at).unwrap()];
                at = here
                    .jump
                    .filter(|jump| *jump >= target)
                    .unwrap_or_else(|| here.prev.unwrap());
                steps += 1;
            }
            assert_eq!(at, target);
            assert!(steps <= 30, "{steps} steps to {target}");
        }
    }

    #[test]
    fn the_stored_bytes_give_back_the_same_path() {
        let mut path = SkipPath::default();
        let mut id = 0;
        for count in 1..=3_000_u64 {
            id += 1 + i64::try_from(count % 5_000).unwrap() * 7;
            path.push(id);
            let bytes = path.to_bytes();
            assert!(bytes.len() <= 100, "{}", bytes.len());
            assert_eq!(SkipPath::from_bytes(&bytes, count), Some(path.clone()));
            assert_eq!(SkipPath::from_bytes(&bytes[1..], count), None);
        }
        assert_eq!(SkipPath::from_bytes(&[], 0), Some(SkipPath::default()));
        assert_eq!(SkipPath::from_bytes(&[1], 0), None);
        assert_eq!(SkipPath::from_bytes(&[0xff; 12], 1), None);
    }
}
