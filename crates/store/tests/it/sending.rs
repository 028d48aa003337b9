//! Beneficiaries and payments to them in both databases.

use strongroom_domain::{
    account::SystemAccount,
    action::Action,
    beneficiary::Beneficiary,
    id::{AccountId, BeneficiaryId, PaymentId, UserId},
    ledger::{Answer, Cancel, Command, Done, NewSending, Posting, Refusal, Verb},
    outgoing::{Outgoing, OutgoingState},
    time::Timestamp,
    transaction::TransactionKind,
};
use strongroom_store::{Scope, StoreError};

use crate::harness::{
    EUR, Kind, Proxy, TestStore, id, on_both_engines, posted, run_among_others, tag, transfer,
};

/// Who pays, from where, and whom.
#[derive(Clone, Copy)]
struct List {
    payer: UserId,
    from: AccountId,
    to: AccountId,
    here: BeneficiaryId,
    away: BeneficiaryId,
}

async fn add(bank: &TestStore, owner: UserId, account: Option<AccountId>) -> BeneficiaryId {
    let beneficiary = Beneficiary {
        id: id(),
        owner,
        account,
        currency: EUR,
        added_at: Timestamp::from_micros(1),
        removed: false,
        paid: 0,
        last: None,
        earlier: Vec::new(),
    };
    let tx = bank.store.write(Scope::Person(owner)).await.unwrap();
    tx.insert_beneficiary(&beneficiary, &tag(), &[7; 60])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    beneficiary.id
}

async fn list(bank: &mut TestStore) -> List {
    let ids = bank.accounts(2, 100_000).await;
    let payer = bank.account(ids[0]).await.owner.unwrap();
    List {
        payer,
        from: ids[0],
        to: ids[1],
        here: add(bank, payer, Some(ids[1])).await,
        away: add(bank, payer, None).await,
    }
}

fn send(list: List, beneficiary: BeneficiaryId, minor: i64) -> Command {
    let (kind, to) = match beneficiary == list.here {
        true => (TransactionKind::Transfer, list.to),
        false => (TransactionKind::Payment, SystemAccount::Clearing.id(EUR)),
    };
    let mut command = transfer(list.from, to, minor).with_key().command;
    let Verb::Post(posting) = command.verb else {
        unreachable!()
    };
    command.authority.action = Action::PaymentCreate;
    command.verb = Verb::Send(NewSending {
        posting: Posting { kind, ..posting },
        beneficiary,
        payer: list.payer,
        confirmed: None,
    });
    command
}

fn cancel(list: List, payment: PaymentId) -> Command {
    let mut command = transfer(list.from, list.to, 1).with_key().command;
    command.authority.action = Action::PaymentCancel;
    command.verb = Verb::Cancel(Cancel {
        id: id(),
        payment,
        account: list.from,
        clearing: SystemAccount::Clearing.id(EUR),
        salt: tag(),
    });
    command
}

