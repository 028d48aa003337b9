//! The sealer of PostgreSQL: late commits, and its own death.

use strongroom_domain::{
    audit::{Details, Object, Record, SignedRecord},
    id::RequestId,
    principal::{Caller, Origin, Principal, Role},
};
use strongroom_store::Scope;

use crate::{
    bank::{PATIENCE, book, cx, history, published, records, stop, transfer},
    owner::Owner,
    place::{Kind, Place, has_postgres},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_commits_late_leaves_no_hole() {
    if !has_postgres() {
        return;
    }
    let place = Place::new(Kind::Postgres).await;
    let bank = place.open().await.unwrap();
    let people = history(&bank, &place).await;
    let before = records(&place).await;
    published(&bank, before).await;

    // It has written its record, and does not commit yet.
    let mut late = bank.store().write(Scope::System).await.unwrap();
    let slot = late.next_record().await.unwrap();
    let record = Record {
        id: slot.id,
        at: slot.not_before,
        request: RequestId::from_bytes([1; 16]),
        caller: Caller {
            principal: Principal::Job,
            session: None,
            origin: Origin::Job,
        },
        action: "log.begin",
        object: Object::Bank,
        outcome: "ok",
        policy: 1,
        details: Details::none(),
    };
    let mac = place.ring.audit_mac();
    let signed = mac.sign(&record.canonical());
    late.append_record(&SignedRecord::new(record, i64::from(mac.kid()), signed))
        .await
        .unwrap();

    let moved = transfer(&bank, people.alice, people.from, people.to, 1)
        .await
        .unwrap();
    let alice = cx(&bank, people.alice, Role::Customer).await;
    let pending = bank.receipt(&alice, moved).await.unwrap_err();
    assert_eq!(pending.code, "receipt_pending");
    assert!(pending.retry_after.is_some());
    assert_eq!(bank.checkpoints().latest().unwrap().size, before);

    late.commit().await.unwrap();
    published(&bank, before + 2).await;
    let issued = bank.receipt(&alice, moved).await.unwrap();
    assert_eq!(
        issued.receipt.leaf,
        before + 1,
        "the late record comes first, in the order of the transactions"
    );
    stop(bank).await;
    let report = place.verify_against(&place.latest()).await;
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.size, report.unsealed), (before + 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealer_that_is_killed_is_replaced_without_a_hole() {
    if !has_postgres() {
        return;
    }
    let place = Place::new(Kind::Postgres).await;
    let first = place.open().await.unwrap();
    let people = history(&first, &place).await;
    published(&first, records(&place).await).await;
    let elsewhere = place.another_node();
    let second = place.open_node(elsewhere).await.unwrap();
    published(&second, records(&place).await).await;

    let mut owner = place.owner_reading().await;
    for round in 0..3 {
        let term = owner.number("SELECT term FROM audit_head").await;
        book(&first, &people, 20).await;
        kill_the_sealer(&mut owner).await;
        book(&second, &people, 20).await;
        let count = records(&place).await;
        published(&first, count).await;
        published(&second, count).await;
        assert!(
            owner.number("SELECT term FROM audit_head").await > term,
            "round {round}"
        );
    }
    owner.close().await;
    assert_eq!(
        first.checkpoints().latest().unwrap().root,
        second.checkpoints().latest().unwrap().root
    );
    stop(first).await;
    stop(second).await;
    let report = place.verify_against(&place.latest()).await;
    assert!(report.is_clean(), "{:?}", report.findings);
}

async fn kill_the_sealer(owner: &mut Owner) {
    let holders = "FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = 1397882883 AND objsubid = 1 \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let elected = async {
        while owner.number(&format!("SELECT count(*) {holders}")).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, elected).await.unwrap();
    let killed = owner
        .number(&format!("SELECT count(pg_terminate_backend(pid)) {holders}"))
        .await;
    assert_eq!(killed, 1);
}
