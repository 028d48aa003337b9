//! Everything that can be allowed or refused, by its stable name.

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a principal wants to do: the word that authorization, audit log and policies share.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

actions! {
    /// Open an account.
    AccountOpen = "account.open",
    /// Open an account for a customer.
    AccountOpenFor = "account.open_for",
    /// Read an account, its balance and history.
    AccountRead = "account.read",
    /// List accounts.
    AccountList = "account.list",
    /// Change an account's name.
    AccountRename = "account.rename",
    /// Stop movements.
    AccountFreeze = "account.freeze",
    /// Lift an own freeze.
    AccountUnfreeze = "account.unfreeze",
    /// Close for good.
    AccountClose = "account.close",
    /// Move money between accounts.
    TransferCreate = "transfer.create",
    /// Read a transfer or its receipt.
    TransferRead = "transfer.read",
    /// Book cash in.
    DepositCreate = "deposit.create",
    /// Book cash out.
    WithdrawalCreate = "withdrawal.create",
    /// Reserve money for a payee.
    HoldPlace = "hold.place",
    /// Pay out of a hold.
    HoldCapture = "hold.capture",
    /// Give a hold back.
    HoldVoid = "hold.void",
    /// Read a hold.
    HoldRead = "hold.read",
    /// Give a hold back because its time is over.
    HoldExpire = "hold.expire",
    /// Pay a merchant.
    PaymentCreate = "payment.create",
    /// Give back some or all of a payment.
    PaymentRefund = "payment.refund",
    /// Read a payment.
    PaymentRead = "payment.read",
    /// Take back, for the bank, what an earlier movement moved.
    TransferReverse = "transfer.reverse",
    /// Make somebody a merchant.
    MerchantCreate = "merchant.create",
    /// Read who a merchant is.
    MerchantRead = "merchant.read",
    /// Read the trial balance and run the online check.
    LedgerInspect = "ledger.inspect",
    /// Read the audit log.
    AuditRead = "audit.read",
    /// Read what was counted of failed logins and refused credentials.
    SecurityEventRead = "security_event.read",
    /// Read which addresses are blocked.
    BlockRead = "block.read",
    /// Lift the block of an address.
    BlockLift = "block.lift",
    /// Come in where operators work.
    DeskEnter = "desk.enter",
    /// Read users.
    UserRead = "user.read",
    /// Change an own name.
    UserRename = "user.rename",
    /// Make a user.
    UserCreate = "user.create",
    /// Lock, unlock, disable or enable a user.
    UserLock = "user.lock",
    /// Register oneself.
    UserRegister = "user.register",
    /// Log in.
    SessionCreate = "session.create",
    /// Renew a session's tokens.
    SessionRefresh = "session.refresh",
    /// Prove a factor again.
    StepUp = "session.step_up",
    /// End a session.
    SessionEnd = "session.end",
    /// Read own sessions.
    SessionRead = "session.read",
    /// Change an own credential.
    CredentialChange = "credential.change",
    /// Use a recovery code in place of a factor.
    CredentialRecover = "credential.recover",
    /// Give a role.
    GrantCreate = "grant.create",
    /// Make a key for an integration.
    ApiKeyCreate = "api_key.create",
    /// Read own keys of integrations.
    ApiKeyRead = "api_key.read",
    /// Replace an integration's key by a new one.
    ApiKeyRotate = "api_key.rotate",
    /// Take an integration's key away.
    ApiKeyRevoke = "api_key.revoke",
    /// Approve or reject what somebody else asked for.
    ApprovalDecide = "approval.decide",
    /// Read what waits for an approval, and what became of it.
    ApprovalRead = "approval.read",
    /// Ask for an approval.
    ApprovalRequest = "approval.request",
    /// Generate, rotate or export keys.
    KeyManage = "key.manage",
    /// Start a log or continue it from another.
    LogBegin = "log.begin",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
    }
}