fn sent(answer: Answer) -> Outgoing {
    match answer {
        Answer::Done(done) => match *done {
            Done::Sent(payment) => payment,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn id_of(command: &Command) -> PaymentId {
    match &command.verb {
        Verb::Send(new) => new.posting.id.cast(),
        other => panic!("{other:?}"),
    }
}

on_both_engines! {
    async fn what_was_paid_to_a_beneficiary_is_kept_with_it(bank: TestStore) {
        let list = list(&mut bank).await;
        let there = sent(bank.run_one(send(list, list.here, 300)).await);
        let away = sent(bank.run_one(send(list, list.away, 200)).await);
        assert_eq!((there.state, away.state), (OutgoingState::Settled, OutgoingState::Pending));
        for payment in [&there, &away] {
            assert_eq!(bank.store.outgoing(payment.id).await.unwrap().as_ref(), Some(payment));
        }
        for (beneficiary, payment) in [(list.here, &there), (list.away, &away)] {
            let view = bank.store.beneficiary(list.payer, beneficiary).await.unwrap().unwrap();
            assert_eq!(view.beneficiary.paid, payment.amount.minor());
            assert_eq!(view.beneficiary.last.map(|last| last.id), Some(payment.id));
        }
        let all = bank.store.outgoing_by(list.payer, None, 10).await.unwrap();
        assert_eq!(all, [away.clone(), there]);
        // Known to the next process, too.
        let mut again = bank.another_lane().await;
        assert_eq!(again.run_one(send(list, list.away, 200)).await, Answer::DuplicateSuspected(away.id));
        let back = sent(again.run_one(cancel(list, away.id)).await);
        assert_eq!(back.state, OutgoingState::Cancelled);
        assert_eq!(bank.store.outgoing(away.id).await.unwrap(), Some(back));
        assert_eq!(bank.run_one(cancel(list, away.id)).await, Answer::Refused(Refusal::PaymentLeft));
    }

    async fn whoever_is_taken_off_the_list_is_paid_no_more(bank: TestStore) {
        let list = list(&mut bank).await;
        sent(bank.run_one(send(list, list.away, 200)).await);
        let tx = bank.store.write(Scope::Person(list.payer)).await.unwrap();
        let stranger: UserId = id();
        assert!(!tx.remove_beneficiary(stranger, list.away, Timestamp::from_micros(2)).await.unwrap());
        assert!(tx.remove_beneficiary(list.payer, list.away, Timestamp::from_micros(2)).await.unwrap());
        assert!(!tx.remove_beneficiary(list.payer, list.away, Timestamp::from_micros(2)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(
            bank.run_one(send(list, list.away, 201)).await,
            Answer::Refused(Refusal::BeneficiaryNotFound)
        );
        let left = bank.store.beneficiaries(list.payer, None, 10).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].sealed.as_deref(), Some(&[7; 60][..]));
    }

    async fn nobody_has_the_same_beneficiary_twice(bank: TestStore) {
        let owner = bank.customer().await;
        let index = tag();
        let new = |paid| Beneficiary {
            id: id(), owner, account: None, currency: EUR, added_at: Timestamp::from_micros(1), removed: false, paid,
            last: None,
            earlier: Vec::new(),
        };
        let first = new(5);
        let tx = bank.store.write(Scope::Person(owner)).await.unwrap();
        tx.insert_beneficiary(&first, &index, &[1]).await.unwrap();
        assert_eq!(tx.beneficiary_like(owner, &[tag(), index]).await.unwrap(), Some(first.clone()));
        assert_eq!(tx.count_beneficiaries(owner).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let tx = bank.store.write(Scope::Person(owner)).await.unwrap();
        let refused = tx.insert_beneficiary(&new(0), &index, &[1]).await;
        assert!(matches!(refused, Err(StoreError::Constraint(_))), "{refused:?}");
        drop(tx);
        let tx = bank.store.write(Scope::Person(owner)).await.unwrap();
        assert!(tx.remove_beneficiary(owner, first.id, Timestamp::from_micros(2)).await.unwrap());
        let second = new(0);
        tx.insert_beneficiary(&second, &index, &[1]).await.unwrap();
        assert_eq!(tx.beneficiary_like(owner, &[index]).await.unwrap(), Some(second));
        tx.commit().await.unwrap();
    }
}

#[test]
fn on_postgres_payments_to_beneficiaries_cost_a_batch_two_statements_and_one_round_trip() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let list = list(&mut bank).await;
        let proxy = Proxy::before_the_lane(&bank.place).await;
        let mut bank = TestStore::open_with(bank.place.clone(), &proxy.settings)
            .await
            .unwrap();
        posted(bank.run_one(transfer(list.from, list.to, 1).command).await);
        for (base, count) in [(1, 1), (100, 64)] {
            let paying: Vec<Command> = (0..count).map(|at| send(list, list.away, base + at)).collect();
            let back: Vec<Command> = paying
                .iter()
                .map(|command| cancel(list, id_of(command)))
                .collect();
            // Seven as always; who is paid, and the write. Then the payments, and the write.
            for (batch, expected) in [(paying, (9, 4)), (back, (9, 5))] {
                let before = bank.lane.counters();
                let answers = bank.run(&batch).await;
                assert!(
                    answers.iter().all(|answer| matches!(answer, Answer::Done(_))),
                    "{answers:?}"
                );
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

#[test]
fn two_nodes_that_pay_one_beneficiary_count_both() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let list = list(&mut bank).await;
        let mut nodes = [bank.another().await, bank.another().await];
        let [one, two] = &mut nodes;
        let each = async |node: &mut TestStore, base: i64| {
            for at in 0..20 {
                sent(node.run_one(send(list, list.away, base + at)).await);
            }
        };
        tokio::join!(each(one, 1_000), each(two, 2_000));
        let view = bank
            .store
            .beneficiary(list.payer, list.away)
            .await
            .unwrap()
            .unwrap();
        let expected: i64 = (0..20).map(|at| 3_000 + 2 * at).sum();
        assert_eq!(view.beneficiary.paid, expected);
    });
}
