//! What of a record the tree covers, and how a part of it is shown without the rest.
//!
//! A receipt goes to both parties of a transaction, but who acted (person, session, request) is the acting party's own
//! affair. So a leaf is the hash of the record's public part and of a commitment to the rest:
//!
//! ```text
//! canonical = public[..17] ‖ caller (50 bytes) ‖ public[17..]
//! leaf      = SHA-256(0x00 ‖ public ‖ SHA-256("strongroom/caller/v1" ‖ mac ‖ mac_key ‖ caller))
//! ```
//!
//! The HMAC, 256 bits that nobody without the node's key can compute, is what keeps the caller from being guessed; it
//! is therefore never shown in a receipt. Whoever holds the database recomputes the whole leaf.

use sha2::{Digest, Sha256};

use crate::audit::{
    record::{Details, SignedRecord, VERSION},
    tree::{Hash, leaf_hash},
};

/// Bytes of the canonical form before the caller: version, id, time.
const BEFORE_CALLER: usize = 17;
/// Bytes of the caller: request, kind of principal, principal, session, origin.
const CALLER_BYTES: usize = 50;
/// Longest text in a record's public part, in bytes: names are short, and a parser has bounds.
const TEXT_BYTES_MAX: usize = 128;
/// Longest details in a record's public part, in bytes.
const DETAILS_BYTES_MAX: usize = 64 * 1024;

/// The leaf of a record.
pub(super) fn of_record(canonical: Vec<u8>, mac_key: i64, mac: &[u8; 32]) -> Hash {
    let (public, caller) = split(canonical, mac_key, mac);
    of_parts(&public, &caller)
}

/// The public part, and the commitment to the caller.
pub fn split(mut canonical: Vec<u8>, mac_key: i64, mac: &[u8; 32]) -> (Vec<u8>, Hash) {
    let end = canonical.len().min(BEFORE_CALLER.saturating_add(CALLER_BYTES));
    let start = end.min(BEFORE_CALLER);
    let mut commitment = Sha256::new()
        .chain_update(b"strongroom/caller/v1")
        .chain_update(mac)
        .chain_update(mac_key.to_be_bytes());
    commitment.update(canonical.get(start..end).unwrap_or_default());
    canonical.drain(start..end);
    (canonical, commitment.finalize().into())
}

/// The leaf of a public part and the commitment to the caller.
pub fn of_parts(public: &[u8], caller: &Hash) -> Hash {
    leaf_hash(&[public, caller].concat())
}

/// The public part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicRecord {
    /// The record's id.
    pub id: i64,
    /// Microseconds since the epoch.
    pub at: i64,
    /// What was done or refused.
    pub action: String,
    /// Kind of object.
    pub object_kind: String,
    /// The object's id.
    pub object_id: [u8; 16],
    /// `ok` or the code of the refusal.
    pub outcome: String,
    /// Version of the policy.
    pub policy: i32,
    /// What changed.
    pub details: Details,
}

impl PublicRecord {
    /// Reads the public part. Every byte has one meaning: what is cut off, too long or of another version is `None`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let [version] = take(&mut rest)?;
        let record = Self {
            id: i64::from_be_bytes(take(&mut rest)?),
            at: i64::from_be_bytes(take(&mut rest)?),
            action: take_text(&mut rest)?,
            object_kind: take_text(&mut rest)?,
            object_id: take(&mut rest)?,
            outcome: take_text(&mut rest)?,
            policy: i32::from_be_bytes(take(&mut rest)?),
            details: Details::from_bytes(take_part(&mut rest, DETAILS_BYTES_MAX)?.to_vec()),
        };
        (version == VERSION && rest.is_empty()).then_some(record)
    }
}

