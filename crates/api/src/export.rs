//! What is known of a person, for that person.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    accounts::{Account, HistoryLine},
    api_keys::ApiKey,
    beneficiaries::Beneficiary,
    external::ExternalLogin,
    me::{Session, User},
    notices::{Notice, NoticeWays},
    passkeys::Passkey,
};

/// Answer of `POST /me/export`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Export {
    /// RFC 3339.
    pub exported_at: String,
    /// The person.
    pub you: User,
    /// Living sessions, newest first.
    pub sessions: Vec<Session>,
    /// Passkeys.
    pub passkeys: Vec<Passkey>,
    /// Identities at issuers.
    pub external_logins: Vec<ExternalLogin>,
    /// Keys of own programs, newest first.
    pub api_keys: Vec<ApiKey>,
    /// Whom the person pays, newest first.
    pub beneficiaries: Vec<Beneficiary>,
    /// By which ways the person is told, event by event.
    pub notice_preferences: Vec<NoticeWays>,
    /// What the person was told of, newest first.
    pub notices: Vec<Notice>,
    /// Accounts, closed ones as well, newest first.
    pub accounts: Vec<ExportedAccount>,
}

/// An account with everything that was booked on it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExportedAccount {
    /// The account.
    pub account: Account,
    /// Newest first.
    pub transactions: Vec<HistoryLine>,
}
