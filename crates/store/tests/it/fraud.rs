//! What rules know and find, in both databases: in the books' own commit, and decided once.

use std::sync::Arc;

use strongroom_domain::{
    action::Action,
    fraud::{Features, FraudMode, FraudRules, Rule, RuleMode, Verdict},
    id::{AccountId, TransactionId, UserId},
    ledger::{
        Answer, Changes, Command, DecideReview, Done, Owned, Refusal, ReviewState, ReviewVerb, Verb, decide,
    },
    principal::Principal,
};
use strongroom_store::{
    Scope, StoreError,
    ledger::{Need, ReviewView},
};

use crate::harness::{
    EUR, Kind, NOW, TestSigner, TestStore, deposit, id, on_both_engines, open_account, opened,
    run_among_others, transfer,
};

/// Everything from five euros on waits.
fn rules() -> Arc<FraudRules> {
    let rule = Rule::new(
        "large",
        1,
        "amount >= 500",
        Verdict::Review,
        50,
        RuleMode::Enforce,
    )
    .unwrap();
    let unknown = Rule::new(
        "unknown",
        1,
        "unknown = 1",
        Verdict::Review,
        50,
        RuleMode::Enforce,
    )
    .unwrap();
    Arc::new(FraudRules {
        trial: None,
        mode: FraudMode::Enforce,
        revision: 0,
        rules: vec![rule, unknown],
    })
}

fn pays(owner: UserId, from: AccountId, to: AccountId, minor: i64) -> Command {
    let mut command = transfer(from, to, minor).with_key().command;
    command.authority.scope = Owned::By(owner);
    command
}

/// Decides under these rules, as a lane does whose clock knows them.
async fn decided(bank: &mut TestStore, commands: &[Command]) -> (Changes, Vec<Answer>) {
    decided_by(bank, commands, rules()).await
}

