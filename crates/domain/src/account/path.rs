//! How an account's entries find their past in O(log n) without an index.
//!
//! Every entry points to the account's previous entry and to one further back, its jump. Jumps follow the skew-binary
//! numbers of E. W. Myers, "An applicative random-access stack" (Information Processing Letters 17, 1983): from
//! any entry, any earlier one is reached in at most 3·log₂(n + 1) steps of "jump if that does not go too far, else
//! previous": one log₂ over the roots, then two down into a tree.
//! To append, only the roots of the current skew-binary trees are needed, so the account row carries them and no old
//! entry is read when money moves.

/// Most roots a path can have: one per skew-binary digit of a 63-bit count, and one digit that may be doubled.
const ROOTS_MAX: usize = 64;
/// Longest LEB128 form of an `i64` that is not negative, in bytes of seven bits.
const VARINT_BYTES_MAX: usize = 9;

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
    ///
    /// # Panics
    /// When the id is not larger: such a path could neither be walked nor stored.
    pub fn push(&mut self, id: i64) -> Links {
        let prev = self.head();
        assert!(id > prev.unwrap_or(0), "entry ids ascend from 1");
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

    /// Reads the bytes of a path over `count` entries; `None` when they are not what [`Self::to_bytes`] writes for
    /// such a path.
    pub fn from_bytes(bytes: &[u8], count: u64) -> Option<Self> {
        let mut roots = Vec::new();
        let (mut rest, mut last, mut left) = (bytes, 0_i64, count);
        while left > 0 {
            if roots.len() >= ROOTS_MAX {
                return None;
            }
            let (delta, tail) = take_varint(rest).filter(|(delta, _)| *delta > 0)?;
            last = last.checked_add(i64::try_from(delta).ok()?)?;
            let size = largest_tree(left);
            roots.push((last, size));
            left = left.checked_sub(size)?;
            rest = tail;
        }
        rest.is_empty().then_some(Self { roots })
    }
}

