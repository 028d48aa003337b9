//! Blocked addresses: who may see them, and the record of lifting one. The blocks themselves are the edge's.

use std::{net::IpAddr, sync::Arc};

use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
};
use strongroom_store::Scope;

use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    security::{catalogue::SecurityEventKind, stream::Line},
};

/// The purpose of names of addresses where nodes share blocks.
const SHARED_INDEX: &str = "shared_blocks";

const fn shared_place(name: &[u8; 16]) -> Place<'_> {
    Place {
        table: "shared_blocks",
        column: "block",
        row: name,
    }
}

impl Bank {
    /// What names a blocked address where nodes share blocks: the same on every node, and nothing to whoever reads it.
    pub fn shared_block_name(&self, address: &[u8]) -> [u8; 16] {
        self.ring().blind_index(SHARED_INDEX, address)
    }

    /// Seals a block for its name.
    pub fn seal_shared_block(&self, name: &[u8; 16], text: &[u8]) -> Vec<u8> {
        self.ring().seal(shared_place(name), text)
    }

    /// Opens a block of this name; `None` for what some other bank, or nobody, sealed for it.
    pub fn open_shared_block(&self, name: &[u8; 16], sealed: &[u8]) -> Option<Vec<u8>> {
        let opened = self.ring().open(shared_place(name), sealed).ok()?;
        Some(opened.expose().to_vec())
    }

    /// Notes that strangers from this address (IPv6: its /64) are refused for a while, or would be (`enforced`).
    pub fn note_address_blocked(&self, address: IpAddr, enforced: bool) {
        self.security.note(&Line {
            outcome: if enforced { "refused" } else { "noted" },
            address: &address.to_string(),
            ..Line::of(SecurityEventKind::AddressBlocked, self.clock.now())
        });
    }

    /// Lets the caller read which addresses are blocked.
    ///
    /// # Errors
    /// `forbidden` for whom the rules do not allow it.
    pub fn may_read_blocks(&self, cx: &Cx) -> Result<(), Error> {
        authorize(cx, Action::BlockRead, Resource::Bank).map(|_| ())
    }

    /// Records that the caller lifts the block of an address. The record holds a keyed digest of the address, the one
    /// that its security events have.
    ///
    /// # Errors
    /// `forbidden` for whom the rules do not allow it.
    pub async fn record_block_lifted(self: &Arc<Self>, cx: &Cx, address: IpAddr) -> Result<(), Error> {
        let cx = cx.clone();
        self.detached(move |bank| async move {
            let permit = authorize(&cx, Action::BlockLift, Resource::Bank)?;
            let mut tx = bank.store.write(Scope::Operator).await?;
            let entry = Entry {
                object: Object::Other("address", bank.source_of_address(&address.to_string())),
                outcome: "ok",
                details: Details::none(),
            };
            bank.recorder.append(&mut tx, &cx, &permit, entry).await?;
            tx.commit().await?;
            let lifted = (address.to_string(), bank.source_of_address(&address.to_string()));
            bank.note(&cx, SecurityEventKind::BlockLifted, Some(lifted));
            Ok(())
        })
        .await
    }
}