async fn decided_by(
    bank: &mut TestStore,
    commands: &[Command],
    rules: Arc<FraudRules>,
) -> (Changes, Vec<Answer>) {
    loop {
        let mut book = bank.lane.begin(&Need::of_commands(commands)).await.unwrap();
        book.fraud.rules = rules.clone();
        let (changes, answers) = decide(&mut book, commands, &TestSigner);
        match bank.lane.commit(book, &changes).await {
            Ok(()) => return (changes, answers),
            Err(StoreError::Retry | StoreError::Constraint(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// What the books know of an owner.
async fn known(bank: &mut TestStore, owner: UserId, account: AccountId) -> Option<Features> {
    let need = Need::of_commands(&[transfer(account, id(), 1).command]);
    let book = bank.lane.begin(&need).await.unwrap();
    let row = book.fraud.rows.get(&(owner, EUR)).copied();
    bank.lane.abandon().await;
    row
}

fn look(change: &Changes, verb: ReviewVerb, by: UserId) -> Command {
    let filed = &change.fraud.filed[0];
    let mut command = transfer(filed.account, filed.to_account, 1).command;
    command.authority.action = match verb {
        ReviewVerb::Cancel => Action::TransferCancel,
        _ => Action::ReviewDecide,
    };
    command.authority.caller.principal = Principal::User(by);
    command.verb = Verb::Review(DecideReview {
        id: filed.id,
        account: filed.account,
        to: filed.to_account,
        verb,
        by,
        first: None,
        memo: filed.memo,
        value_date: None,
        salt: *id::<strongroom_domain::id::UserKind>().as_bytes(),
        sealed_reason: Some(vec![7; 40]),
    });
    command
}

struct Sides {
    owner: UserId,
    from: AccountId,
    payee: UserId,
    to: AccountId,
}

async fn sides(bank: &mut TestStore) -> Sides {
    let (owner, payee) = (bank.customer().await, bank.customer().await);
    let from = opened(bank.run(&[open_account(owner).command]).await.remove(0)).id;
    let to = opened(bank.run(&[open_account(payee).command]).await.remove(0)).id;
    bank.run(&[deposit(from, 5_000).command]).await;
    Sides {
        owner,
        from,
        payee,
        to,
    }
}

/// A person's id as SQL has it.
fn literal(bank: &TestStore, person: UserId) -> String {
    let digits: String = person
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    match bank.place.kind() {
        Kind::Sqlite => format!("x'{digits}'"),
        Kind::Postgres => format!("'{digits}'::uuid"),
    }
}

/// What rules found about this payer; others share the database.
async fn listed(bank: &TestStore, of: &Sides, open: bool) -> Vec<ReviewView> {
    let mut found = bank.store.reviews(open, None, 1_000).await.unwrap();
    found.retain(|review| review.customer == of.owner);
    found
}

on_both_engines! {
    async fn what_rules_learn_is_written_in_the_commit_on_both_sides_and_outlives_the_process(bank: TestStore) {
        let mut bank = bank;
        let of = sides(&mut bank).await;
        assert_eq!(known(&mut bank, of.owner, of.from).await, Some(Features::default()));
        let (_, answers) = decided(&mut bank, &[pays(of.owner, of.from, of.to, 100)]).await;
        assert!(matches!(answers[0], Answer::Done(_)), "{answers:?}");
        bank = bank.reopen().await;
        let (payer, payee) = (
            known(&mut bank, of.owner, of.from).await.unwrap(),
            known(&mut bank, of.payee, of.to).await.unwrap(),
        );
        assert_ne!(payer, Features::default());
        assert_ne!(payee, Features::default());
        assert_ne!(payer, payee);
    }

    async fn a_row_that_is_missing_or_cannot_be_read_makes_payments_wait(bank: TestStore) {
        let mut bank = bank;
        let of = sides(&mut bank).await;
        let broken = match bank.place.kind() {
            Kind::Sqlite => ["NULL", "x'02'", "x'0100'"],
            Kind::Postgres => ["NULL", "'\\x02'", "'\\x0100'"],
        };
        for features in broken {
            let (_, answers) = decided(&mut bank, &[pays(of.owner, of.from, of.to, 1)]).await;
            assert!(matches!(&answers[0], Answer::Done(done) if matches!(**done, Done::Posted(_))));
            let mine = literal(&bank, of.owner);
            let broken = format!("UPDATE customer_limits SET features = {features} WHERE owner = {mine}");
            bank.place.tamper(&broken).await.unwrap();
            bank = bank.reopen().await;
            assert_eq!(known(&mut bank, of.owner, of.from).await, None);
            let (changes, _) = decided(&mut bank, &[pays(of.owner, of.from, of.to, 1)]).await;
            assert_eq!(changes.fraud.filed[0].rules, "unknown/1");
            // Looked at, it begins anew.
            let (_, answers) = decided(&mut bank, &[look(&changes, ReviewVerb::Release, id())]).await;
            assert!(matches!(answers[0], Answer::Done(_)), "{answers:?}");
        }
    }

    async fn what_waits_is_kept_and_decided_once(bank: TestStore) {
        let mut bank = bank;
        let of = sides(&mut bank).await;
        for (verb, state) in [
            (ReviewVerb::Release, ReviewState::Released),
            (ReviewVerb::Reject, ReviewState::Rejected),
            (ReviewVerb::Cancel, ReviewState::Cancelled),
        ] {
            let (changes, _) = decided(&mut bank, &[pays(of.owner, of.from, of.to, 500)]).await;
            let review: TransactionId = changes.fraud.filed[0].id;
            bank = bank.reopen().await;
            let waiting = bank.store.waiting_transfer(review).await.unwrap().unwrap();
            assert_eq!((waiting.state, waiting.hold.review, waiting.hold.reserved()), (ReviewState::Open, true, 500));
            assert_eq!(bank.store.open_holds(of.from, None, 10).await.unwrap(), []);
            assert_eq!(listed(&bank, &of, true).await.len(), 1);
            for change in ["amount = 1", "rules = ''", "expires_at = expires_at + 1", "state = 4"] {
                let change = format!("UPDATE reviews SET {change} WHERE customer = {}", literal(&bank, of.owner));
                assert!(bank.place.tamper(&change).await.is_err(), "{change}");
            }
            let by = if verb == ReviewVerb::Cancel { of.owner } else { id() };
            let (_, answers) = decided(&mut bank, &[look(&changes, verb, by)]).await;
            assert!(matches!(answers[0], Answer::Done(_)), "{answers:?}");
            let view = bank.store.review(review).await.unwrap().unwrap();
            assert_eq!((view.state, view.decided_by), (state, Some(by)));
            let (_, answers) = decided(&mut bank, &[look(&changes, ReviewVerb::Reject, id())]).await;
            assert_eq!(answers[0], Answer::Refused(Refusal::ReviewClosed));
            let mine = literal(&bank, of.owner);
            let again = format!("UPDATE reviews SET state = 0, decided_at = NULL WHERE customer = {mine}");
            assert!(bank.place.tamper(&again).await.is_err());
            assert_eq!(listed(&bank, &of, true).await, []);
        }
        assert!(bank.place.tamper("DELETE FROM reviews").await.is_err());
        assert_eq!(bank.balance(of.to).await, 500);
    }

    async fn what_a_factor_was_asked_for_is_noted_once_and_may_still_wait(bank: TestStore) {
        let mut bank = bank;
        let of = sides(&mut bank).await;
        let request = [pays(of.owner, of.from, of.to, 500)];
        let mut factor = (*rules()).clone();
        factor.rules.iter_mut().for_each(|rule| rule.verdict = Verdict::StepUp);
        for _ in 0..2 {
            let (_, answers) = decided_by(&mut bank, &request, Arc::new(factor.clone())).await;
            assert_eq!(answers, [Answer::StepUpNeeded]);
            assert_eq!(listed(&bank, &of, false).await.len(), 1);
        }
        // The same request comes with its approval, and meanwhile more of it is unusual.
        let (_, answers) = decided(&mut bank, &request).await;
        assert!(matches!(answers[0], Answer::Done(_)), "{answers:?}");
        let kept = listed(&bank, &of, false).await;
        assert_eq!(
            kept.iter().map(|review| (review.verdict, review.state)).collect::<Vec<_>>(),
            [(Verdict::Review, ReviewState::Open), (Verdict::StepUp, ReviewState::Noted)]
        );
        assert_eq!(kept[0].id, kept[1].id);
    }

    async fn why_something_was_stopped_is_forgotten_once_its_time_is_over_and_not_before(bank: TestStore) {
        const DAY: i64 = 86_400_000_000;
        let mut bank = bank;
        let of = sides(&mut bank).await;
        let (changes, _) = decided(&mut bank, &[pays(of.owner, of.from, of.to, 500)]).await;
        decided(&mut bank, &[look(&changes, ReviewVerb::Reject, id())]).await;
        let new = listed(&bank, &of, false).await.remove(0);
        let (now, mine) = (new.at, literal(&bank, of.owner));
        let random = match bank.place.kind() {
            Kind::Sqlite => "randomblob(16)",
            Kind::Postgres => "gen_random_uuid()",
        };
        // The same once more, 200 days ago: rejected, never decided, noted; and one that still waits.
        for (verdict, state, expires, at, by) in [
            (2, 2, "expires_at - 200 * ", "decided_at", "decided_by"),
            (2, 0, "expires_at - 200 * ", "NULL", "NULL"),
            (1, 4, "NULL + ", "NULL", "NULL"),
            (2, 0, "expires_at + ", "NULL", "NULL"),
        ] {
            let copy = format!(
                "INSERT INTO reviews (id, customer, account_id, to_account, amount, currency, verdict, score, rules, at, \
                 expires_at, memo, value_date, state, decided_by, decided_at, sealed_reason) SELECT {random}, customer, \
                 account_id, to_account, amount, currency, {verdict}, score, rules, at - 200 * {DAY}, {expires}{DAY}, \
                 memo, value_date, {state}, {by}, {at}, sealed_reason FROM reviews WHERE customer = {mine} \
                 AND state = 2 AND at = {}",
                now.micros()
            );
            bank.place.tamper(&copy).await.unwrap();
        }
        assert_eq!(listed(&bank, &of, false).await.len(), 5);
        let forget = async |days: i64| {
            let tx = bank.store.write(Scope::System).await.unwrap();
            let forgotten = tx.forget_reviews(now.plus_seconds(-days * 86_400), now).await.unwrap();
            tx.commit().await.unwrap();
            forgotten
        };
        assert_eq!(forget(300).await, 0);
        assert_eq!(forget(100).await, 3);
        assert_eq!(forget(100).await, 0);
        let (gone, kept): (Vec<_>, Vec<_>) = listed(&bank, &of, false)
            .await
            .into_iter()
            .partition(|review| review.forgotten_at.is_some());
        assert_eq!((gone.len(), kept.len()), (3, 2));
        for review in gone {
            assert_eq!((review.rules.as_str(), review.score, review.memo), ("", 0, None));
            assert_eq!((review.amount, review.account, review.forgotten_at), (new.amount, new.account, Some(now)));
        }
        assert!(kept.iter().all(|review| review.rules == new.rules && review.score == new.score));
        let wiped = "rules = '', score = 0, memo = NULL, sealed_reason = NULL";
        for change in [
            format!("forgotten_at = {} WHERE forgotten_at IS NULL AND customer = {mine}", now.micros()),
            format!("{wiped}, forgotten_at = at + 89 * {DAY} WHERE state = 2 AND forgotten_at IS NULL AND customer = {mine}"),
            format!("{wiped}, amount = 1, forgotten_at = at + 91 * {DAY} WHERE state = 2 AND forgotten_at IS NULL \
                AND customer = {mine}"),
            format!("{wiped}, forgotten_at = at + 91 * {DAY} WHERE state = 0 AND forgotten_at IS NULL AND customer = {mine}"),
            format!("forgotten_at = NULL WHERE forgotten_at IS NOT NULL AND customer = {mine}"),
        ] {
            assert!(bank.place.tamper(&format!("UPDATE reviews SET {change}")).await.is_err(), "{change}");
        }
    }

    async fn the_first_of_two_is_written_down_once(bank: TestStore) {
        let mut bank = bank;
        let of = sides(&mut bank).await;
        let (changes, _) = decided(&mut bank, &[pays(of.owner, of.from, of.to, 500)]).await;
        let review = changes.fraud.filed[0].id;
        let (one, two) = (id(), id());
        for (by, first) in [(one, true), (two, false)] {
            let tx = bank.store.write(Scope::Operator).await.unwrap();
            assert_eq!(tx.release_first(review, by, NOW).await.unwrap(), first);
            tx.commit().await.unwrap();
        }
        assert_eq!(bank.store.review(review).await.unwrap().unwrap().first_by, Some(one));
    }
}

#[test]
fn on_postgres_two_nodes_release_what_waits_once() {
    run_among_others(Kind::Postgres, async |mut bank: TestStore| {
        let of = sides(&mut bank).await;
        let mut nodes = [bank.another().await, bank.another().await];
        for _ in 0..10 {
            let (changes, _) = decided(&mut bank, &[pays(of.owner, of.from, of.to, 500)]).await;
            let [one, two] = &mut nodes;
            let (first, second) = (
                [look(&changes, ReviewVerb::Release, id())],
                [look(&changes, ReviewVerb::Release, id())],
            );
            let (first, second) = tokio::join!(decided(one, &first), decided(two, &second));
            let done = [first.1, second.1].concat();
            let count = done
                .iter()
                .filter(|answer| matches!(answer, Answer::Done(_)))
                .count();
            assert_eq!(count, 1, "{done:?}");
        }
        assert_eq!(bank.balance(of.to).await, 5_000);
    });
}
