//! Rules about fraud as the bank has set them: kept as they were, one after the other.

use strongroom_domain::id::{ApprovalId, UserId};
use strongroom_store::{
    Revoked, Scope, StoreError,
    identity::{NewApproval, RuleSetRow},
};

use crate::harness::{NOW, TestStore, id, on_both_engines};

/// A request that was approved.
async fn approved(bank: &TestStore) -> ApprovalId {
    let approval = NewApproval {
        id: id(),
        action: "fraud_rules.change",
        maker_kind: 1,
        maker: [1; 16],
        person: None,
        sealed: vec![1],
        digest: [2; 32],
        rule: "{}".to_owned(),
        key: None,
        created_at: NOW,
        expires_at: NOW.plus_seconds(60),
    };
    let tx = bank.store.write(Scope::Operator).await.unwrap();
    assert!(tx.insert_approval(&approval).await.unwrap());
    tx.commit().await.unwrap();
    approval.id
}

fn set(revision: i64, approval: ApprovalId, maker: UserId, checker: UserId) -> RuleSetRow {
    RuleSetRow {
        revision,
        rules: format!("set {revision}"),
        digest: [7; 32],
        maker: Some(maker),
        checker,
        approval,
        restores: None,
        sealed_reason: vec![9; 40],
        at: NOW,
    }
}

async fn put(bank: &TestStore, row: &RuleSetRow) -> Result<(), StoreError> {
    let mut tx = bank.store.write(Scope::Operator).await?;
    tx.revoke(Revoked::FraudRules).await?;
    tx.insert_fraud_rule_set(row).await?;
    tx.commit().await
}

on_both_engines! { alone
    async fn sets_of_rules_follow_each_other_and_are_never_changed(bank: TestStore) {
        let newest = bank.store.fraud_rule_sets(None, 1).await.unwrap();
        let first = newest.first().map_or(0, |row| row.revision) + 1;
        let (maker, checker) = (id(), id());
        let one = set(first, approved(&bank).await, maker, checker);
        let before = bank.store.epoch().await.unwrap();
        put(&bank, &one).await.unwrap();
        let after = bank.store.epoch().await.unwrap();
        assert!(after > before);
        assert!(bank.store.revocations(before, after).await.unwrap().touches_fraud_rules());
        let other = approved(&bank).await;
        for wrong in [
            set(first, other, maker, checker),
            set(first + 2, other, maker, checker),
            set(first + 1, one.approval, maker, checker),
            set(first + 1, other, checker, checker),
            set(first + 1, id(), maker, checker),
            RuleSetRow { restores: Some(first + 1), ..set(first + 1, other, maker, checker) },
        ] {
            assert!(put(&bank, &wrong).await.is_err(), "{wrong:?}");
        }
        let two = RuleSetRow { restores: Some(0), ..set(first + 1, other, maker, checker) };
        put(&bank, &two).await.unwrap();
        assert_eq!(bank.store.fraud_rule_sets(None, 2).await.unwrap(), [two.clone(), one.clone()]);
        assert_eq!(bank.store.fraud_rule_sets(Some(two.revision), 1).await.unwrap(), std::slice::from_ref(&one));
        assert_eq!(bank.store.fraud_rule_set(two.revision).await.unwrap(), Some(two));
        assert_eq!(bank.store.fraud_rule_set(first + 2).await.unwrap(), None);
        for change in ["UPDATE fraud_rule_sets SET rules = 'x'", "DELETE FROM fraud_rule_sets"] {
            assert!(bank.place.tamper(change).await.is_err(), "{change}");
        }
        assert_eq!(bank.store.fraud_rule_set(first).await.unwrap(), Some(one));
    }
}
