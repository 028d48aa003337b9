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
    /// Decide about cash that takes two people.
    CashDecide = "cash.decide",
    /// Read a customer's limits.
    LimitsRead = "limits.read",
    /// Change what a customer allows oneself.
    LimitsChange = "limits.change",
    /// Let a customer pay more than the bank's rules do, for a time.
    LimitsExcept = "limits.except",
    /// Set what a customer is allowed at most.
    LimitsSet = "limits.set",
    /// Read what one is told of, and by which ways.
    NoticeRead = "notice.read",
    /// Take note of it, and choose the ways.
    NoticeChange = "notice.change",
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
    /// Take back a payment to a beneficiary that has not left.
    PaymentCancel = "payment.cancel",
    /// Add a beneficiary.
    BeneficiaryAdd = "beneficiary.add",
    /// Read one's beneficiaries.
    BeneficiaryRead = "beneficiary.read",
    /// Take a beneficiary off the list.
    BeneficiaryRemove = "beneficiary.remove",
    /// Ask whether a name is that of an account's holder.
    PayeeCheck = "payee.check",
    /// Take back, for the bank, what an earlier movement moved.
    TransferReverse = "transfer.reverse",
    /// Read files of payments to other banks, what nobody could place, and how both banks' books agree.
    RailRead = "rail.read",
    /// Let payments to other banks go in a file.
    RailRelease = "rail.release",
    /// Lay a released file where it is fetched.
    RailDeliver = "rail.deliver",
    /// Book what the bank's own bank says it did.
    RailSettle = "rail.settle",
    /// Say whose money is what nobody could place.
    SuspenseResolve = "suspense.resolve",
    /// Take back a transfer of one's own that waits for a look.
    TransferCancel = "transfer.cancel",
    /// Read what rules found unusual, and why.
    ReviewRead = "review.read",
    /// Release or reject what waits for a look.
    ReviewDecide = "review.decide",
    /// Read the rules about fraud, and check drafts of others.
    FraudRulesRead = "fraud_rules.read",
    /// Put other rules about fraud in force.
    FraudRulesChange = "fraud_rules.change",
    /// Make somebody a merchant.
    MerchantCreate = "merchant.create",
    /// Read who a merchant is.
    MerchantRead = "merchant.read",
    /// Read the trial balance and run the online check.
    LedgerInspect = "ledger.inspect",
    /// Read the audit log.
    AuditRead = "audit.read",
    /// Bind recorded decisions to the audit log.
    DecisionRecord = "decision.record",
    /// Go through the pages of the audit log.
    AuditBrowse = "audit.browse",
    /// Take records of the audit log away, with their proofs.
    AuditExport = "audit.export",
    /// Read what was counted of failed logins and refused credentials.
    SecurityEventRead = "security_event.read",
    /// Take note of an alert.
    AlertAcknowledge = "alert.acknowledge",
    /// Read what was done against incidents.
    IncidentRead = "incident.read",
    /// Do something against an incident: stop money, end all sessions, block a network.
    IncidentAct = "incident.act",
    /// Take that back.
    IncidentLift = "incident.lift",
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
    /// Say to which department somebody belongs.
    UserPlace = "user.place",
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
    /// Read keys of integrations: one's own, or the bank's.
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
    /// Read which keys the ring has.
    KeyRead = "key.read",
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
