//! What one operator asks for and another decides: two people, one decision, and what the checker saw.

use futures::future::{Either, join_all};
use strongroom_app::{
    Cx, Error,
    authority::approvals::{ApprovalState, Approved, Decision},
    identity::{
        operators::{AddOperator, OperatorAdded},
        users::LoginChange,
    },
};
use strongroom_domain::{id::ApprovalId, principal::Role};

use crate::harness::{Operator, TestBank, key, on_both_engines};

const DAY_SECS: i64 = 24 * 60 * 60;

fn new_operator(role: Role) -> AddOperator {
    AddOperator {
        email: format!("{}@bank.example", key()),
        full_name: "Tom Teller".to_owned(),
        role,
        break_glass: false,
    }
}

/// Logs an operator in anew.
async fn enter_again(bank: &TestBank, operator: &Operator) -> Cx {
    bank.clock.advance(31);
    bank.enter(&bank.login_operator(operator).await.access_token)
        .await
        .unwrap()
}

/// Two administrators of more than a day, just logged in, and their logins.
pub(crate) async fn administrators(bank: &TestBank) -> (Vec<Operator>, Vec<Cx>) {
    let people = vec![
        bank.operator(Role::Admin).await,
        bank.operator(Role::Admin).await,
        bank.operator(Role::Admin).await,
    ];
    bank.clock.advance(DAY_SECS + 60);
    let mut all = Vec::new();
    for person in &people {
        all.push(enter_again(bank, person).await);
    }
    (people, all)
}

async fn ask(bank: &TestBank, maker: &Cx) -> (ApprovalId, String) {
    let input = new_operator(Role::Teller);
    let email = input.email.clone();
    (bank.bank.ask_for_operator(maker, input).await.unwrap(), email)
}

async fn approve(bank: &TestBank, cx: &Cx, id: ApprovalId) -> Result<Approved, Error> {
    bank.bank.approve_request(cx, id, Decision::default()).await
}

async fn exists(bank: &TestBank, admin: &Cx, email: &str) -> bool {
    !bank
        .bank
        .users(admin, Some(email), None, 1)
        .await
        .unwrap()
        .is_empty()
}

