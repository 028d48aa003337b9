//! What customers may pay, where it is counted: in the books' own commit.

use std::sync::Arc;

use strongroom_domain::{
    id::{AccountId, UserId},
    ledger::{Answer, Command, Owned, Refusal, decide},
    limits::{CapsRule, FLOOR_SECS, LimitClass, LimitRules, Moment, Spent},
};
use strongroom_store::{
    Scope, StoreError,
    ledger::{LaneClock, Need},
};

use crate::harness::{
    EUR, Kind, NOW, TestSigner, TestStore, deposit, on_both_engines, open_account, opened, run_among_others,
    transfer,
};

/// Ten euros in a day.
const TEN_A_DAY: &str = "-/10/-";

fn rules() -> Arc<LimitRules> {
    let all: CapsRule = TEN_A_DAY.parse().unwrap();
    Arc::new(LimitRules {
        classes: [(LimitClass::All, all)].into(),
        ..LimitRules::default()
    })
}

/// A payment by the customer, not by the bank's people.
fn pays(owner: UserId, from: AccountId, to: AccountId, minor: i64) -> Command {
    let mut command = transfer(from, to, minor).with_key().command;
    command.authority.scope = Owned::By(owner);
    command
}

async fn spent(bank: &TestStore, owner: UserId) -> Spent {
    let known = bank.store.customer_limits(owner).await.unwrap();
    let [(currency, limits)] = known.as_slice() else {
        panic!("one currency, not {known:?}");
    };
    assert_eq!(*currency, EUR);
    limits.spent(
        LimitClass::All,
        Moment {
            at: NOW,
            day: bank.clock.day(NOW),
        },
    )
}

/// Decides under these rules, as a lane does whose clock knows them.
async fn decided(bank: &mut TestStore, commands: &[Command]) -> Vec<Answer> {
    loop {
        let mut book = bank.lane.begin(&Need::of_commands(commands)).await.unwrap();
        book.rules = rules();
        book.today = bank.clock.day(NOW);
        let (changes, answers) = decide(&mut book, commands, &TestSigner);
        match bank.lane.commit(book, &changes).await {
            Ok(()) => return answers,
            Err(StoreError::Retry | StoreError::Constraint(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

on_both_engines! {
    async fn what_was_paid_is_counted_in_the_commit_and_outlives_the_process(bank: TestStore) {
        let owner = bank.customer().await;
        let from = opened(bank.run(&[open_account(owner).command]).await.remove(0)).id;
        assert_eq!(spent(&bank, owner).await, Spent::default(), "known from the first account on");
        let to = bank.accounts(1, 0).await[0];
        bank.run(&[deposit(from, 5_000).command]).await;
        let answers = decided(&mut bank, &[pays(owner, from, to, 600), pays(owner, from, to, 401)]).await;
        assert!(matches!(answers[0], Answer::Done(_)));
        assert_eq!(answers[1], Answer::Refused(Refusal::OverDailyLimit));
        let mut again = bank.another_lane().await;
        let answers = decided(&mut again, &[pays(owner, from, to, 400), pays(owner, from, to, 1)]).await;
        assert!(matches!(answers[0], Answer::Done(_)));
        assert_eq!(answers[1], Answer::Refused(Refusal::OverDailyLimit));
        assert_eq!(spent(&bank, owner).await, Spent { day: 1_000, month: 1_000 });
        // A second account does not begin anew.
        let second = opened(again.run(&[open_account(owner).command]).await.remove(0)).id;
        again.run(&[deposit(second, 5_000).command]).await;
        let answers = decided(&mut again, &[pays(owner, second, to, 1)]).await;
        assert_eq!(answers[0], Answer::Refused(Refusal::OverDailyLimit));
    }

    async fn signs_of_a_takeover_lower_the_limits_in_all_currencies_and_keep_what_was_counted(bank: TestStore) {
        let owner = bank.customer().await;
        let from = opened(bank.run(&[open_account(owner).command]).await.remove(0)).id;
        let to = bank.accounts(1, 0).await[0];
        bank.run(&[deposit(from, 5_000).command]).await;
        decided(&mut bank, &[pays(owner, from, to, 600)]).await;
        let mut tx = bank.store.write(Scope::System).await.unwrap();
        tx.hold_to_floor(owner, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let known = bank.store.customer_limits(owner).await.unwrap();
        assert_eq!(known[0].1.floor_until(NOW), Some(NOW.plus_seconds(FLOOR_SECS)));
        assert_eq!(spent(&bank, owner).await.day, 600);
    }
}

#[test]
fn two_nodes_with_one_customer_never_pay_more_than_the_day_allows() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let owner = bank.customer().await;
        let mut accounts = Vec::new();
        for _ in 0..2 {
            let from = opened(bank.run(&[open_account(owner).command]).await.remove(0)).id;
            bank.run(&[deposit(from, 5_000).command]).await;
            accounts.push(from);
        }
        let to = bank.accounts(2, 0).await;
        let mut nodes = [bank.another().await, bank.another().await];
        let [one, two] = &mut nodes;
        // Accounts of one customer: nothing but the customer's row is shared.
        let each = async |node: &mut TestStore, from: AccountId, to: AccountId| {
            let mut done = 0;
            for _ in 0..40 {
                let answers = decided(node, &[pays(owner, from, to, 70)]).await;
                done += usize::from(matches!(answers[0], Answer::Done(_)));
            }
            done
        };
        let (a, b) = tokio::join!(each(one, accounts[0], to[0]), each(two, accounts[1], to[1]));
        assert_eq!(a + b, 14, "fourteen times 70 fit into 1,000");
        assert_eq!(spent(&bank, owner).await.day, 980);
    });
}
