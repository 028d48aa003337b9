//! Audit records taken away: lines of JSON (NDJSON), each section a head, records, and an end.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use strongroom_domain::audit::{Hash, SignedRecord, leaf};
use utoipa::ToSchema;

use crate::audit::AuditRecord;

/// Media type of an export.
pub const NDJSON: &str = "application/x-ndjson";
/// What the first line of every section says.
pub const EXPORT_FORMAT: &str = "strongroom-audit-export/1";

/// What to take away; absent fields want all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"principal": "user_01jd3vw4ezfkx8y0q4sfcmj2t9", "from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}))]
pub struct NewAuditExport {
    /// What was done or refused: `transfer.create`.
    pub action: Option<String>,
    /// To what: the id of an account, transaction, transfer, deposit, withdrawal or user.
    pub object: Option<String>,
    /// By whom: the id of a user or an API key.
    pub principal: Option<String>,
    /// `ok`, or the code of a refusal.
    pub outcome: Option<String>,
    /// `true` for refusals only, `false` for what was done only.
    pub refused: Option<bool>,
    /// Not before this moment.
    pub from: Option<String>,
    /// Before this moment.
    pub to: Option<String>,
    /// Most records of the page, 1 to 500; 500 when absent.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filter.
    pub cursor: Option<String>,
}

/// The first line of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditExportHead {
    /// `strongroom-audit-export/1`.
    pub format: String,
    /// The signed head that every proof of the section leads to.
    pub checkpoint: String,
    /// Size of the head that the export began with: it ends there.
    pub size: u64,
    /// Base64: proof that the section's head continues that one (RFC 9162, section 2.1.4).
    #[schema(max_items = 128)]
    pub consistency: Vec<String>,
    /// Whether records were left out by a filter.
    pub filtered: bool,
    /// When it was written.
    pub exported_at: String,
}

/// A record with all that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportedRecord {
    /// Its position in the log.
    pub leaf: u64,
    /// The record for people; a verifier reads it from the bytes and compares.
    pub record: AuditRecord,
    /// Base64: the record's canonical bytes.
    pub bytes: String,
    /// Number of the key of the authentication code.
    pub mac_key: i64,
    /// Base64: the authentication code, without which who acted cannot be proved.
    pub mac: String,
    /// Base64: hashes from the leaf's sibling upwards.
    #[schema(max_items = 64)]
    pub proof: Vec<String>,
}

/// The last line of a section: what ends without it was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditExportEnd {
    /// How many records the section has.
    pub records: u32,
    /// Where it goes on; `null` at the end of the export.
    pub next_cursor: Option<String>,
}

/// A line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum AuditExportLine {
    /// A section begins.
    Head(AuditExportHead),
    /// A record.
    Record(Box<ExportedRecord>),
    /// A section ends.
    End(AuditExportEnd),
}

/// A line is not of the form that this version reads. Names the member, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form {EXPORT_FORMAT}: `{0}` cannot be read")]
pub struct ExportFormError(pub &'static str);

impl AuditExportHead {
    /// The proof that the section's head continues the one that the export began with.
    ///
    /// # Errors
    /// [`ExportFormError`].
    pub fn consistency(&self) -> Result<Vec<Hash>, ExportFormError> {
        hashes(&self.consistency, "consistency")
    }
}

impl ExportedRecord {
    /// The record, read from its bytes. What the line says besides is not looked at.
    ///
    /// # Errors
    /// [`ExportFormError`] with the first member that cannot be read.
    pub fn signed(&self) -> Result<SignedRecord, ExportFormError> {
        let mac = hash(&self.mac, "mac")?;
        let bytes = STANDARD
            .decode(&self.bytes)
            .map_err(|_| ExportFormError("bytes"))?;
        leaf::whole(&bytes, self.mac_key, mac).ok_or(ExportFormError("bytes"))
    }

    /// The hashes from the leaf's sibling upwards.
    ///
    /// # Errors
    /// [`ExportFormError`].
    pub fn proof(&self) -> Result<Vec<Hash>, ExportFormError> {
        hashes(&self.proof, "proof")
    }
}

fn hashes(texts: &[String], name: &'static str) -> Result<Vec<Hash>, ExportFormError> {
    texts.iter().map(|text| hash(text, name)).collect()
}

fn hash(text: &str, name: &'static str) -> Result<Hash, ExportFormError> {
    let bytes = STANDARD.decode(text).map_err(|_| ExportFormError(name))?;
    bytes.try_into().map_err(|_| ExportFormError(name))
}
