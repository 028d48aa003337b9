//! Who acts: a principal, from where, and with which assurance.

use crate::id::{ApiKeyId, SessionId, UserId};

/// The fixed roles. What each may do is decided in one place, the application's `authorize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Holds accounts and moves own money.
    Customer,
    /// Reads for customers on their request; moves nothing.
    Support,
    /// Books cash over the counter, opens and freezes accounts.
    Teller,
    /// Reads everything, changes nothing.
    Auditor,
    /// Administers users and settings; never moves customers' money alone.
    Admin,
    /// Reads about customers and looks into what they do; moves nothing.
    Compliance,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::Customer,
        Self::Support,
        Self::Teller,
        Self::Auditor,
        Self::Admin,
        Self::Compliance,
    ];

    /// The stable name in the database, the API and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Support => "support",
            Self::Teller => "teller",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
            Self::Compliance => "compliance",
        }
    }

    /// Reads the stable name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether the role works for the bank.
    pub const fn is_operator(self) -> bool {
        !matches!(self, Self::Customer)
    }
}

/// Who acts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody has proved to be anybody.
    Anonymous,
    /// A logged-in person, customer or operator.
    User(UserId),
    /// An integration with its own key, acting for its owner.
    ApiKey {
        /// The key.
        key: ApiKeyId,
        /// Whose integration it is; idempotency keys belong to the owner.
        owner: UserId,
    },
    /// A background job of the server.
    Job,
    /// Somebody with the data directory in hand, by numeric user id of the host.
    Cli(u32),
}

impl Principal {
    /// Number in canonical encodings; never reused.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Anonymous => 0,
            Self::User(_) => 1,
            Self::ApiKey { .. } => 2,
            Self::Job => 3,
            Self::Cli(_) => 4,
        }
    }

    /// The 16 bytes that name the principal within its kind; zeros where there is no name.
    pub fn id_bytes(self) -> [u8; 16] {
        match self {
            Self::Anonymous | Self::Job => [0; 16],
            Self::User(id) => *id.as_bytes(),
            Self::ApiKey { key, .. } => *key.as_bytes(),
            Self::Cli(uid) => u128::from(uid).to_be_bytes(),
        }
    }

    /// Whose money and keys the principal acts on, where it acts for a person.
    pub const fn owner(self) -> Option<UserId> {
        match self {
            Self::User(id) | Self::ApiKey { owner: id, .. } => Some(id),
            Self::Anonymous | Self::Job | Self::Cli(_) => None,
        }
    }
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The JSON API.
    Api,
    /// The web app.
    Web,
    /// The command line.
    Cli,
    /// A background job.
    Job,
}

impl Origin {
    /// Number in canonical encodings; never reused.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Api => 1,
            Self::Web => 2,
            Self::Cli => 3,
            Self::Job => 4,
        }
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Web => "web",
            Self::Cli => "cli",
            Self::Job => "job",
        }
    }
}

/// How sure we are who it is (NIST SP 800-63B-4). Ordered: more is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assurance {
    /// Nothing proved.
    None,
    /// One factor.
    Aal1,
    /// Two factors.
    Aal2,
}

/// The principal of a request with the session that established it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who acts.
    pub principal: Principal,
    /// The login session, where there is one.
    pub session: Option<SessionId>,
    /// How the request came in.
    pub origin: Origin,
}
