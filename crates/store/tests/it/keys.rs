//! Idempotency keys: one key, one effect, the same answer.

use strongroom_domain::ledger::{Answer, Refusal};

use crate::harness::{TestStore, deposit, on_both_engines, posted, tag, transfer};

on_both_engines! {
    async fn a_repeated_key_gets_the_first_answer_in_this_process_and_the_next(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let command = transfer(ids[0], ids[1], 30).with_key().command;
        let key = command.idempotency.clone().unwrap();
        let booked = posted(bank.run_one(command.clone()).await);
        let replay = Answer::Replayed { refusal: None, resource: Some(*booked.id.as_bytes()) };
        assert_eq!(bank.run_one(command.clone()).await, replay);
        bank = bank.reopen().await;
        assert_eq!(bank.run_one(command.clone()).await, replay);
        let stored = bank.store.outcome(&key.tag).await.unwrap().unwrap();
        assert_eq!((stored.tag, stored.code, stored.resource), (key.tag, 0, Some(*booked.id.as_bytes())));
        assert_eq!((stored.fingerprint, stored.at), (key.fingerprint, booked.booked_at));
        assert_eq!(bank.balance(ids[1]).await, 130);
    }

    async fn a_refusal_is_kept_under_its_key(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let command = transfer(ids[0], ids[1], 101).with_key().command;
        assert_eq!(bank.run_one(command.clone()).await, Answer::Refused(Refusal::InsufficientFunds));
        posted(bank.run_one(deposit(ids[0], 500).command).await);
        bank = bank.reopen().await;
        let again = bank.run_one(command).await;
        assert_eq!(again, Answer::Replayed { refusal: Some(Refusal::InsufficientFunds), resource: None });
        assert_eq!(bank.balance(ids[0]).await, 600);
    }

    async fn a_key_with_another_request_names_the_field(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let key = tag();
        let booked = posted(bank.run_one(transfer(ids[0], ids[1], 1).keyed(key, 1).command).await);
        let other = bank.run_one(transfer(ids[0], ids[1], 2).keyed(key, 2).command).await;
        assert_eq!(other, Answer::KeyReused { field: 0, resource: Some(*booked.id.as_bytes()) });
    }

    async fn the_same_key_twice_in_one_batch_posts_once(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let key = tag();
        let batch: Vec<_> = (0..3).map(|_| transfer(ids[0], ids[1], 10).keyed(key, 1).command).collect();
        let answers = bank.run(&batch).await;
        assert!(matches!(answers[0], Answer::Done(_)));
        assert!(answers[1..].iter().all(|answer| matches!(answer, Answer::Replayed { .. })));
        assert_eq!(bank.balance(ids[1]).await, 110);
    }
}
