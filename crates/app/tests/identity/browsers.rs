//! Sessions that live in a browser: when they end, and what is no use of them.

use strongroom_app::{
    Arrival, Credential, Cx, Error, ExposeSecret, SecretString, identity::personal::Client,
};
use strongroom_domain::principal::Origin;

use crate::harness::{Person, TestBank, arrival, client, on_both_engines, tokens};

const IDLE_SECS: i64 = 15 * 60;
const LIFE_SECS: i64 = 12 * 60 * 60;

async fn log_in(bank: &TestBank, person: &Person) -> SecretString {
    let browser = Client {
        browser: true,
        ..client()
    };
    let answer = bank.try_login(&browser, &person.email, &person.password).await;
    tokens(answer.unwrap()).cookie.unwrap()
}

async fn enter(bank: &TestBank, cookie: &SecretString) -> Result<Cx, Error> {
    let arrival = Arrival {
        origin: Origin::Web,
        ..arrival(None)
    };
    let credential = Credential::Browser(cookie.expose_secret());
    bank.bank.authenticate(credential, arrival).await
}

on_both_engines! {
    async fn to_ask_for_the_time_is_no_use_of_a_session(bank: TestBank) {
        let person = bank.customer("alice").await;
        let cookie = log_in(&bank, &person).await;
        enter(&bank, &cookie).await.unwrap();
        let begun = bank.bank.session_clock(&bank.anonymous(), cookie.expose_secret()).await.unwrap();
        // The login may have taken a second of it.
        assert!((LIFE_SECS - 1..=LIFE_SECS).contains(&begun.left_secs));
        for passed in 1..15 {
            bank.clock.advance(60);
            let clock = bank.bank.session_clock(&bank.anonymous(), cookie.expose_secret()).await.unwrap();
            assert_eq!(clock.idle_secs, IDLE_SECS - 60 * passed);
            assert_eq!(clock.left_secs, begun.left_secs - 60 * passed);
        }
        // A use begins the quarter of an hour anew; asking does not.
        enter(&bank, &cookie).await.unwrap();
        let clock = bank.bank.session_clock(&bank.anonymous(), cookie.expose_secret()).await.unwrap();
        assert_eq!(clock.idle_secs, IDLE_SECS);
        bank.clock.advance(IDLE_SECS - 1);
        bank.bank.session_clock(&bank.anonymous(), cookie.expose_secret()).await.unwrap();
        bank.clock.advance(2);
        let ended = bank.bank.session_clock(&bank.anonymous(), cookie.expose_secret()).await;
        assert_eq!(ended.unwrap_err().code, "token_invalid");
        assert_eq!(enter(&bank, &cookie).await.unwrap_err().code, "token_invalid");
    }

    async fn the_cookie_of_a_session_that_was_ended_opens_nothing(bank: TestBank) {
        let person = bank.customer("alice").await;
        let (first, second) = (log_in(&bank, &person).await, log_in(&bank, &person).await);
        enter(&bank, &first).await.unwrap();
        bank.bank.logout_browser(&bank.anonymous(), &first).await.unwrap();
        assert_eq!(enter(&bank, &first).await.unwrap_err().code, "token_invalid");
        let me = enter(&bank, &second).await.unwrap();
        bank.bank.end_own_sessions(&me).await.unwrap();
        assert_eq!(enter(&bank, &second).await.unwrap_err().code, "token_invalid");
        // What names nothing ends nothing, and nobody is told.
        for unknown in ["", "nothing", first.expose_secret()] {
            let unknown = SecretString::from(unknown);
            bank.bank.logout_browser(&bank.anonymous(), &unknown).await.unwrap();
        }
    }
}