impl SkipPath {
    /// The path over `count` entries whose roots, oldest first, have these ids; `None` when no such path has them.
    pub fn from_roots(ids: &[i64], count: u64) -> Option<Self> {
        let mut bytes = Vec::with_capacity(ids.len().saturating_mul(4));
        let mut last = 0_i64;
        for id in ids {
            put_varint(&mut bytes, u64::try_from(id.checked_sub(last)?).ok()?);
            last = *id;
        }
        Self::from_bytes(&bytes, count)
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

/// The first number and what follows it; `None` for a number that is cut off, too large or longer than needed.
fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value: u64 = 0;
    for (position, byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        let shift = u32::try_from(position).ok()?.checked_mul(7)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let padded = position > 0 && *byte == 0;
            return (!padded).then_some((value, bytes.get(position.checked_add(1)?..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_ascending_ids_survive_storage(gaps in vec(1..=1_i64 << 40, 0..300)) {
            let (mut path, mut id) = (SkipPath::default(), 0);
            for gap in &gaps {
                id += gap;
                path.push(id);
            }
            let count = u64::try_from(gaps.len()).unwrap();
            prop_assert_eq!(SkipPath::from_bytes(&path.to_bytes(), count), Some(path));
        }

        #[test]
        fn no_two_stored_forms_mean_the_same_path(
            bytes in vec(prop_oneof![3 => 0..=3_u8, 1 => any::<u8>()], 0..12),
            count in 0..40_u64,
        ) {
            if let Some(path) = SkipPath::from_bytes(&bytes, count) {
                prop_assert_eq!(path.to_bytes(), bytes);
            }
        }
    }

    /// Steps from an entry to an earlier one, with the links of entry `i` at `links[i]`.
    fn steps(links: &[Links], from: i64, target: i64) -> u32 {
        let (mut at, mut steps) = (from, 0);
        while at > target {
            let here = links[usize::try_from(at).unwrap()];
            at = here
                .jump
                .filter(|jump| *jump >= target)
                .unwrap_or_else(|| here.prev.unwrap());
            steps += 1;
        }
        assert_eq!(at, target);
        steps
    }

    fn chain(count: i64) -> Vec<Links> {
        let mut path = SkipPath::default();
        std::iter::once(Links::default())
            .chain((1..=count).map(|id| path.push(id)))
            .collect()
    }

    #[test]
    fn any_earlier_entry_is_reached_in_logarithmic_steps() {
        let links = chain(70_000);
        let bound = |from: i64| 3 * (from + 1).ilog2();
        for from in 1..=700 {
            for target in 1..=from {
                let steps = steps(&links, from, target);
                assert!(steps <= bound(from), "{steps} steps from {from} to {target}");
            }
        }
        for from in [4_095, 20_000, 65_534, 65_535, 65_536, 70_000] {
            for target in (1..=from).step_by(37) {
                let steps = steps(&links, from, target);
                assert!(steps <= bound(from), "{steps} steps from {from} to {target}");
            }
        }
    }

    #[test]
    fn an_entry_points_to_the_one_before_it_and_to_one_further_back() {
        let links = chain(10_000);
        assert_eq!(links[1], Links::default());
        for id in 2..=10_000_i64 {
            let here = links[usize::try_from(id).unwrap()];
            assert_eq!(here.prev, Some(id - 1));
            assert!(here.jump.is_none_or(|jump| jump < id));
        }
        // Positions as Myers draws them: trees of 1, 1, 3, 3, 7 … entries.
        let jumps: Vec<_> = links[1..=10].iter().map(|links| links.jump).collect();
        let expected = [
            None,
            Some(1),
            None,
            Some(3),
            Some(4),
            Some(3),
            None,
            Some(7),
            Some(8),
            Some(7),
        ];
        assert_eq!(jumps, expected);
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
            let (cut, longer) = (&bytes[..bytes.len() - 1], [&bytes[..], &[1]].concat());
            assert_eq!(SkipPath::from_bytes(cut, count), None);
            assert_eq!(SkipPath::from_bytes(&longer, count), None);
            assert_eq!(SkipPath::from_bytes(&bytes, 0), None);
        }
    }

    #[test]
    fn bytes_that_no_path_has_are_refused() {
        assert_eq!(SkipPath::from_bytes(&[], 0), Some(SkipPath::default()));
        assert!(SkipPath::from_bytes(&[5, 1], 2).is_some());
        let largest = [&[0xff; 8][..], &[0x7f]].concat();
        assert_eq!(SkipPath::from_bytes(&largest, 1).unwrap().head(), Some(i64::MAX));
        for (what, bytes, count) in [
            ("bytes without entries", &[1][..], 0),
            ("entries without bytes", &[], 1),
            ("too few roots", &[5], 2),
            ("too many roots", &[5, 1, 1], 2),
            ("an id of zero", &[0], 1),
            ("the same id twice", &[5, 0], 2),
            ("a number without an end", &[0xff; 12], 1),
            ("a number longer than needed", &[0x85, 0x00], 1),
            (
                "an id beyond the largest",
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                1,
            ),
            (
                "a sum beyond the largest",
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1],
                2,
            ),
            (
                "bits that fall off the end",
                &[0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
                1,
            ),
        ] {
            assert_eq!(SkipPath::from_bytes(bytes, count), None, "{what}");
        }
    }

    #[test]
    fn a_path_of_the_largest_count_still_has_few_roots() {
        for count in [u64::MAX, u64::MAX >> 1, (1 << 62) - 1, 1 << 62] {
            for roots in 0..=ROOTS_MAX + 1 {
                if let Some(path) = SkipPath::from_bytes(&vec![1; roots], count) {
                    assert!(path.roots.len() <= ROOTS_MAX);
                    assert_eq!(path.to_bytes(), vec![1; roots]);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "entry ids ascend")]
    fn an_id_that_does_not_ascend_is_not_appended() {
        let mut path = SkipPath::default();
        path.push(7);
        path.push(7);
    }

    #[test]
    #[should_panic(expected = "entry ids ascend")]
    fn ids_begin_with_one() {
        SkipPath::default().push(0);
    }
}
