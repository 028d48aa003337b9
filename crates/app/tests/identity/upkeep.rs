//! What runs in the background does its work once and then finds none.

use crate::harness::{TestBank, on_both_engines};

on_both_engines! {
    async fn the_upkeep_of_the_store_goes_on_until_nothing_is_due(bank: TestBank) {
        let steps = bank.bank.keep_store().await.unwrap();
        // On PostgreSQL the partition of the next generation of keys is made ahead; a young SQLite store owes nothing.
        assert_eq!(steps > 0, bank.is_postgres());
        assert_eq!(bank.bank.keep_store().await.unwrap(), 0);
    }
}
