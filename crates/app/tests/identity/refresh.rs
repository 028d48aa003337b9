//! One child per token, a lost answer given again, and every other second use the end of the family.

use futures::future::join_all;
use strongroom_app::{
    Error, ExposeSecret, SecretString,
    identity::{login::TokenSet, personal::Client, refresh::RETRY_SECS},
};

use crate::harness::{TestBank, client, client_of, on_both_engines, secret};

async fn refresh(bank: &TestBank, client: &Client, token: &SecretString) -> Result<TokenSet, Error> {
    bank.bank.refresh(&bank.anonymous(), client, token.clone()).await
}

on_both_engines! {
    async fn each_token_gets_the_next_set_of_the_same_session(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        let second = refresh(&bank, &client(), &first.refresh_token).await.unwrap();
        let third = refresh(&bank, &client(), &second.refresh_token).await.unwrap();
        assert_eq!((first.session, first.session), (second.session, third.session));
        for set in [&first, &second, &third] {
            bank.enter(&set.access_token).await.unwrap();
        }
    }

    async fn sixty_four_uses_at_once_give_one_child(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        let same = client_of(&first);
        let uses = (0..64).map(|_| refresh(&bank, &same, &first.refresh_token));
        let mut children: Vec<String> = join_all(uses)
            .await
            .into_iter()
            .map(|set| set.unwrap().refresh_token.expose_secret().to_owned())
            .collect();
        children.dedup();
        assert_eq!(children.len(), 1);
        refresh(&bank, &same, &secret(&children[0])).await.unwrap();
    }

    async fn sixty_four_uses_by_nobody_in_particular_end_the_session(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        let nobody = client();
        let uses = (0..64).map(|_| refresh(&bank, &nobody, &first.refresh_token));
        let given = join_all(uses).await.into_iter().filter_map(Result::ok).collect::<Vec<_>>();
        assert_eq!(given.len(), 1);
        assert_eq!(bank.enter(&given[0].access_token).await.unwrap_err().code, "token_invalid");
        assert!(refresh(&bank, &nobody, &given[0].refresh_token).await.is_err());
    }

    async fn a_lost_answer_is_given_again_for_half_a_minute(bank: TestBank) {
        let (person, first, _) = bank.logged_in("alice").await;
        let same = client_of(&first);
        let lost = refresh(&bank, &same, &first.refresh_token).await.unwrap();
        bank.clock.advance(RETRY_SECS - 1);
        let again = refresh(&bank, &same, &first.refresh_token).await.unwrap();
        assert_eq!(lost.refresh_token.expose_secret(), again.refresh_token.expose_secret());
        bank.clock.advance(2);
        assert_eq!(refresh(&bank, &same, &first.refresh_token).await.unwrap_err().code, "token_invalid");
        // The newest is dead with the rest, and the owner is told.
        assert!(refresh(&bank, &same, &again.refresh_token).await.is_err());
        assert_eq!(bank.enter(&again.access_token).await.unwrap_err().code, "token_invalid");
        let mails = bank.mails_to(&person.email).await;
        assert!(mails.last().unwrap().contains("used twice"), "{mails:?}");
    }

    async fn a_second_use_after_the_child_was_used_ends_the_family(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        let same = client_of(&first);
        let second = refresh(&bank, &same, &first.refresh_token).await.unwrap();
        let third = refresh(&bank, &same, &second.refresh_token).await.unwrap();
        assert!(refresh(&bank, &same, &first.refresh_token).await.is_err());
        assert!(refresh(&bank, &same, &third.refresh_token).await.is_err());
        assert_eq!(bank.enter(&third.access_token).await.unwrap_err().code, "token_invalid");
    }

    async fn a_second_use_from_another_device_ends_the_family(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        let (_, other, _) = bank.logged_in("mallory").await;
        let second = refresh(&bank, &client_of(&first), &first.refresh_token).await.unwrap();
        assert!(refresh(&bank, &client_of(&other), &first.refresh_token).await.is_err());
        assert_eq!(bank.enter(&second.access_token).await.unwrap_err().code, "token_invalid");
    }

    async fn other_sessions_of_the_person_live_on(bank: TestBank) {
        let (person, first, _) = bank.logged_in("alice").await;
        let elsewhere = bank.login(&person).await;
        refresh(&bank, &client(), &first.refresh_token).await.unwrap();
        assert!(refresh(&bank, &client(), &first.refresh_token).await.is_err());
        bank.enter(&elsewhere.access_token).await.unwrap();
    }

    async fn what_is_no_token_gets_none(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        let text = first.refresh_token.expose_secret();
        let changed = format!("{}{}", &text[..text.len() - 1], if text.ends_with('A') { 'B' } else { 'A' });
        for wrong in ["", "srr_", "x", first.access_token.expose_secret(), &changed] {
            assert_eq!(refresh(&bank, &client(), &secret(wrong)).await.unwrap_err().code, "token_invalid");
        }
        refresh(&bank, &client(), &first.refresh_token).await.unwrap();
    }

    async fn an_idle_session_is_not_refreshed(bank: TestBank) {
        let (_, first, _) = bank.logged_in("alice").await;
        bank.clock.advance(15 * 60 - 1);
        let second = refresh(&bank, &client(), &first.refresh_token).await.unwrap();
        bank.clock.advance(15 * 60 + 1);
        assert_eq!(refresh(&bank, &client(), &second.refresh_token).await.unwrap_err().code, "token_invalid");
    }
}
