//! Money goes in and out, and the books say so.

use strongroom_domain::{
    account::{FreezeScope, Side},
    ledger::{AccountChange, Answer, Refusal},
};

use crate::harness::{
    NOW, TestStore, change, deposit, on_both_engines, open_account, opened, posted, till, transfer, withdraw,
};

on_both_engines! {
    async fn an_account_is_opened_and_found_by_id_and_number(bank: TestStore) {
        let owner = bank.customer().await;
        let command = open_account(owner).command;
        let strongroom_domain::ledger::Verb::Open(asked) = command.verb.clone() else { unreachable!() };
        let account = opened(bank.run_one(command).await);
        let view = bank.store.account(account.id, NOW).await.unwrap().unwrap();
        assert_eq!(view.account, account);
        assert_eq!(view.number.as_deref(), Some(asked.number.as_str()));
        assert_eq!(view.sealed_name, Some(asked.sealed_name));
        assert_eq!(view.opened_at, account.last_booked_at);
        let found = bank.store.account_by_number(&asked.number).await.unwrap();
        assert_eq!(found, Some((account.id, Some(owner))));
        let till = bank.store.account(till(), NOW).await.unwrap().unwrap();
        assert_eq!((till.number, till.account.owner, till.account.floor), (None, None, None));
    }

    async fn what_is_not_there_is_not_found(bank: TestStore) {
        assert_eq!(bank.store.account(crate::harness::id(), NOW).await.unwrap(), None);
        assert_eq!(bank.store.transaction(crate::harness::id()).await.unwrap(), None);
        assert_eq!(bank.store.account_by_number(&crate::harness::iban()).await.unwrap(), None);
        assert_eq!(bank.store.outcome(&crate::harness::tag()).await.unwrap(), None);
    }

    async fn a_refusal_changes_no_balance_and_is_recorded(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let batch = [transfer(ids[0], ids[1], 101).command, transfer(ids[0], ids[1], 100).command];
        let answers = bank.run(&batch).await;
        assert_eq!(answers[0], Answer::Refused(Refusal::InsufficientFunds));
        assert!(matches!(answers[1], Answer::Done(_)));
        assert_eq!(bank.changes.records.len(), 2);
        assert_eq!((bank.balance(ids[0]).await, bank.balance(ids[1]).await), (0, 200));
    }

    async fn a_frozen_account_pays_nothing_until_the_same_side_lifts_it(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let freeze = change(ids[0], Side::Bank, AccountChange::Freeze(FreezeScope::Debits));
        assert!(matches!(bank.run_one(freeze.command).await, Answer::Done(_)));
        assert_eq!(bank.account(ids[0]).await.freezes.by(Side::Bank), Some(FreezeScope::Debits));
        let refused = bank.run_one(transfer(ids[0], ids[1], 1).command).await;
        assert_eq!(refused, Answer::Refused(Refusal::AccountFrozen));
        let wrong_side = bank.run_one(change(ids[0], Side::Owner, AccountChange::Unfreeze).command).await;
        assert_eq!(wrong_side, Answer::Refused(Refusal::NotFrozenByYou));
        let lifted = bank.run_one(change(ids[0], Side::Bank, AccountChange::Unfreeze).command).await;
        assert!(matches!(lifted, Answer::Done(_)));
        posted(bank.run_one(transfer(ids[0], ids[1], 1).command).await);
    }

    async fn only_an_empty_account_is_closed_and_it_stays_closed(bank: TestStore) {
        let ids = bank.accounts(1, 100).await;
        let close = || change(ids[0], Side::Owner, AccountChange::Close).command;
        assert_eq!(bank.run_one(close()).await, Answer::Refused(Refusal::AccountNotEmpty));
        posted(bank.run_one(withdraw(ids[0], 100).command).await);
        assert!(matches!(bank.run_one(close()).await, Answer::Done(_)));
        bank = bank.reopen().await;
        assert!(bank.account(ids[0]).await.closed);
        assert_eq!(bank.run_one(deposit(ids[0], 1).command).await, Answer::Refused(Refusal::AccountClosed));
    }

    async fn a_transaction_comes_back_as_it_was_booked_with_its_text(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let person = bank.customer().await;
        let booked = posted(bank.run_one(transfer(ids[0], ids[1], 7).with_memo(person, 300).command).await);
        let view = bank.store.transaction(booked.id).await.unwrap().unwrap();
        assert_eq!(view.transaction, booked);
        assert_eq!(view.memo, Some((person, vec![9; 300])));
        let silent = posted(bank.run_one(transfer(ids[0], ids[1], 7).command).await);
        assert_eq!(bank.store.transaction(silent.id).await.unwrap().unwrap().memo, None);
    }

    async fn a_dry_run_books_nothing(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let would_be = posted(bank.run_one(transfer(ids[0], ids[1], 7).dry().command).await);
        assert_eq!(bank.store.transaction(would_be.id).await.unwrap(), None);
        assert_eq!(bank.balance(ids[0]).await, 100);
        posted(bank.run_one(transfer(ids[0], ids[1], 7).command).await);
    }

    async fn an_empty_batch_commits_nothing_and_the_next_one_works(bank: TestStore) {
        let before = bank.lane.counters().batches;
        assert_eq!(bank.run(&[]).await, []);
        assert_eq!(bank.lane.counters().batches, before);
        let ids = bank.accounts(1, 1).await;
        assert_eq!(bank.balance(ids[0]).await, 1);
    }

    async fn a_batch_that_was_begun_and_left_changes_nothing(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let command = transfer(ids[0], ids[1], 40).command;
        let need = strongroom_store::ledger::Need::of_commands(std::slice::from_ref(&command));
        let mut book = bank.lane.begin(&need).await.unwrap();
        let _ = strongroom_domain::ledger::decide(&mut book, &[command], &crate::harness::TestSigner);
        drop(book);
        let first = bank.lane.begin(&need).await.unwrap();
        assert_eq!(first.accounts[&ids[0]].balance, 100);
        drop(first);
        posted(bank.run_one(transfer(ids[0], ids[1], 1).command).await);
        assert_eq!(bank.balance(ids[1]).await, 101);
    }

    async fn a_batch_that_was_left_holds_nobody_up_once_the_lane_is_idle(bank: TestStore) {
        let ids = bank.accounts(1, 100).await;
        let need = strongroom_store::ledger::Need::of_commands(&[deposit(ids[0], 1).command]);
        let book = bank.lane.begin(&need).await.unwrap();
        drop(book);
        bank.lane.idle().await;
        // Both would wait for the batch that was left: the one for the right to write, the other for the account's row.
        bank.customer().await;
        let mut other = bank.another_lane().await;
        posted(other.run_one(deposit(ids[0], 1).command).await);
    }
}

