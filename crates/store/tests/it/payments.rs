//! Payments, refunds and reversals in both databases: counted under the accounts' locks, and final where they end.

use strongroom_domain::{
    action::Action,
    id::{AccountId, ApprovalId, MerchantId, PaymentId, TransactionId, UserId},
    ledger::{Answer, Command, Done, NewPayment, NewReversal, PaymentRef, Posting, Refund, Refusal, Verb},
    money::{Amount, Currency},
    payment::{Payment, PaymentState},
    time::Timestamp,
    transaction::{Transaction, TransactionKind},
};
use strongroom_store::{Scope, identity::NewApproval, ledger::MerchantView};

use crate::harness::{Kind, Proxy, TestStore, id, on_both_engines, posted, run, run_among_others, transfer};

const DIGEST: [u8; 32] = [7; 32];
/// Some years after every clock of these tests.
const FAR: Timestamp = Timestamp::from_micros(9_000_000_000_000_000);

/// Who pays, who is paid, and as which merchant.
#[derive(Clone, Copy)]
struct Shop {
    payer: UserId,
    from: AccountId,
    to: AccountId,
    merchant: MerchantId,
}

async fn shop(bank: &mut TestStore) -> Shop {
    let ids = bank.accounts(2, 100_000).await;
    let (payer, owner) = (
        bank.account(ids[0]).await.owner.unwrap(),
        bank.account(ids[1]).await.owner.unwrap(),
    );
    let merchant = MerchantView {
        id: id(),
        account: ids[1],
        owner,
        sealed_name: Some(vec![1; 40]),
        created_at: Timestamp::from_micros(1),
    };
    let tx = bank.store.write(Scope::Operator).await.unwrap();
    tx.insert_merchant(&merchant).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        bank.store.merchant(merchant.id).await.unwrap(),
        Some(merchant.clone())
    );
    Shop {
        payer,
        from: ids[0],
        to: ids[1],
        merchant: merchant.id,
    }
}

/// A command of this sort instead of a transfer.
fn asked(shop: Shop, action: Action, verb: Verb) -> Command {
    let mut command = transfer(shop.from, shop.to, 1).with_key().command;
    command.authority.action = action;
    command.verb = verb;
    command
}

fn pay(shop: Shop, minor: i64) -> Command {
    let Verb::Post(posting) = transfer(shop.from, shop.to, minor).command.verb else {
        unreachable!()
    };
    let new = NewPayment {
        posting: Posting {
            kind: TransactionKind::Payment,
            ..posting
        },
        merchant: shop.merchant,
        payer: shop.payer,
        confirmed: None,
    };
    asked(shop, Action::PaymentCreate, Verb::Pay(new))
}

fn refund(shop: Shop, payment: PaymentId, minor: Option<i64>) -> Command {
    let asked_for = Refund {
        id: id(),
        payment: PaymentRef {
            id: payment,
            account: shop.from,
            to: shop.to,
        },
        amount: minor.map(|minor| Amount::new(minor).unwrap()),
        memo: None,
        salt: [3; 16],
    };
    asked(shop, Action::PaymentRefund, Verb::Refund(asked_for))
}

async fn approval(bank: &TestStore) -> ApprovalId {
    let new = NewApproval {
        id: id(),
        action: Action::TransferReverse.name(),
        maker_kind: 1,
        maker: [1; 16],
        person: None,
        rule: String::new(),
        key: None,
        sealed: vec![1; 60],
        digest: DIGEST,
        created_at: Timestamp::from_micros(1),
        expires_at: FAR,
    };
    let tx = bank.store.write(Scope::Operator).await.unwrap();
    assert!(tx.insert_approval(&new).await.unwrap());
    tx.commit().await.unwrap();
    new.id
}

