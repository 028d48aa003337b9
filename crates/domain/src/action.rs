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
    /// Read a customer's limits.
    LimitsRead = "limits.read",
    /// Change what a customer allows oneself.
    LimitsChange = "limits.change",
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
    /// Change an own address.
    EmailChange = "user.change_email",
    /// Take a copy of one's own data.
    UserExport = "user.export",
    /// Close an own login for good.
    UserClose = "user.close",
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
    /// Take somebody's factors away, for a person who lost them.
    FactorReset = "credential.reset",
    /// Give a role.
    GrantCreate = "grant.create",
    /// Read who was given which roles.
    GrantRead = "grant.read",
    /// Take a role away.
    GrantRevoke = "grant.revoke",
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
    /// Read policies, check texts and ask what would be decided.
    PolicyRead = "policy.read",
    /// Write a draft of a policy, or take one out of sight.
    PolicyWrite = "policy.write",
    /// Put a policy in force or out of it.
    PolicyActivate = "policy.activate",
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
