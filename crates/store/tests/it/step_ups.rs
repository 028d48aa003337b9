//! Approvals by a fresh factor, where they are spent: in the books' own commit.

use strongroom_domain::{
    id::{AccountId, SessionId, StepUpId, UserId},
    ledger::{Answer, Command, StepUpClaim},
    principal::Assurance,
    time::Timestamp,
};
use strongroom_store::{
    Scope,
    identity::{NewSession, NewStepUp},
};

use crate::harness::{Kind, TestStore, id, on_both_engines, posted, run_among_others, transfer};

const REQUEST: [u8; 32] = [6; 32];
const HOUR: i64 = 3_600;

fn claiming(from: AccountId, to: AccountId, approval: StepUpId, asked_at: Timestamp) -> Command {
    let mut command = transfer(from, to, 1).with_key().command;
    command.step_up = Some(StepUpClaim {
        request: REQUEST,
        approval: Some(approval),
        asked_at,
        no_factor: false,
    });
    command
}

/// A session of somebody, with an approval in it that ends so many seconds from the lane's time.
async fn approval(bank: &TestStore, person: UserId, now: Timestamp, lasts: i64) -> (SessionId, StepUpId) {
    let session = NewSession {
        id: id(),
        person,
        assurance: Assurance::Aal2,
        methods: "pwd otp mfa".to_owned(),
        created_at: now,
        expires_at: now.plus_seconds(HOUR),
        device_hash: None,
        sealed_client: vec![1],
        refresh_hash: strongroom_domain::audit::leaf_hash(id::<()>().as_bytes()),
        proved_at: None,
        holder: None,
    };
    let new = NewStepUp {
        id: id(),
        session: session.id,
        request: REQUEST,
        approved_at: now,
        expires_at: now.plus_seconds(lasts),
    };
    let tx = bank.store.write(Scope::System).await.unwrap();
    tx.insert_session(&session).await.unwrap();
    assert!(tx.insert_step_up(&new).await.unwrap());
    assert!(
        !tx.insert_step_up(&new).await.unwrap(),
        "a challenge approves once"
    );
    tx.commit().await.unwrap();
    (session.id, new.id)
}

on_both_engines! {
    async fn an_approval_is_spent_in_the_commit_that_it_approves(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let person = bank.customer().await;
        let now = posted(bank.run_one(transfer(ids[0], ids[1], 1).command).await).booked_at;
        let (session, approval_id) = approval(&bank, person, now, HOUR).await;
        let found = |at| bank.store.step_up(session, &REQUEST, at);
        assert_eq!(found(now).await.unwrap(), Some(approval_id));
        assert_eq!(found(now.plus_seconds(HOUR)).await.unwrap(), None);
        assert_eq!(bank.store.step_up(session, &[7; 32], now).await.unwrap(), None);
        assert_eq!(bank.store.step_up(id(), &REQUEST, now).await.unwrap(), None);
        let first = claiming(ids[0], ids[1], approval_id, now);
        posted(bank.run_one(first.clone()).await);
        assert_eq!(bank.store.step_up(session, &REQUEST, now).await.unwrap(), None);
        bank = bank.reopen().await;
        assert_eq!(bank.run_one(claiming(ids[0], ids[1], approval_id, now)).await, Answer::StepUpNeeded);
        assert!(matches!(bank.run_one(first).await, Answer::Replayed { .. }));
        assert_eq!(bank.balance(ids[1]).await, 102);
    }

    async fn an_approval_that_is_over_approves_nothing(bank: TestStore) {
        let ids = bank.accounts(2, 100).await;
        let person = bank.customer().await;
        let now = posted(bank.run_one(transfer(ids[0], ids[1], 1).command).await).booked_at;
        let (_, over) = approval(&bank, person, now.plus_seconds(-HOUR), HOUR).await;
        assert_eq!(bank.run_one(claiming(ids[0], ids[1], over, now)).await, Answer::StepUpNeeded);
        let (_, good) = approval(&bank, person, now, HOUR).await;
        posted(bank.run_one(claiming(ids[0], ids[1], good, now)).await);
    }
}

#[test]
fn two_nodes_with_one_approval_post_once() {
    run_among_others(Kind::Postgres, async |mut first: TestStore| {
        let ids = first.accounts(4, 1_000).await;
        let person = first.customer().await;
        let mut second = first.another().await;
        for _ in 0..20 {
            let now = posted(first.run_one(transfer(ids[0], ids[1], 1).command).await).booked_at;
            let (_, approval_id) = approval(&first, person, now, HOUR).await;
            // Accounts of their own, so that nothing but the approval makes one wait for the other.
            let (one, other) = tokio::join!(
                first.run_one(claiming(ids[0], ids[1], approval_id, now)),
                second.run_one(claiming(ids[2], ids[3], approval_id, now)),
            );
            let done = [&one, &other]
                .iter()
                .filter(|answer| matches!(answer, Answer::Done(_)))
                .count();
            assert_eq!(done, 1, "{one:?} {other:?}");
            assert!([one, other].contains(&Answer::StepUpNeeded));
        }
    });
}
