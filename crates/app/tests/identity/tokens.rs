//! What opens the door, and from which moment on it does not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use strongroom_app::{Credential, ExposeSecret, SecretString, identity::users::LoginChange};
use strongroom_domain::{principal::Role, text};

use crate::harness::{TestBank, arrival, on_both_engines, secret};

/// The three parts of a token.
fn parts(token: &SecretString) -> Vec<String> {
    token.expose_secret().split('.').map(str::to_owned).collect()
}

fn with_header(token: &SecretString, header: &str) -> SecretString {
    let parts = parts(token);
    secret(&format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        parts[1],
        parts[2]
    ))
}

fn with_claim(token: &SecretString, from: &str, to: &str) -> SecretString {
    let parts = parts(token);
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
    assert!(claims.contains(from), "{claims}");
    let claims = claims.replace(from, to);
    secret(&format!(
        "{}.{}.{}",
        parts[0],
        URL_SAFE_NO_PAD.encode(claims),
        parts[2]
    ))
}

on_both_engines! {
    async fn a_token_says_little_and_is_good_for_a_quarter_of_an_hour(bank: TestBank) {
        let (person, set, cx) = bank.logged_in("alice").await;
        assert_eq!(set.expires_in, 900);
        let claims = URL_SAFE_NO_PAD.decode(&parts(&set.access_token)[1]).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
        assert_eq!(claims["sub"], cx.person().unwrap().to_string());
        assert_eq!(claims["sid"], set.session.to_string());
        assert!(!claims.to_string().contains(&person.email) && claims.get("roles").is_none());
        bank.clock.advance(898);
        bank.enter(&set.access_token).await.unwrap();
        bank.clock.advance(3);
        assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_expired");
    }

    async fn every_forged_token_is_refused(bank: TestBank) {
        let (_, set, _) = bank.logged_in("alice").await;
        let token = &set.access_token;
        let (_, bobs, _) = bank.logged_in("bob").await;
        let kid = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts(token)[0]).unwrap()).unwrap();
        let kid: serde_json::Value = serde_json::from_str(&kid).unwrap();
        let kid = kid["kid"].as_str().unwrap();
        let (mine, his) = (parts(token), parts(&bobs.access_token));
        bank.enter(token).await.unwrap();
        for (what, forged) in [
            ("none", with_header(token, r#"{"alg":"none","typ":"at+jwt"}"#)),
            ("hs256", with_header(token, &format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#))),
            ("another type", with_header(token, &format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#))),
            ("unknown key", with_header(token, r#"{"alg":"EdDSA","typ":"at+jwt","kid":"999"}"#)),
            (
                "own key",
                with_header(token, &format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}","jku":"https://x"}}"#)),
            ),
            ("later end", with_claim(token, "\"exp\":", "\"exp\":9")),
            ("another audience", with_claim(token, "\"aud\":\"https://localhost:8443\"", "\"aud\":\"x\"")),
            ("another signature", secret(&format!("{}.{}.{}", mine[0], mine[1], his[2]))),
            ("another payload", secret(&format!("{}.{}.{}", mine[0], his[1], mine[2]))),
            ("no signature", secret(&format!("{}.{}.", mine[0], mine[1]))),
            ("refresh token", set.refresh_token.clone()),
            ("nothing", secret("")),
            ("noise", secret("a.b.c")),
        ] {
            assert_eq!(bank.enter(&forged).await.unwrap_err().code, "token_invalid", "{what}");
        }
        bank.enter(token).await.unwrap();
    }

    async fn a_token_of_another_issuer_is_refused(bank: TestBank) {
        let (_, set, cx) = bank.logged_in("alice").await;
        let issue = |issuer: &str, audience: &str| {
            let tokens = strongroom_crypto::AccessTokens::new(issuer, audience, "strongroom");
            let new = strongroom_crypto::NewToken {
                subject: &cx.person().unwrap().to_string(),
                session: &set.session.to_string(),
                token_id: "x",
                methods: &["pwd"],
                assurance: "aal1",
                bound_to: None,
                now: cx.now().micros(),
                lifetime_secs: 900,
            };
            tokens.issue(&bank.ring, new)
        };
        bank.enter(&issue("https://localhost:8443", "https://localhost:8443")).await.unwrap();
        for (issuer, audience) in [("https://localhost:8443", "https://x"), ("https://x", "https://localhost:8443")] {
            assert_eq!(bank.enter(&issue(issuer, audience)).await.unwrap_err().code, "token_invalid");
        }
    }

    async fn whoever_is_stopped_is_out_with_the_next_request(bank: TestBank) {
        let admin = bank.operator(Role::Admin).await;
        let admin = bank.enter(&admin.tokens.access_token).await.unwrap();
        for (stop, resume) in [(LoginChange::Lock, LoginChange::Unlock), (LoginChange::Disable, LoginChange::Enable)] {
            let (person, set, cx) = bank.logged_in("alice").await;
            let user = cx.person().unwrap();
            bank.enter(&set.access_token).await.unwrap();
            bank.bank.change_login(&admin, user, stop, "a test").await.unwrap();
            assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_invalid");
            assert!(bank.bank.renew(&cx).await.is_err());
            bank.bank.change_login(&admin, user, resume, "a test").await.unwrap();
            // Let in again means: log in again.
            assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_invalid");
            bank.login(&person).await;
        }
    }

    async fn the_next_request_on_another_node_knows_it_too(bank: TestBank) {
        if !bank.is_postgres() {
            return; // one process owns an embedded database
        }
        let other = bank.another_process().await;
        let (_, set, cx) = bank.logged_in("alice").await;
        other.enter(&set.access_token).await.unwrap();
        bank.enter(&set.access_token).await.unwrap();
        bank.bank.end_own_sessions(&cx).await.unwrap();
        assert_eq!(other.enter(&set.access_token).await.unwrap_err().code, "token_invalid");
        assert_eq!(bank.enter(&set.access_token).await.unwrap_err().code, "token_invalid");
    }

    async fn many_requests_share_one_question(bank: TestBank) {
        if !bank.is_postgres() {
            return; // the embedded epoch is a number in memory
        }
        let (_, set, _) = bank.logged_in("alice").await;
        let bank = std::sync::Arc::new(bank);
        let before = bank.bank.store().epoch_questions();
        let tasks: Vec<_> = (0..2_000)
            .map(|_| {
                let (bank, token) = (bank.clone(), set.access_token.clone());
                tokio::spawn(async move { bank.enter(&token).await.map(drop) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let asked = bank.bank.store().epoch_questions() - before;
        assert!((1..1_000).contains(&asked), "{asked} questions for 2,000 requests");
    }

    async fn nobody_comes_in_while_it_cannot_be_asked_what_was_revoked(bank: TestBank) {
        if !bank.is_postgres() {
            return; // memory does not go away
        }
        let (_, set, _) = bank.logged_in("alice").await;
        bank.enter(&set.access_token).await.unwrap();
        bank.database.cut_off(true).await;
        let refused = bank.enter(&set.access_token).await.unwrap_err();
        assert_eq!(refused.kind, strongroom_app::Kind::Unavailable, "{refused:?}");
        bank.database.cut_off(false).await;
        bank.enter(&set.access_token).await.unwrap();
    }

    async fn public_keys_are_published_and_private_ones_are_not(bank: TestBank) {
        let keys = bank.bank.jwks();
        let key = &keys["keys"][0];
        for (name, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA")] {
            assert_eq!(key[name], value);
        }
        assert!(key.get("d").is_none());
        assert!(text::check_line(key["x"].as_str().unwrap(), 43, true).is_ok());
    }

    async fn a_key_of_integrations_is_no_token_and_a_token_no_key(bank: TestBank) {
        let (_, set, _) = bank.logged_in("alice").await;
        let as_key = Credential::ApiKey(set.access_token.expose_secret());
        assert_eq!(bank.bank.authenticate(as_key, arrival(None)).await.unwrap_err().code, "token_invalid");
    }
}
