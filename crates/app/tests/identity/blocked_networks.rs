//! Networks that people of the bank block are refused by every node from its first request on.

use strongroom_app::{Clock, security::incident_actions::Deed};
use strongroom_domain::principal::Role;

use crate::harness::{TestBank, on_both_engines};

on_both_engines! {
    async fn a_node_knows_blocked_networks_before_its_first_request(bank: TestBank) {
        let admin = bank.operator(Role::Admin).await;
        let cx = bank.enter(&admin.tokens.access_token).await.unwrap();
        let until = bank.clock.now().plus_seconds(600);
        let deed = Deed::BlockNetwork("192.0.2.0/24".parse().unwrap(), until);
        bank.bank.take_incident_action(&cx, deed, "Guesses passwords.").await.unwrap();
        let (blocked, other) = ("192.0.2.7".parse().unwrap(), "192.0.3.7".parse().unwrap());
        assert!(bank.bank.network_block(blocked).is_some());
        // No job runs here that could read them later.
        let started = bank.another_process().await;
        assert!(started.bank.network_block(blocked).is_some());
        assert!(started.bank.network_block(other).is_none());
    }
}
