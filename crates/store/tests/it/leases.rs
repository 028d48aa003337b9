//! What all customers together pay in a day, leased in slices, and limits of single accounts.

use strongroom_domain::{
    action::Action,
    id::{AccountId, UserId},
    ledger::{Answer, Command, NewLimits, Owned, Refusal, Verb},
    limits::{Caps, LimitRules},
};

use crate::harness::{EUR, Kind, TestStore, deposit, on_both_engines, open_account, opened, run, transfer};

fn bank_day(rule: &str) -> LimitRules {
    LimitRules {
        bank_day: rule.parse().unwrap(),
        ..LimitRules::default()
    }
}

/// A payment by the customer, not by the bank's people.
fn pays((owner, from): (UserId, AccountId), to: AccountId, minor: i64) -> Command {
    let mut command = transfer(from, to, minor).with_key().command;
    command.authority.scope = Owned::By(owner);
    command
}

fn limits((owner, account): (UserId, AccountId), daily: Option<i64>, may_raise: bool) -> Command {
    let mut command = deposit(account, 1).command;
    command.authority.scope = Owned::By(owner);
    command.authority.action = Action::LimitsChange;
    command.verb = Verb::Limit(NewLimits {
        account,
        caps: Caps { daily, ..Caps::NONE },
        may_raise,
        of_account: true,
    });
    command
}

async fn customer(bank: &mut TestStore, minor: i64) -> (UserId, AccountId) {
    let owner = bank.customer().await;
    let account = opened(bank.run(&[open_account(owner).command]).await.remove(0)).id;
    bank.run(&[deposit(account, minor).command]).await;
    (owner, account)
}

async fn is_paid(bank: &mut TestStore, from: (UserId, AccountId), to: AccountId, minor: i64) -> bool {
    match bank.run_one(pays(from, to, minor)).await {
        Answer::Done(_) => true,
        Answer::Refused(Refusal::OverBankLimit) => false,
        other => panic!("{other:?}"),
    }
}

