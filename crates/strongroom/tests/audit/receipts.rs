//! What a party takes home.

use strongroom_api::receipts::Receipt;
use strongroom_crypto::{VerifierKey, receipt};
use strongroom_domain::principal::Role;

use crate::{
    bank::{cx, deposit, open_account, person, stop, transfer},
    on_both_engines,
    place::{Kind, Place},
};

async fn a_receipt_right_after_the_booking_is_proved_by_the_public_key_alone(kind: Kind) {
    let place = Place::new(kind).await;
    let bank = place.open().await.unwrap();
    let alice = person(&bank, &place).await;
    let bob = person(&bank, &place).await;
    let teller = person(&bank, &place).await;
    let (from, to) = (open_account(&bank, alice).await, open_account(&bank, bob).await);
    let cash = deposit(&bank, teller, from, 5_000).await;
    let moved = transfer(&bank, alice, from, to, 1_250).await.unwrap();

    let mut texts = Vec::new();
    for (reader, role, id) in [
        (alice, Role::Customer, moved),
        (bob, Role::Customer, moved),
        (teller, Role::Teller, moved),
        (alice, Role::Customer, cash),
    ] {
        let issued = bank.receipt(&cx(&bank, reader, role).await, id).await.unwrap();
        let wire = Receipt::new(&issued.receipt, &issued.checkpoint.note);
        texts.push(serde_json::to_string(&wire).unwrap());
    }
    let stranger = person(&bank, &place).await;
    let refused = bank
        .receipt(&cx(&bank, stranger, Role::Customer).await, moved)
        .await;
    assert_eq!(refused.unwrap_err().code, "not_found");
    let nowhere = strongroom_domain::id::TransactionId::from_bytes([7; 16]);
    let refused = bank
        .receipt(&cx(&bank, alice, Role::Customer).await, nowhere)
        .await;
    assert_eq!(refused.unwrap_err().code, "not_found");
    let key = bank.log_keys().remove(0);
    stop(bank).await;
    drop(place);

    // From here on there is no bank, no database and no secret.
    let key = VerifierKey::parse(&key).unwrap();
    for text in &texts {
        let read: Receipt = serde_json::from_str(text).unwrap();
        let parts = read.parts().unwrap();
        receipt::verify(&parts, &read.checkpoint, std::slice::from_ref(&key)).unwrap();
        // Who acted is nobody else's business, not even as bytes.
        for person in [alice, bob, teller] {
            assert!(!parts.record.windows(16).any(|window| window == person.as_bytes()));
        }
        let mut forged = read.clone();
        forged.transaction.amount.amount += 1;
        assert!(
            receipt::verify(
                &forged.parts().unwrap(),
                &forged.checkpoint,
                std::slice::from_ref(&key)
            )
            .is_err()
        );
    }
}

on_both_engines!(a_receipt_right_after_the_booking_is_proved_by_the_public_key_alone);
