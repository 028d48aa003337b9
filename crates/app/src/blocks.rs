//! Blocked addresses: who may see them, and the record of lifting one. The blocks themselves are the edge's.

use std::{net::IpAddr, sync::Arc};

use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
};
use strongroom_store::Scope;

use crate::{
    authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::Error,
    record::Entry,
};

impl Bank {
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
            Ok(tx.commit().await?)
        })
        .await
    }
}
