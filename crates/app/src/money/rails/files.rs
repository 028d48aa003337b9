//! Files of payments: asked for by one operator, released by another, laid where they are fetched by a job.
//!
//! A release puts payments into the file and keeps the file's bytes, sealed, in the commit that closes the request:
//! from then on nobody takes them back, and they are in no other file. The job lays the same bytes under the same name
//! however often it is killed.

use serde::{Deserialize, Serialize};
use strongroom_crypto::Place;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object},
    id::{ApprovalId, PaymentId, RailFileId},
    money::Currency,
    outgoing::Outgoing,
    rail::file_digest,
    text::hex,
};
pub use strongroom_store::ledger::RailFile;
use strongroom_store::{Scope, WriteTx};

use super::{
    RailSettings,
    pain::{CreditTransfer, FILE_PAYMENTS_MAX, PaymentFile},
};
use crate::{
    audit::record::Entry,
    authority::authorize::{Resource, authorize},
    bank::Bank,
    cx::Cx,
    error::{Error, Kind},
};

/// Most files that one run of the job lays out.
const DELIVERIES_MAX: u32 = 16;

/// What the checker sees, in the order of the names.
#[derive(Debug, Serialize, Deserialize)]
struct ReleaseRequest {
    count: usize,
    currency: String,
    payments: Vec<String>,
    total: i64,
}

/// A release before it is done: everything that takes time.
pub(crate) struct PreparedRelease {
    currency: Currency,
    transfers: Vec<CreditTransfer>,
}

fn nothing_to_release() -> Error {
    Error::new(
        Kind::Conflict,
        "nothing_to_release",
        "No payment waits to leave the bank.",
    )
}

const fn place(file: &RailFileId) -> Place<'_> {
    Place {
        table: "rail_files",
        column: "sealed",
        row: file.as_bytes(),
    }
}

/// The name under which a file is laid out.
pub fn name_of(file: RailFileId) -> String {
    format!("{file}.pain001.xml")
}

impl Bank {
    /// Asks for a file of the payments that wait, the oldest first; somebody else releases it.
    ///
    /// # Errors
    /// `forbidden` for everybody but tellers and administrators, `rail_not_configured`, `nothing_to_release`.
    pub async fn ask_for_release(&self, cx: &Cx) -> Result<ApprovalId, Error> {
        let permit = authorize(cx, Action::RailRelease, Resource::Bank)?;
        let currency = self.rail()?.currency;
        let waiting = self
            .store
            .payments_to_release(currency, FILE_PAYMENTS_MAX)
            .await?;
        if waiting.is_empty() {
            return Err(nothing_to_release());
        }
        let total = waiting
            .iter()
            .try_fold(0_i64, |sum, payment| sum.checked_add(payment.amount.minor()));
        let request = ReleaseRequest {
            count: waiting.len(),
            currency: currency.code().to_owned(),
            payments: waiting.iter().map(|payment| payment.id.to_string()).collect(),
            total: total.ok_or_else(|| Error::broken("payments that do not add up to a number"))?,
        };
        let details = Details::json(&format!(
            r#"{{"count":{},"total":{}}}"#,
            request.count, request.total
        ));
        let text = serde_json::to_vec(&request).map_err(Error::internal)?;
        self.file_request(cx, &permit, Action::RailRelease, &text, details)
            .await
    }

    /// What a request for a release says, with whom each payment is for.
    pub(crate) async fn prepare_release(&self, cx: &Cx, text: &[u8]) -> Result<PreparedRelease, Error> {
        authorize(cx, Action::RailRelease, Resource::Bank)?;
        let request: ReleaseRequest = serde_json::from_slice(text).map_err(Error::internal)?;
        let currency = self.rail()?.currency;
        if request.currency != currency.code() {
            return Err(nothing_to_release());
        }
        let mut transfers = Vec::with_capacity(request.payments.len());
        for id in request.payments {
            let id = PaymentId::parse(&id).map_err(Error::internal)?;
            if let Some(payment) = self.store.outgoing(id).await?.filter(is_waiting)
                && let Some(transfer) = self.transfer_of(payment).await?
            {
                transfers.push(transfer);
            }
        }
        Ok(PreparedRelease { currency, transfers })
    }

    /// Without name and number there is nobody to pay.
    async fn transfer_of(&self, payment: Outgoing) -> Result<Option<CreditTransfer>, Error> {
        let details = self.sending_of(payment).await?;
        Ok(details.payee.map(|payee| CreditTransfer {
            id: details.payment.id,
            minor: details.payment.amount.minor(),
            name: payee.name,
            number: payee.number,
            remittance: details.reference,
        }))
    }