fn reverse(
    shop: Shop,
    of: TransactionId,
    kind: TransactionKind,
    minor: i64,
    approval: ApprovalId,
) -> Command {
    let new = NewReversal {
        id: id(),
        of,
        kind,
        from: shop.to,
        to: shop.from,
        amount: Amount::new(minor).unwrap(),
        currency: Currency::EUR,
        approval,
        digest: DIGEST,
        sealed_reason: Some(vec![5; 40]),
        checker: shop.payer,
        salt: [4; 16],
    };
    let mut command = asked(shop, Action::TransferReverse, Verb::Reverse(new));
    command.idempotency = None;
    command
}

async fn paid(bank: &mut TestStore, shop: Shop, minor: i64) -> Payment {
    match bank.run_one(pay(shop, minor)).await {
        Answer::Done(done) => match *done {
            Done::Paid(payment) => payment,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn is_done(answer: &Answer) -> bool {
    matches!(answer, Answer::Done(_))
}

on_both_engines! {
    async fn a_payment_is_kept_given_back_and_never_taken_for_another(bank: TestStore) {
        let mut bank = bank;
        let shop = shop(&mut bank).await;
        let payment = paid(&mut bank, shop, 900).await;
        bank = bank.reopen().await;
        assert_eq!(bank.store.payment(payment.id).await.unwrap(), Some(payment.clone()));
        assert_eq!(bank.run_one(pay(shop, 900)).await, Answer::DuplicateSuspected(payment.id));
        assert!(is_done(&bank.run_one(refund(shop, payment.id, Some(300))).await));
        assert_eq!(
            bank.run_one(refund(shop, payment.id, Some(601))).await,
            Answer::Refused(Refusal::ExceedsPayment)
        );
        assert_eq!(bank.run_one(pay(shop, 900)).await, Answer::DuplicateSuspected(payment.id));
        assert!(is_done(&bank.run_one(refund(shop, payment.id, None)).await));
        let stored = bank.store.payment(payment.id).await.unwrap().unwrap();
        assert_eq!((stored.refunded, stored.status()), (900, "refunded"));
        let refunds = bank.store.refunds(payment.id, 0, 10).await.unwrap();
        assert_eq!(refunds.iter().map(|refund| refund.refunded).collect::<Vec<_>>(), [300, 900]);
        // Nothing of it is left: another one is no duplicate.
        paid(&mut bank, shop, 900).await;
    }

    async fn a_refund_and_a_reversal_of_one_batch_are_both_written(bank: TestStore) {
        let mut bank = bank;
        let shop = shop(&mut bank).await;
        let payment = paid(&mut bank, shop, 900).await;
        let approval = approval(&bank).await;
        let batch = [
            refund(shop, payment.id, Some(200)),
            reverse(shop, payment.id.cast(), TransactionKind::Payment, 900, approval),
            refund(shop, payment.id, Some(1)),
        ];
        let answers = bank.run(&batch).await;
        assert!(is_done(&answers[0]) && is_done(&answers[1]), "{answers:?}");
        assert_eq!(answers[2], Answer::Refused(Refusal::PaymentClosed));
        let stored = bank.store.payment(payment.id).await.unwrap().unwrap();
        assert_eq!((stored.refunded, stored.state), (200, PaymentState::Reversed));
        assert_eq!((bank.balance(shop.from).await, bank.balance(shop.to).await), (100_000, 100_000));
        let closed = bank.store.approval(approval).await.unwrap().unwrap();
        assert_eq!((closed.state.name(), closed.sealed.len()), ("approved", 0));
        assert_eq!((closed.checker, closed.sealed_reason), (Some(shop.payer), Some(vec![5; 40])));
    }

    async fn what_is_written_of_payments_is_final(bank: TestStore) {
        let mut bank = bank;
        let shop = shop(&mut bank).await;
        let payment = paid(&mut bank, shop, 900).await;
        assert!(is_done(&bank.run_one(refund(shop, payment.id, Some(100))).await));
        let sent: Transaction = posted(bank.run_one(transfer(shop.from, shop.to, 50).command).await);
        let by = approval(&bank).await;
        let kind = TransactionKind::Transfer;
        assert!(is_done(&bank.run_one(reverse(shop, sent.id, kind, 50, by)).await));
        for change in ["amount = 901", "refunded = 99", "refunded = 901", "paid_at = paid_at + 1"] {
            assert!(bank.place.tamper(&format!("UPDATE payments SET {change}")).await.is_err(), "{change}");
        }
        for sql in [
            "DELETE FROM payments",
            "UPDATE refunds SET amount = 1",
            "DELETE FROM refunds",
            "DELETE FROM reversals",
            "UPDATE merchants SET created_at = 2",
            "DELETE FROM merchants",
        ] {
            assert!(bank.place.tamper(sql).await.is_err(), "{sql}");
        }
        let about = bank.store.reversals_about(sent.id).await.unwrap();
        assert!(about.reversed_by.is_some() && about.reverses.is_none());
        let by = approval(&bank).await;
        assert_eq!(
            bank.run_one(reverse(shop, sent.id, kind, 50, by)).await,
            Answer::Refused(Refusal::AlreadyReversed)
        );
    }
}

#[test]
fn on_postgres_two_nodes_give_a_payment_back_once() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let shop = shop(&mut bank).await;
        let mut other = bank.another().await;
        for round in 0..20 {
            let payment = paid(&mut bank, shop, 500 + round).await;
            let approval = approval(&bank).await;
            let taken_back = reverse(
                shop,
                payment.id.cast(),
                TransactionKind::Payment,
                500 + round,
                approval,
            );
            let (one, two) = (refund(shop, payment.id, None), taken_back);
            let (one, two) = tokio::join!(bank.run_one(one), other.run_one(two));
            assert_eq!(
                [&one, &two].into_iter().filter(|answer| is_done(answer)).count(),
                1,
                "{one:?} {two:?}"
            );
        }
        assert_eq!(bank.balance(shop.to).await, 100_000);
    });
}

