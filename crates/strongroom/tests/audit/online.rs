//! The check of the living bank.

use strongroom_app::money::ledger_check::CheckState;
use strongroom_domain::principal::Role;

use crate::{
    bank::{book, cx, history, person, published, records, stop},
    on_both_engines,
    place::{Kind, Place},
};

async fn the_online_check_is_clean_while_money_moves_and_finds_a_changed_balance(kind: Kind) {
    let place = Place::new(kind).await;
    let bank = place.open().await.unwrap();
    let people = history(&bank, &place).await;
    let auditor = person(&bank, &place).await;
    let auditor = cx(&bank, auditor, Role::Auditor).await;
    let check = async {
        for _ in 0..5 {
            let run = bank.check_ledger(&auditor).await.unwrap();
            let CheckState::Finished(report) = run.state else {
                panic!("not finished: {:?}", run.state);
            };
            assert!(report.is_clean(), "{:?}", report.findings);
            assert!(report.accounts == 8 && report.transactions >= 281);
        }
    };
    tokio::join!(check, async {
        for _ in 0..5 {
            book(&bank, &people, 40).await;
        }
    });
    published(&bank, records(&place).await).await;
    let balance = bank.trial_balance(&auditor).await.unwrap();
    let sum: i64 = balance.iter().map(|line| line.credit - line.debit).sum();
    assert_eq!(sum, 0);
    let customer = cx(&bank, people.bob, Role::Customer).await;
    assert_eq!(bank.check_ledger(&customer).await.unwrap_err().code, "forbidden");
    assert_eq!(bank.trial_balance(&customer).await.unwrap_err().code, "forbidden");

    let mut owner = place.owner().await;
    let changed = "UPDATE account_states SET balance = balance + 1 WHERE freezes <> 0";
    assert_eq!(owner.run(changed).await, 1);
    owner.close().await;
    let CheckState::Finished(report) = bank.check_ledger(&auditor).await.unwrap().state else {
        panic!("not finished");
    };
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.row.clone(), f.problem.code()))
        .collect();
    assert_eq!(found, [(people.to.to_string(), "state_balance")]);
    // A check that finds something tells people, and those before it told nobody.
    assert_eq!(bank.write_alerts().await.unwrap(), 1);
    let told = bank.alerts(&auditor, true, None, 10).await.unwrap();
    assert_eq!(
        told.iter()
            .map(|alert| alert.row.rule.as_str())
            .collect::<Vec<_>>(),
        ["chain_break"]
    );
    stop(bank).await;
}

on_both_engines!(the_online_check_is_clean_while_money_moves_and_finds_a_changed_balance);