on_both_engines! { alone
    async fn money_moves_between_till_and_customers(bank: TestStore) {
        let ids = bank.accounts(2, 0).await;
        let (ann, bob) = (ids[0], ids[1]);
        posted(bank.run_one(deposit(ann, 500).command).await);
        posted(bank.run_one(transfer(ann, bob, 120).command).await);
        posted(bank.run_one(withdraw(bob, 20).command).await);
        assert_eq!(bank.balance(ann).await, 380);
        assert_eq!(bank.balance(bob).await, 100);
        assert_eq!(bank.balance(till()).await, -480);
        let lines = bank.store.trial_balance().await.unwrap();
        let (debit, credit) = lines.iter().fold((0, 0), |sum, line| (sum.0 + line.debit, sum.1 + line.credit));
        assert_eq!((debit, credit), (480, 480));
    }

    async fn accounts_are_listed_newest_first_in_pages(bank: TestStore) {
        let mine = bank.accounts(7, 0).await;
        let owner = bank.account(mine[0]).await.owner;
        let others = bank.accounts(3, 0).await;
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = bank.store.accounts(owner, before, 3, NOW).await.unwrap();
            assert!(page.len() <= 3);
            let Some(last) = page.last() else { break };
            before = Some(last.account.id);
            seen.extend(page.into_iter().map(|view| view.account.id));
        }
        let mut expected = mine.clone();
        expected.sort();
        expected.reverse();
        assert_eq!(seen, expected);
        let everybody = bank.store.accounts(None, None, 100, NOW).await.unwrap();
        // The six of the bank's own chart are there too.
        assert_eq!(everybody.len(), mine.len() + others.len() + 6);
    }
}