on_both_engines! { alone
    async fn all_customers_together_pay_what_the_bank_allows_a_day_and_not_a_cent_more(bank: TestStore) {
        let (alice, bob) = (customer(&mut bank, 100_000).await, customer(&mut bank, 100_000).await);
        assert!(is_paid(&mut bank, alice, bob.1, 1).await, "no limit");
        bank.clock.rule(bank_day("-/64/-"));
        assert!(is_paid(&mut bank, alice, bob.1, 6_000).await);
        assert!(!is_paid(&mut bank, bob, alice.1, 401).await);
        assert!(is_paid(&mut bank, bob, alice.1, 399).await);
        let both = [pays(alice, bob.1, 1), pays(bob, alice.1, 1)];
        let answers = bank.run(&both).await;
        assert!(matches!(answers[0], Answer::Done(_)));
        assert_eq!(answers[1], Answer::Refused(Refusal::OverBankLimit));
        // Cash at the counter is no payment.
        assert!(matches!(bank.run_one(deposit(alice.1, 500).command).await, Answer::Done(_)));
        bank.clock.next_day();
        assert!(is_paid(&mut bank, bob, alice.1, 6_400).await);
        assert!(!is_paid(&mut bank, bob, alice.1, 1).await);
    }

    async fn a_process_that_ends_loses_the_rest_of_its_slice_and_nothing_else(bank: TestStore) {
        let (alice, bob) = (customer(&mut bank, 100_000).await, customer(&mut bank, 100_000).await);
        bank.clock.rule(bank_day("-/64/-"));
        assert!(is_paid(&mut bank, alice, bob.1, 10).await, "a slice is a hundred");
        let mut next = bank.reopen().await;
        // 6,400 less the slice that was leased.
        assert!(!is_paid(&mut next, alice, bob.1, 6_301).await);
        assert!(is_paid(&mut next, alice, bob.1, 6_300).await);
        assert!(!is_paid(&mut next, alice, bob.1, 1).await);
    }

    async fn who_has_no_money_makes_nobody_lease_and_a_slice_costs_one_statement(bank: TestStore) {
        let (alice, bob) = (customer(&mut bank, 1_000).await, customer(&mut bank, 100_000).await);
        let statements = async |bank: &mut TestStore, command: Command| {
            let before = bank.lane.counters().statements;
            let answer = bank.run_one(command).await;
            (bank.lane.counters().statements - before, answer)
        };
        assert!(is_paid(&mut bank, alice, bob.1, 1).await);
        let (plain, _) = statements(&mut bank, pays(alice, bob.1, 1)).await;
        bank.clock.rule(bank_day("-/64/-"));
        // She asks for more than the bank's whole day, and has nine euros.
        let (_, poor) = statements(&mut bank, pays(alice, bob.1, 99_999)).await;
        assert_eq!(poor, Answer::Refused(Refusal::InsufficientFunds));
        let (first, _) = statements(&mut bank, pays(bob, alice.1, 50)).await;
        assert_eq!(first, plain, "nine hundred and ninety-eight were leased for her");
        assert!(is_paid(&mut bank, bob, alice.1, 948).await);
        let (leasing, answer) = statements(&mut bank, pays(bob, alice.1, 10)).await;
        assert!(matches!(answer, Answer::Done(_)));
        assert_eq!(leasing, plain + 1, "a slice of a hundred");
        let (rest, answer) = statements(&mut bank, pays(bob, alice.1, 90)).await;
        assert!(matches!(answer, Answer::Done(_)));
        assert_eq!(rest, plain);
        assert!(is_paid(&mut bank, bob, alice.1, 6_400 - 998 - 100).await);
        assert!(!is_paid(&mut bank, bob, alice.1, 1).await);
    }

    async fn an_accounts_own_limit_is_counted_in_its_customers_row_and_outlives_the_process(bank: TestStore) {
        let (alice, bob) = (customer(&mut bank, 100_000).await, customer(&mut bank, 100_000).await);
        let second = opened(bank.run(&[open_account(alice.0).command]).await.remove(0)).id;
        bank.run(&[deposit(second, 5_000).command]).await;
        assert!(is_paid(&mut bank, alice, bob.1, 300).await);
        assert!(matches!(bank.run_one(limits(alice, Some(1_000), false)).await, Answer::Done(_)));
        let mut next = bank.reopen().await;
        // What she paid before is taken to have left this account.
        assert_eq!(next.run_one(pays(alice, bob.1, 701)).await, Answer::Refused(Refusal::OverDailyLimit));
        assert!(is_paid(&mut next, alice, bob.1, 600).await);
        let mut again = next.another_lane().await;
        assert_eq!(again.run_one(pays(alice, bob.1, 101)).await, Answer::Refused(Refusal::OverDailyLimit));
        assert!(is_paid(&mut again, alice, bob.1, 100).await);
        assert!(is_paid(&mut again, (alice.0, second), bob.1, 4_000).await, "another account of hers");
        let refused = again.run_one(limits(alice, Some(2_000), false)).await;
        assert_eq!(refused, Answer::Refused(Refusal::RaiseNotApproved));
        assert!(matches!(again.run_one(limits(alice, Some(2_000), true)).await, Answer::Done(_)));
        assert_eq!(again.run_one(pays(alice, bob.1, 1)).await, Answer::Refused(Refusal::OverDailyLimit));
        let known = again.store.limits_of_accounts(alice.0, EUR).await.unwrap();
        assert!(known.is_some());
    }
}

#[test]
fn two_nodes_never_pay_more_than_the_banks_day() {
    run(Kind::Postgres, async |mut bank: TestStore| {
        let (alice, bob) = (
            customer(&mut bank, 1_000_000).await,
            customer(&mut bank, 1_000_000).await,
        );
        let (carol, dave) = (bank.accounts(1, 0).await[0], bank.accounts(1, 0).await[0]);
        let mut nodes = [bank.another().await, bank.another().await];
        nodes.iter().for_each(|node| node.clock.rule(bank_day("-/64/-")));
        let [one, two] = &mut nodes;
        // Nothing but the lease is shared.
        let each = async |node: &mut TestStore, from, to| {
            let mut paid = 0;
            for _ in 0..80 {
                if is_paid(node, from, to, 70).await {
                    paid += 70;
                }
            }
            paid
        };
        let (a, b) = tokio::join!(each(one, alice, carol), each(two, bob, dave));
        assert!(a > 0 && b > 0, "both pay: {a}, {b}");
        assert!(a + b <= 6_400, "{a} and {b}");
        // At most a slice of each is left over, and less than a payment.
        assert!(a + b > 6_400 - 2 * 100, "{a} and {b}");
    });
}
