//! What people log in with: no change without a record that tells of it.

use strongroom_domain::id::UserId;
use strongroom_store::{
    Scope, StoreError, WriteTx,
    identity::{ExternalLoginRow, FactorState, PasskeyRow, TotpRow},
};

use crate::harness::{NOW, TestStore, id, on_both_engines};

/// Somebody's first credential of a kind, and its name.
async fn bind(tx: &WriteTx, person: UserId, kind: usize) -> &'static str {
    match kind {
        0 => {
            tx.set_password(person, "a hash", NOW, None).await.unwrap();
            "passwords"
        }
        1 => {
            let row = TotpRow {
                id: id(),
                person,
                sealed_secret: vec![1; 40],
                state: FactorState::Printed,
                last_step: 0,
                created_at: NOW,
                expires_at: None,
                activated_at: None,
            };
            tx.put_totp(&row).await.unwrap();
            "totp_factors"
        }
        2 => {
            let row = PasskeyRow {
                id: id(),
                person,
                credential: [u8::try_from(kind).unwrap(); 32],
                sealed: vec![1; 40],
                sealed_name: vec![1; 40],
                counter: 0,
                created_at: NOW,
                last_used_at: None,
            };
            assert!(tx.insert_passkey(&row).await.unwrap());
            "passkeys"
        }
        3 => {
            tx.put_recovery_codes(person, &[[1; 32], [2; 32]], NOW)
                .await
                .unwrap();
            "recovery_codes"
        }
        _ => {
            let row = ExternalLoginRow {
                id: id(),
                person,
                provider: "issuer".to_owned(),
                subject_index: [3; 16],
                sealed: vec![1; 40],
                created_at: NOW,
                last_used_at: None,
            };
            assert!(tx.insert_external_login(&row).await.unwrap());
            "external_logins"
        }
    }
}

on_both_engines! { alone
    async fn a_credential_that_no_record_tells_of_is_not_committed(bank: TestStore) {
        let person = bank.customer().await;
        for kind in 0..5 {
            let tx = bank.store.write(Scope::System).await.unwrap();
            bind(&tx, person, kind).await;
            let refused = tx.commit().await.unwrap_err();
            assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
            // Whoever takes it tells it; the next change of the kind has another digest.
            let mut tx = bank.store.write(Scope::System).await.unwrap();
            let name = bind(&tx, person, kind).await;
            let told = tx.take_told();
            assert_eq!(told.len(), 1);
            assert_eq!((told[0].person, told[0].name), (person, name));
            assert_eq!(told[0].value.as_ref().unwrap().len(), 64);
            tx.commit().await.unwrap();
        }
        let mut tx = bank.store.write(Scope::System).await.unwrap();
        tx.put_recovery_codes(person, &[], NOW).await.unwrap();
        assert_eq!(tx.take_told()[0].value, None);
        tx.commit().await.unwrap();
        assert!(bank.store.password(person).await.unwrap().is_some());
    }
}
