//! What the database never holds in a readable form.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use strongroom_app::{ExposeSecret, identity::operators::OperatorAdded};
use strongroom_domain::principal::Role;

use crate::harness::{PASSWORD, TestBank, on_both_engines, secret_of};

/// Whether any usual spelling of a text is in there.
fn holds(dump: &[u8], text: &str) -> bool {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    [
        text.to_owned(),
        STANDARD.encode(text),
        hex.clone(),
        hex.to_uppercase(),
    ]
    .iter()
    .any(|form| dump.windows(form.len()).any(|window| window == form.as_bytes()))
}

on_both_engines! {
    async fn neither_names_nor_secrets_are_readable_in_the_database(bank: TestBank) {
        let added = bank.add_operator(Role::Admin, false).await;
        let OperatorAdded::Ready { email, password, totp_uri, .. } = added else { panic!("{added:?}") };
        let totp = secret_of(&totp_uri);
        let (person, set, cx) = bank.logged_in("canary").await;
        bank.bank.rename_me(&cx, "Canarina Kestrel").await.unwrap();
        bank.register("pending-canary@example.com", PASSWORD).await.unwrap();
        bank.bank.forget_password(&bank.anonymous(), &person.email).await.unwrap();
        let reset = bank.mailed_token(&person.email).await.unwrap();
        let dump = bank.database.dump().await;
        // The positive control: what is there in clear is found.
        for clear in ["Europe/Berlin", "customer", "session.create"] {
            assert!(holds(&dump, clear), "{clear}");
        }
        let totp: String = totp.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        for hidden in [
            PASSWORD, &person.email, &email, "pending-canary", "Canarina", "Kestrel", "127.0.0.9", "test/1", &totp,
            password.expose_secret(), set.access_token.expose_secret(), set.refresh_token.expose_secret(),
            set.device.as_ref().unwrap().expose_secret(), reset.expose_secret(),
        ] {
            assert!(!holds(&dump, hidden), "{hidden}");
        }
    }
}
