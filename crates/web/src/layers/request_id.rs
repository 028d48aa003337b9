//! The number of a request: new for every request, never taken from the client.
//!
//! Its text has the form of a TypeID (`req_` and 26 characters) over a UUIDv7. The number names a request
//! in logs and answers; it is no secret and opens nothing, so its random part comes from a counter that is
//! mixed with a seed of the process rather than from the kernel on every request.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    str::FromStr,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::HeaderValue;

const PREFIX: &[u8; 4] = b"req_";
const DIGITS: usize = 26;
const TEXT_BYTES: usize = PREFIX.len() + DIGITS;
/// Crockford's alphabet in lower case, as TypeID writes it.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("request"));
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The number of one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// A number that no other request of this process has and that sorts by time.
    pub fn next() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the number is made where the request arrives, before any `Cx`"
        )]
        let now = SystemTime::now();
        let milliseconds = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis())
            & 0xffff_ffff_ffff;
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        // A bijection of the counter: unique within the process, unrelated between processes.
        let random = mix(SEED.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let high = u128::from(mix(*SEED) >> 52);
        let low = u128::from(random >> 2);
        Self(milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
    }

    /// The sixteen bytes of the UUID.
    pub fn bytes(&self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    fn text(&self) -> [u8; TEXT_BYTES] {
        let mut text = [0; TEXT_BYTES];
        text[..PREFIX.len()].copy_from_slice(PREFIX);
        let mut rest = self.0;
        for place in text[PREFIX.len()..].iter_mut().rev() {
            *place = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        text
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&self.text()))
            .unwrap_or(HeaderValue::from_static("req_"))
    }
}

/// The finalizer of SplitMix64, a bijection on 64 bits.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(&text).unwrap_or("req_"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARequestId;

impl FromStr for RequestId {
    type Err = NotARequestId;

    fn from_str(text: &str) -> Result<Self, NotARequestId> {
        let digits = text
            .as_bytes()
            .strip_prefix(PREFIX)
            .filter(|digits| digits.len() == DIGITS);
        let digits = digits.ok_or(NotARequestId)?;
        // 26 digits hold 130 bits: the first one may not use its two highest.
        if digits.first().is_none_or(|first| *first > b'7') {
            return Err(NotARequestId);
        }
        digits
            .iter()
            .try_fold(0_u128, |value, digit| {
                let place = ALPHABET
                    .iter()
                    .position(|known| known == digit)
                    .ok_or(NotARequestId)?;
                Ok(value << 5 | place as u128)
            })
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_uuid_version_7_and_never_repeat() {
        let mut seen = HashSet::new();
        for _ in 0..100_000 {
            let id = RequestId::next();
            let bytes = id.bytes();
            assert_eq!(bytes[6] >> 4, 7);
            assert_eq!(bytes[8] >> 6, 0b10);
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn the_text_reads_back_as_the_same_number() {
        let id = RequestId::next();
        let text = id.to_string();
        assert_eq!(text.len(), TEXT_BYTES);
        assert!(text.starts_with("req_"));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(id.header().to_str().unwrap(), text);
        for wrong in [
            "",
            "req_",
            "req_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "acc_01jd3vw4ezfkx8y0q4sfcmj2t9",
            &text[..29],
        ] {
            assert_eq!(wrong.parse::<RequestId>(), Err(NotARequestId), "{wrong}");
        }
    }

    #[test]
    fn the_text_is_the_one_of_the_type_id_specification() {
        // typeid/spec, valid.yml: prefix_01h455vb4pex5vsknk084sn02q is 01890a5d-ac96-774b-bcce-b302099a8057.
        let id: RequestId = "req_01h455vb4pex5vsknk084sn02q".parse().unwrap();
        assert_eq!(
            u128::from_be_bytes(id.bytes()),
            0x01890a5d_ac96_774b_bcce_b302099a8057
        );
        assert_eq!(id.to_string(), "req_01h455vb4pex5vsknk084sn02q");
    }
}