on_both_engines! {
    async fn one_asks_and_another_decides(bank: TestBank) {
        let (_, admins) = administrators(&bank).await;
        let (id, email) = ask(&bank, &admins[0]).await;
        let open = bank.bank.approvals(&admins[1], Some(ApprovalState::Open), None, 10).await.unwrap();
        let [seen] = open.as_slice() else { panic!("{open:?}") };
        assert_eq!((seen.id, seen.maker), (id, Some(admins[0].person().unwrap())));
        assert_eq!(seen.request.as_ref().unwrap()["email"], email.as_str());
        assert_eq!(approve(&bank, &admins[0], id).await.unwrap_err().code, "maker_is_checker");
        let own = bank.bank.reject_request(&admins[0], id, Decision::default()).await;
        assert_eq!(own.unwrap_err().code, "maker_is_checker");
        assert!(!exists(&bank, &admins[1], &email).await);
        let other = Decision { digest: Some([7; 32]), reason: None };
        let other = bank.bank.approve_request(&admins[1], id, other).await.unwrap_err();
        assert_eq!(other.fields[0].pointer, "/digest");
        let same = Decision { digest: Some(seen.digest), reason: Some("known in person".to_owned()) };
        let done = bank.bank.approve_request(&admins[1], id, same).await.unwrap();
        assert_eq!(done.approval.state, ApprovalState::Approved);
        assert_eq!(done.approval.reason.as_deref(), Some("known in person"));
        assert!(done.approval.request.is_none(), "what was asked for is wiped");
        let Some(OperatorAdded::Ready { email: made, .. }) = done.operator else { panic!("no operator") };
        assert_eq!(made, email);
        assert!(exists(&bank, &admins[1], &email).await);
        assert_eq!(approve(&bank, &admins[2], id).await.unwrap_err().code, "approval_closed");
    }

    async fn a_request_of_the_command_line_is_decided_by_any_administrator(bank: TestBank) {
        let (_, admins) = administrators(&bank).await;
        let OperatorAdded::Requested { approval } = bank.add_operator(Role::Support, false).await else {
            panic!("no request")
        };
        let rejected = bank.bank.reject_request(&admins[0], approval, Decision::default()).await.unwrap();
        assert_eq!((rejected.state, rejected.maker), (ApprovalState::Rejected, None));
        assert_eq!(approve(&bank, &admins[1], approval).await.unwrap_err().code, "approval_closed");
    }

    async fn of_many_decisions_at_once_one_counts(bank: TestBank) {
        let (_, admins) = administrators(&bank).await;
        for round in 0..4 {
            let (id, email) = ask(&bank, &admins[0]).await;
            let decisions = (0..6).map(|number| {
                let cx = &admins[1 + number % 2];
                let approves = (number + round) % 2 == 0;
                let bank = &bank;
                match approves {
                    true => Either::Left(async move { approve(bank, cx, id).await.map(|_| true) }),
                    false => Either::Right(async move {
                        bank.bank.reject_request(cx, id, Decision::default()).await.map(|_| false)
                    }),
                }
            });
            let outcomes = join_all(decisions).await;
            let won: Vec<bool> = outcomes.iter().filter_map(|it| it.as_ref().ok().copied()).collect();
            assert_eq!(won.len(), 1, "{outcomes:?}");
            for lost in outcomes.iter().filter_map(|it| it.as_ref().err()) {
                assert_eq!(lost.code, "approval_closed");
            }
            assert_eq!(exists(&bank, &admins[1], &email).await, won[0]);
        }
    }

    async fn a_request_dies_with_the_right_of_its_maker(bank: TestBank) {
        let (_, admins) = administrators(&bank).await;
        let (id, email) = ask(&bank, &admins[0]).await;
        let maker = admins[0].person().unwrap();
        bank.bank.change_login(&admins[1], maker, LoginChange::Lock, "left the bank").await.unwrap();
        assert_eq!(approve(&bank, &admins[2], id).await.unwrap_err().code, "approval_closed");
        assert!(!exists(&bank, &admins[1], &email).await);
        // Back in office is not back in the request.
        bank.bank.change_login(&admins[1], maker, LoginChange::Unlock, "came back").await.unwrap();
        assert_eq!(approve(&bank, &admins[2], id).await.unwrap_err().code, "approval_closed");
        let all = bank.bank.approvals(&admins[1], None, None, 10).await.unwrap();
        assert_eq!(all[0].state, ApprovalState::Expired);
    }

    async fn a_checker_who_was_stopped_meanwhile_decides_nothing(bank: TestBank) {
        let (_, admins) = administrators(&bank).await;
        let (id, email) = ask(&bank, &admins[0]).await;
        let checker = admins[2].person().unwrap();
        bank.bank.change_login(&admins[1], checker, LoginChange::Lock, "a test").await.unwrap();
        // The context is that of a request that was let in before the lock.
        assert_eq!(approve(&bank, &admins[2], id).await.unwrap_err().code, "forbidden");
        assert!(!exists(&bank, &admins[1], &email).await);
        approve(&bank, &admins[1], id).await.unwrap();
    }

    async fn whoever_has_power_for_less_than_a_day_decides_nothing(bank: TestBank) {
        let first = bank.operator(Role::Admin).await;
        let second = bank.operator(Role::Admin).await;
        let maker = bank.enter(&first.tokens.access_token).await.unwrap();
        let checker = bank.enter(&second.tokens.access_token).await.unwrap();
        let (id, _) = ask(&bank, &maker).await;
        assert_eq!(approve(&bank, &checker, id).await.unwrap_err().code, "checker_too_new");
        // The first administrator has nobody to wait for.
        let (by_second, _) = ask(&bank, &checker).await;
        approve(&bank, &maker, by_second).await.unwrap();
        bank.clock.advance(DAY_SECS);
        let checker = enter_again(&bank, &second).await;
        approve(&bank, &checker, id).await.unwrap();
    }

    async fn a_decision_needs_a_fresh_login_and_a_person(bank: TestBank) {
        let (_, admins) = administrators(&bank).await;
        let (id, _) = ask(&bank, &admins[0]).await;
        let cli = bank.bank.cx_cli(0).await.unwrap();
        assert_eq!(approve(&bank, &cli, id).await.unwrap_err().code, "forbidden");
        let support = bank.operator(Role::Support).await;
        let support = bank.enter(&support.tokens.access_token).await.unwrap();
        assert_eq!(approve(&bank, &support, id).await.unwrap_err().code, "forbidden");
        let asked = bank.bank.ask_for_operator(&support, new_operator(Role::Admin)).await;
        assert_eq!(asked.unwrap_err().code, "forbidden");
        approve(&bank, &admins[1], id).await.unwrap();
    }

    async fn a_request_is_over_after_a_week_and_its_words_are_forgotten(bank: TestBank) {
        let (people, admins) = administrators(&bank).await;
        let (id, _) = ask(&bank, &admins[0]).await;
        bank.clock.advance(7 * DAY_SECS);
        let late = enter_again(&bank, &people[1]).await;
        assert_eq!(approve(&bank, &late, id).await.unwrap_err().code, "approval_closed");
        assert_eq!(bank.bank.approvals(&late, None, None, 1).await.unwrap()[0].state, ApprovalState::Expired);
        bank.bank.sweep_identity().await.unwrap();
        let row = bank.bank.store().approval(id).await.unwrap().unwrap();
        assert_eq!((row.state, row.sealed.len()), (ApprovalState::Expired, 0));
    }
}