    /// Releases those of the payments that still wait: who took one back was first.
    pub(crate) async fn release(
        &self,
        tx: &mut WriteTx,
        cx: &Cx,
        prepared: &PreparedRelease,
        approval: ApprovalId,
    ) -> Result<(), Error> {
        let permit = authorize(cx, Action::RailRelease, Resource::Bank)?;
        let rail = self.rail()?;
        let id: RailFileId = cx.new_id();
        let wanted: Vec<PaymentId> = prepared.transfers.iter().map(|transfer| transfer.id).collect();
        let released = tx.release_payments(id, &wanted).await?;
        if released.is_empty() {
            return Err(nothing_to_release());
        }
        let payments: Vec<CreditTransfer> = prepared
            .transfers
            .iter()
            .filter(|transfer| released.binary_search(&transfer.id).is_ok())
            .cloned()
            .collect();
        let total = payments.iter().map(|payment| payment.minor).sum();
        let bytes = self
            .document(rail, cx, id, prepared.currency, payments)
            .write()
            .map_err(Error::internal)?;
        let file = RailFile {
            id,
            approval,
            currency: prepared.currency,
            payments: u64::try_from(released.len()).unwrap_or(u64::MAX),
            total,
            digest: file_digest(&bytes, 0),
            sealed: Some(self.ring().seal(place(&id), &bytes)),
            released_at: cx.now(),
            delivered_at: None,
        };
        tx.insert_rail_file(&file).await?;
        // Which payments left is told here: nothing else says of one that it is in no file.
        let ids: Vec<String> = released.iter().map(ToString::to_string).collect();
        let details = serde_json::json!({
            "approval": approval.to_string(), "digest": hex(&file.digest), "payments": file.payments, "released": ids,
            "total": total,
        });
        let details = Details::json(&details.to_string());
        let entry = Entry {
            object: Object::Other("rail_file", *id.as_bytes()),
            outcome: "ok",
            details,
        };
        self.recorder.append(tx, cx, &permit, entry).await
    }

    fn document(
        &self,
        rail: &RailSettings,
        cx: &Cx,
        id: RailFileId,
        currency: Currency,
        payments: Vec<CreditTransfer>,
    ) -> PaymentFile {
        PaymentFile {
            message: id.to_string(),
            created_at: cx.now().to_string(),
            day: cx.now().date_in(&self.zone).to_string(),
            currency,
            debtor: (rail.name.clone(), rail.account.as_str().to_owned()),
            payments,
        }
    }

    /// Lays released files where they are fetched, and says how many. The row of a file is locked meanwhile, so that of
    /// several nodes one does; who is killed in between lays the same file once more.
    ///
    /// # Errors
    /// When the database does not answer or a file cannot be laid out: it is tried again.
    pub async fn deliver_files(&self) -> Result<usize, Error> {
        let Some(settings) = self.rail.get() else {
            return Ok(0);
        };
        let mut delivered: usize = 0;
        for id in self.store.waiting_rail_files(DELIVERIES_MAX).await? {
            let cx = self.cx_job().await?;
            let permit = authorize(&cx, Action::RailDeliver, Resource::Bank)?;
            let mut tx = self.store.write(Scope::System).await?;
            let Some(file) = tx.deliver_rail_file(id, cx.now()).await? else {
                continue;
            };
            let sealed = file
                .sealed
                .ok_or_else(|| Error::broken("a file without its bytes"))?;
            let plain = self.ring().open(place(&id), &sealed).map_err(Error::internal)?;
            let bytes = plain.expose().to_vec();
            if file_digest(&bytes, 0) != file.digest {
                return Err(Error::broken("a file that is not the one that was released"));
            }
            let entry = Entry {
                object: Object::Other("rail_file", *id.as_bytes()),
                outcome: "ok",
                details: Details::json(&format!(r#"{{"digest":"{}"}}"#, hex(&file.digest))),
            };
            self.recorder.append(&mut tx, &cx, &permit, entry).await?;
            let rail = settings.rail.clone();
            tokio::task::spawn_blocking(move || rail.deliver(&name_of(id), &bytes))
                .await
                .map_err(Error::internal)?
                .map_err(Error::internal)?;
            tx.commit().await?;
            delivered = delivered.saturating_add(1);
        }
        Ok(delivered)
    }

    /// Released files, newest first, older than `before`.
    ///
    /// # Errors
    /// `forbidden` for others than tellers, compliance, auditors and administrators.
    pub async fn rail_files(
        &self,
        cx: &Cx,
        before: Option<RailFileId>,
        limit: u32,
    ) -> Result<Vec<RailFile>, Error> {
        authorize(cx, Action::RailRead, Resource::Bank)?;
        Ok(self.store.rail_files(before, limit).await?)
    }
}

fn is_waiting(payment: &Outgoing) -> bool {
    payment.file.is_none() && payment.closed_at.is_none()
}
