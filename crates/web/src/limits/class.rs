//! The classes of requests that are counted apart.

/// A class of requests with a quota of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Requests of nobody in particular, by address.
    Anonymous,
    /// Wrong passwords, codes and mailed tokens, by address or by the device that is known there.
    Auth,
    /// Renewing and ending sessions, by address.
    Session,
    /// Reading, by customer.
    ApiRead,
    /// Changing, by customer.
    ApiWrite,
    /// Uploads, by whoever it is.
    FileUpload,
    /// Asking what would happen: dry runs, which tell whether a payee can be paid.
    Preview,
    /// Asking whether a name is that of an account's holder.
    PayeeCheck,
    /// Reading, by operator.
    OperatorRead,
    /// Changing, by operator.
    OperatorWrite,
    /// Reading, by key of an integration.
    KeyRead,
    /// Changing, by key of an integration.
    KeyWrite,
    /// Whatever the bank's own programs do, by their key.
    Service,
    /// Health, by address.
    Health,
    /// Keys and documents that are public, by address.
    Document,
    /// Files of the web app, by address.
    Asset,
}

/// How many classes there are.
pub(super) const CLASSES: usize = 16;

impl Class {
    /// All of them, in the order of the configuration.
    pub const ALL: [Self; CLASSES] = [
        Self::Anonymous,
        Self::Auth,
        Self::Session,
        Self::ApiRead,
        Self::ApiWrite,
        Self::FileUpload,
        Self::Preview,
        Self::PayeeCheck,
        Self::OperatorRead,
        Self::OperatorWrite,
        Self::KeyRead,
        Self::KeyWrite,
        Self::Service,
        Self::Health,
        Self::Document,
        Self::Asset,
    ];

    /// Its name in the configuration (`limits.<name>`), in headers, refusals and figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Auth => "auth",
            Self::Session => "session",
            Self::ApiRead => "api_read",
            Self::ApiWrite => "api_write",
            Self::FileUpload => "file_upload",
            Self::Preview => "preview",
            Self::PayeeCheck => "payee_check",
            Self::OperatorRead => "operator_read",
            Self::OperatorWrite => "operator_write",
            Self::KeyRead => "key_read",
            Self::KeyWrite => "key_write",
            Self::Service => "service",
            Self::Health => "health",
            Self::Document => "document",
            Self::Asset => "asset",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_one_of_the_table() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), index);
        }
    }
}
