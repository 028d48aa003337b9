//! What is known about a person, sealed under the person's own key.

use strongroom_crypto::{DataKey, Place};
use strongroom_domain::{
    id::{SessionId, UserId},
    time::Timestamp,
};
use strongroom_store::identity::{FactorId, UserRow, UserState};

use crate::{
    error::Error,
    identity::{harder::ShownPuzzle, people::People, possession::ShownProof},
};

/// Longest part of a user agent that is kept, in characters.
const AGENT_CHARS_MAX: usize = 256;

/// The place of a person's address.
pub(crate) const fn email_place(person: &UserId) -> Place<'_> {
    Place {
        table: "users",
        column: "sealed_email",
        row: person.as_bytes(),
    }
}

/// The place of a person's name.
pub(crate) const fn name_place(person: &UserId) -> Place<'_> {
    Place {
        table: "users",
        column: "sealed_name",
        row: person.as_bytes(),
    }
}

/// The place of the reason why a login was stopped.
pub(crate) const fn reason_place(person: &UserId) -> Place<'_> {
    Place {
        table: "users",
        column: "sealed_reason",
        row: person.as_bytes(),
    }
}

/// The place of a second factor's secret.
pub(crate) const fn totp_place(factor: &FactorId) -> Place<'_> {
    Place {
        table: "totp_factors",
        column: "sealed_secret",
        row: factor.as_bytes(),
    }
}

const fn client_place(session: &SessionId) -> Place<'_> {
    Place {
        table: "sessions",
        column: "sealed_client",
        row: session.as_bytes(),
    }
}

/// From where somebody calls: personal data.
#[derive(Clone, Default)]
pub struct Client {
    /// The address, behind trusted proxies.
    pub address: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// The device mark that it shows.
    pub device: Option<String>,
    /// Whether its sessions live in cookies, not in tokens.
    pub browser: bool,
    /// The key that it holds, where it showed a proof: what it gets is bound to that key.
    pub proof: Option<ShownProof>,
    /// The puzzle that it solved, where it was asked to.
    pub puzzle: Option<ShownPuzzle>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Client([redacted])")
    }
}

impl Client {
    pub(crate) fn seal(&self, key: &DataKey, session: &SessionId) -> Vec<u8> {
        let agent: String = self.user_agent.chars().take(AGENT_CHARS_MAX).collect();
        // Two lines: neither part holds a line break, both come from headers.
        let text = format!(
            "{}\n{}",
            self.address.replace('\n', " "),
            agent.replace('\n', " ")
        );
        key.seal(client_place(session), text.as_bytes())
    }

    pub(crate) fn open(key: &DataKey, session: &SessionId, sealed: &[u8]) -> Result<Self, Error> {
        let plain = key.open(client_place(session), sealed).map_err(Error::internal)?;
        let (address, agent) = plain
            .expose_str()
            .unwrap_or_default()
            .split_once('\n')
            .unwrap_or_default();
        Ok(Self {
            address: address.to_owned(),
            user_agent: agent.to_owned(),
            ..Self::default()
        })
    }
}

/// A person in clear, for the person's own eyes or an operator's.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// The id.
    pub id: UserId,
    /// The address; none for a technical user or an erased person.
    pub email: Option<String>,
    /// The name.
    pub full_name: String,
    /// Whether the login counts.
    pub state: UserState,
    /// When.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Profile")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl People {
    /// A person in clear; texts are empty once the person was erased.
    pub(crate) async fn profile(&self, row: &UserRow) -> Result<Profile, Error> {
        let key = self.key(row.id).await?;
        let open = |place: Place<'_>, sealed: &Option<Vec<u8>>| -> Result<Option<String>, Error> {
            match (&key, sealed) {
                (Some(key), Some(sealed)) => {
                    let plain = key.open(place, sealed).map_err(Error::internal)?;
                    Ok(plain.expose_str().map(str::to_owned))
                }
                _ => Ok(None),
            }
        };
        Ok(Profile {
            id: row.id,
            email: open(email_place(&row.id), &row.sealed_email)?,
            full_name: open(name_place(&row.id), &row.sealed_name)?.unwrap_or_default(),
            state: row.state,
            created_at: row.created_at,
        })
    }

    /// A person's key, where there must be one.
    pub(crate) async fn key_of(&self, person: UserId) -> Result<std::sync::Arc<DataKey>, Error> {
        self.key(person)
            .await?
            .ok_or_else(|| Error::broken("a person without a data key"))
    }
}
