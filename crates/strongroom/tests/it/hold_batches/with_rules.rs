//! Many holds where rules about fraud count.

use super::*;

const ENFORCED: &[(&str, &str)] = crate::fraud::SETTINGS;

stories! {
    with ENFORCED;
    an_unusual_hold_of_a_batch_is_declined_and_nobody_is_asked_in_the_middle,
}

async fn an_unusual_hold_of_a_batch_is_declined_and_nobody_is_asked_in_the_middle(server: Server) {
    let (alice, from, bob, to) = town(&server, 9_000_000).await;
    for _ in 0..9 {
        alice.transfer(&new_key(), &from, &to, 500).await.expect(201);
    }
    let offered = alice
        .client
        .post("/api/v1/me/mfa/totp", json!({}))
        .await
        .expect(200);
    let code = json!({"code": code_of(&offered.text("otpauth_uri"))});
    alice
        .client
        .post("/api/v1/me/mfa/totp/confirm", code)
        .await
        .expect(200);
    // Alone she is asked for a factor.
    place(&alice, &from, &to, 50_000)
        .await
        .refused(401, "step_up_required");
    let items = [
        body(&from, &to, 400),
        body(&from, &to, 50_000),
        body(&from, &to, 300),
    ];
    let told = placed(&alice, "independent", &items).await;
    assert_eq!(codes(&told), ["held", "transfer_declined", "held"]);
    let told = placed(&alice, "atomic", &items).await;
    assert_eq!(
        codes(&told),
        ["batch_refused", "transfer_declined", "batch_refused"]
    );
    assert_eq!(balance(&alice, &from).await.1, 700);
    assert_eq!(bob.posted(&to).await, 4_500);
}