/// The whole record of canonical bytes, with the HMAC that came with them. Every byte has one meaning: what is cut off,
/// too long or of another version is `None`. Whether the HMAC is right is not looked at.
pub fn whole(canonical: &[u8], mac_key: i64, mac: [u8; 32]) -> Option<SignedRecord> {
    let (before, rest) = canonical.split_at_checked(BEFORE_CALLER)?;
    let (mut caller, after) = rest.split_at_checked(CALLER_BYTES)?;
    let public = PublicRecord::parse(&[before, after].concat())?;
    let request = take(&mut caller)?;
    let [principal_kind] = take(&mut caller)?;
    let principal_id = take(&mut caller)?;
    let session = take(&mut caller)?;
    let [origin] = take(&mut caller)?;
    Some(SignedRecord {
        id: public.id,
        at: public.at,
        request,
        principal_kind,
        principal_id,
        session,
        origin,
        action: public.action,
        object_kind: public.object_kind,
        object_id: public.object_id,
        outcome: public.outcome,
        policy: public.policy,
        details: public.details,
        mac_key,
        mac,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*first)
}

fn take_part<'a>(rest: &mut &'a [u8], bytes_max: usize) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_be_bytes(take(rest)?)).ok()?;
    let (part, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    (length <= bytes_max).then_some(part)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let part = take_part(rest, TEXT_BYTES_MAX)?;
    Some(std::str::from_utf8(part).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::SignedRecord;

    fn record() -> SignedRecord {
        SignedRecord {
            id: 7,
            at: 1_700_000_000_000_001,
            request: [1; 16],
            principal_kind: 1,
            principal_id: [2; 16],
            session: [3; 16],
            origin: 1,
            action: "transfer.create".to_owned(),
            object_kind: "transaction".to_owned(),
            object_id: [4; 16],
            outcome: "ok".to_owned(),
            policy: 1,
            details: Details::transaction(&[5; 32]),
            mac_key: 9,
            mac: [8; 32],
        }
    }

    /// The expected hash was computed outside this code, from the layout in the module's page.
    #[test]
    fn the_leaf_of_a_record_never_changes() {
        let hex: String = record().leaf().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "5f8b9772205eeb2deb9fe88f816a77e588c5f11990e1a1bced65109e8bad471a"
        );
    }

    #[test]
    fn the_public_part_tells_what_happened_and_nothing_of_who_did_it() {
        let record = record();
        let (public, caller) = split(record.canonical(), record.mac_key, &record.mac);
        assert_eq!(of_parts(&public, &caller), record.leaf());
        for secret in [[1_u8; 16], [2; 16], [3; 16], [8; 16]] {
            assert!(!public.windows(16).any(|window| window == secret));
        }
        let read = PublicRecord::parse(&public).unwrap();
        assert_eq!(
            (read.id, read.at, read.policy),
            (record.id, record.at, record.policy)
        );
        assert_eq!((read.action, read.outcome), (record.action, record.outcome));
        assert_eq!(
            (read.object_kind, read.object_id),
            (record.object_kind, record.object_id)
        );
        assert_eq!(read.details, record.details);
    }

    #[test]
    fn a_record_is_read_back_from_its_bytes_whole_or_not_at_all() {
        let record = record();
        let bytes = record.canonical();
        assert_eq!(whole(&bytes, record.mac_key, record.mac), Some(record.clone()));
        for length in 0..bytes.len() {
            assert_eq!(whole(&bytes[..length], 9, record.mac), None, "{length}");
        }
        assert_eq!(whole(&[&bytes[..], &[0]].concat(), 9, record.mac), None);
    }

    #[test]
    fn the_caller_is_bound_by_the_leaf_and_cannot_be_guessed_without_the_mac() {
        let base = record();
        let commitment = |record: &SignedRecord| split(record.canonical(), record.mac_key, &record.mac).1;
        let changes: [fn(&mut SignedRecord); 7] = [
            |r| r.request[0] ^= 1,
            |r| r.principal_kind ^= 1,
            |r| r.principal_id[0] ^= 1,
            |r| r.session[0] ^= 1,
            |r| r.origin ^= 1,
            |r| r.mac[0] ^= 1,
            |r| r.mac_key ^= 1,
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(commitment(&other), commitment(&base));
        }
        let mut same = base.clone();
        same.outcome = "account_frozen".to_owned();
        assert_eq!(
            commitment(&same),
            commitment(&base),
            "the public part is not in it"
        );
    }

    #[test]
    fn a_public_part_that_is_cut_longer_or_of_another_version_is_refused() {
        let record = record();
        let (public, _) = split(record.canonical(), record.mac_key, &record.mac);
        assert!(PublicRecord::parse(&public).is_some());
        for length in 0..public.len() {
            assert_eq!(PublicRecord::parse(&public[..length]), None, "{length}");
        }
        assert_eq!(PublicRecord::parse(&[&public[..], &[0]].concat()), None);
        let mut other = public;
        other[0] = 2;
        assert_eq!(PublicRecord::parse(&other), None);
    }

    #[test]
    fn bytes_that_are_too_short_for_a_record_still_have_a_leaf() {
        for length in 0..80 {
            let (public, _) = split(vec![7; length], 1, &[0; 32]);
            assert_eq!(
                public.len(),
                length.min(BEFORE_CALLER) + length.saturating_sub(BEFORE_CALLER + CALLER_BYTES)
            );
        }
    }
}