#[test]
fn on_postgres_two_nodes_meet_over_payments_alike() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let shop = shop(&mut bank).await;
        let mut other = bank.another().await;
        for round in 0..20 {
            let (one, two) = (pay(shop, 700 + round), pay(shop, 700 + round));
            let (one, two) = tokio::join!(bank.run_one(one), other.run_one(two));
            assert_eq!(
                [&one, &two].into_iter().filter(|answer| is_done(answer)).count(),
                1,
                "{one:?} {two:?}"
            );
        }
    });
}

#[test]
fn on_postgres_payments_cost_a_batch_a_bounded_number_of_statements() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let shop = shop(&mut bank).await;
        let proxy = Proxy::before_the_lane(&bank.place).await;
        let mut bank = TestStore::open_with(bank.place.clone(), &proxy.settings)
            .await
            .unwrap();
        posted(bank.run_one(transfer(shop.from, shop.to, 1).command).await);
        for (base, count) in [(1, 1), (100, 64)] {
            let paying: Vec<Command> = (0..count).map(|at| pay(shop, base + at)).collect();
            let giving: Vec<Command> = paying
                .iter()
                .map(|command| match &command.verb {
                    Verb::Pay(new) => refund(shop, new.posting.id.cast(), None),
                    other => panic!("{other:?}"),
                })
                .collect();
            // Six as always; what is alike, and the write. Then the payments, the write, and the refunds.
            for (batch, expected) in [(paying, (9, 5)), (giving, (10, 6))] {
                let before = bank.lane.counters();
                let answers = bank.run(&batch).await;
                assert!(answers.iter().all(is_done), "{answers:?}");
                let after = bank.lane.counters();
                let cost = (
                    after.statements - before.statements,
                    after.round_trips - before.round_trips,
                );
                assert_eq!(cost, expected, "{count}");
            }
        }
    });
}
