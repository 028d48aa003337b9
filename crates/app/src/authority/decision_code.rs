//! What a recorded decision is authenticated by: its bytes under the node's code, and its leaf under the root that the
//! log has of its portion.

use strongroom_domain::audit::{CompactRange, Hash, leaf_hash};
use strongroom_store::identity::DecisionRow;

/// First bytes of what an authentication code is over.
const CODE_DOMAIN: &[u8] = b"strongroom.decision.v1";
/// The same where money would move.
const CODE_DOMAIN_OF_MONEY: &[u8] = b"strongroom.decision.v2";

/// What the authentication code is over.
pub(super) fn code_of(row: &DecisionRow) -> Vec<u8> {
    let mut bytes = match row.money {
        Some(_) => CODE_DOMAIN_OF_MONEY.to_vec(),
        None => CODE_DOMAIN.to_vec(),
    };
    bytes.extend_from_slice(row.id.as_bytes());
    bytes.extend_from_slice(&row.at.micros().to_be_bytes());
    bytes.extend_from_slice(row.request.as_bytes());
    bytes.push(row.principal_kind);
    bytes.extend_from_slice(&row.principal_id);
    bytes.push(u8::from(row.allowed));
    bytes.extend_from_slice(&row.version.to_be_bytes());
    bytes.extend_from_slice(&row.inputs);
    // Before what has a free length, and behind its own, so that no byte of it can move into another column.
    if let Some((amount, currency)) = &row.money {
        bytes.extend_from_slice(&amount.to_be_bytes());
        bytes.push(u8::try_from(currency.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(currency.as_bytes());
    }
    bytes.extend_from_slice(row.action.as_bytes());
    // What came later is marked, so that a code from before stays what it is. Sealed bytes are random: the code is over
    // these and no others.
    for (mark, part) in [
        (1, row.owner.as_ref().map(|owner| owner.as_bytes().as_slice())),
        (2, row.sealed_reason.as_deref()),
    ] {
        if let Some(part) = part {
            bytes.push(0);
            bytes.push(mark);
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// The leaf of a decision in the tree over its portion: all of the row but the shared facts, whose digest is in it.
fn leaf_of(row: &DecisionRow) -> Hash {
    let mut bytes = code_of(row);
    bytes.push(0);
    bytes.extend_from_slice(row.sealed_address.as_deref().unwrap_or_default());
    bytes.extend_from_slice(&row.mac_key.to_be_bytes());
    bytes.extend_from_slice(&row.mac);
    leaf_hash(&bytes)
}

/// The root over decisions in the order of their ids (RFC 9162, section 2.1.1).
pub(crate) fn root_of_decisions(rows: &[DecisionRow]) -> Hash {
    let mut range = CompactRange::default();
    for row in rows {
        range.append(leaf_of(row), |_| ());
    }
    range.root()
}
