//! What runs in the background does its work once and then finds none.

use strongroom_app::{Clock, notices::NOTICES_KEPT_SECS};
use strongroom_crypto::random;
use strongroom_domain::id::NoticeId;
use strongroom_store::{Scope, identity::NoticeRow};

use crate::harness::{TestBank, on_both_engines};

on_both_engines! {
    async fn the_upkeep_of_the_store_goes_on_until_nothing_is_due(bank: TestBank) {
        let steps = bank.bank.keep_store().await.unwrap();
        // On PostgreSQL the partition of the next generation of keys is made ahead; a young SQLite store owes nothing.
        assert_eq!(steps > 0, bank.is_postgres());
        assert_eq!(bank.bank.keep_store().await.unwrap(), 0);
    }

    async fn notices_are_forgotten_when_their_time_is_over_and_not_before(bank: TestBank) {
        let (_, _, cx) = bank.logged_in("ana").await;
        let person = cx.person().unwrap();
        let listed = async || bank.bank.store().notices(person, false, None, 10).await.unwrap();
        let tell = async |about: &str| {
            let at = bank.clock.now();
            let row = NoticeRow {
                id: NoticeId::from_bytes(random::uuid_v7(at.micros())),
                person,
                event: "money_received".to_owned(),
                about: about.to_owned(),
                subject: None,
                money: None,
                at,
                read_at: None,
            };
            let tx = bank.bank.store().write(Scope::System).await.unwrap();
            tx.add_notices(&[row]).await.unwrap();
            tx.commit().await.unwrap();
        };
        let before = listed().await.len();
        tell("old").await;
        bank.clock.advance(2);
        tell("young").await;
        bank.clock.advance(NOTICES_KEPT_SECS - 1);
        bank.bank.sweep_identity().await.unwrap();
        let left: Vec<_> = listed().await.into_iter().map(|row| row.about).collect();
        assert_eq!(left, ["young"], "of {before} and two");
        bank.clock.advance(2);
        bank.bank.sweep_identity().await.unwrap();
        assert_eq!(listed().await, []);
    }
}
