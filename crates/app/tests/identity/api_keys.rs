//! Keys of integrations: what they open, and what they never do.

use strongroom_app::{
    Credential, Cx, Error, ExposeSecret,
    api_keys::{AddApiKey, ApiKeyAdded, KeyOwner},
    money::accounts::OpenAccount,
};
use strongroom_crypto::{ApiKey, KeyEnvironment};
use strongroom_domain::{
    account::CustomerKind,
    money::Currency,
    principal::{Principal, Role},
    time::Timestamp,
};

use crate::harness::{TestBank, arrival, on_both_engines};

async fn add(bank: &TestBank, scopes: &[&str], expires_at: Option<Timestamp>) -> ApiKeyAdded {
    let cx = bank.bank.cx_cli(0).await.unwrap();
    let input = AddApiKey {
        expires_at,
        ..AddApiKey::new(KeyOwner::Technical(Role::Teller), "Import", scopes)
    };
    bank.bank.add_api_key(&cx, input).await.unwrap()
}

async fn enter(bank: &TestBank, key: &str) -> Result<Cx, Error> {
    bank.bank
        .authenticate(Credential::ApiKey(key), arrival(None))
        .await
}

fn open(customer: Option<strongroom_domain::id::UserId>) -> OpenAccount {
    OpenAccount {
        customer,
        kind: CustomerKind::Checking,
        currency: Currency::EUR,
        name: "Imported".to_owned(),
        overdraft: 0,
        idempotency_key: None,
    }
}

on_both_engines! {
    async fn a_key_does_what_its_scopes_and_its_owner_allow(bank: TestBank) {
        let (_, _, alice) = bank.logged_in("alice").await;
        let added = add(&bank, &["accounts:write", "accounts:read"], None).await;
        assert!(added.key.expose_secret().starts_with("sr_test_"));
        let cx = enter(&bank, added.key.expose_secret()).await.unwrap();
        assert_eq!(cx.caller.principal, Principal::ApiKey { key: added.id, owner: added.owner });
        let account = bank.bank.open_account(&cx, open(alice.person().ok())).await.unwrap().value.id;
        let reads = add(&bank, &["accounts:read"], None).await;
        let reads = enter(&bank, reads.key.expose_secret()).await.unwrap();
        bank.bank.account(&reads, account).await.unwrap();
        assert_eq!(bank.bank.open_account(&reads, open(alice.person().ok())).await.unwrap_err().code, "forbidden");
        assert_eq!(bank.bank.me(&cx).await.unwrap_err().code, "forbidden", "a key has no login of its own");
    }

    async fn whatever_is_not_the_key_is_refused(bank: TestBank) {
        let added = add(&bank, &["accounts:read"], None).await;
        let text = added.key.expose_secret();
        enter(&bank, text).await.unwrap();
        let last = if text.ends_with('0') { '1' } else { '0' };
        let changed = format!("{}{last}", &text[..text.len() - 1]);
        // Right in form and checksum, wrong in its secret or its environment.
        let forged = ApiKey::generate(KeyEnvironment::Test, *added.id.as_bytes()).text();
        let live = ApiKey::generate(KeyEnvironment::Live, *added.id.as_bytes()).text();
        for wrong in [&changed, forged.expose_secret(), live.expose_secret(), "", "sr_test_"] {
            assert_eq!(enter(&bank, wrong).await.unwrap_err().code, "token_invalid");
        }
    }

    async fn a_key_ends_at_its_end_and_when_it_is_taken_away(bank: TestBank) {
        let ends = add(&bank, &["accounts:read"], Some(bank.anonymous().now().plus_seconds(60))).await;
        let taken = add(&bank, &["accounts:read"], None).await;
        enter(&bank, ends.key.expose_secret()).await.unwrap();
        let cx = enter(&bank, taken.key.expose_secret()).await.unwrap();
        let cli = bank.bank.cx_cli(0).await.unwrap();
        bank.bank.revoke_api_key(&cli, taken.id).await.unwrap();
        assert_eq!(enter(&bank, taken.key.expose_secret()).await.unwrap_err().code, "token_invalid");
        assert!(bank.bank.renew(&cx).await.is_err());
        bank.clock.advance(61);
        assert_eq!(enter(&bank, ends.key.expose_secret()).await.unwrap_err().code, "token_invalid");
    }

    async fn a_key_makes_no_keys_and_nobody_logs_in_as_its_owner(bank: TestBank) {
        let added = add(&bank, strongroom_app::api_keys::SCOPES, None).await;
        let cx = enter(&bank, added.key.expose_secret()).await.unwrap();
        let input = AddApiKey::new(KeyOwner::User(added.owner), "More", &["accounts:read"]);
        assert_eq!(bank.bank.add_api_key(&cx, input).await.unwrap_err().code, "forbidden");
        assert_eq!(bank.bank.revoke_api_key(&cx, added.id).await.unwrap_err().code, "forbidden");
        assert!(bank.try_login(&crate::harness::client(), "", "").await.is_err());
    }

    async fn wrong_scopes_are_named(bank: TestBank) {
        let cx = bank.bank.cx_cli(0).await.unwrap();
        let scopes = ["everything", "accounts:read", "accounts:read"];
        let input = AddApiKey::new(KeyOwner::Technical(Role::Teller), "", &scopes);
        let refused = bank.bank.add_api_key(&cx, input).await.unwrap_err();
        let pointers: Vec<_> = refused.fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/scopes/0", "/scopes/2"]);
    }
}
