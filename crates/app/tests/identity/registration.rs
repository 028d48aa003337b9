//! An address is proved before it is anybody's.

use futures::future::join_all;
use strongroom_app::identity::registration::REGISTRATION_SECS;

use crate::harness::{OTHER_PASSWORD, PASSWORD, TestBank, on_both_engines, secret};

on_both_engines! {
    async fn a_customer_registers_proves_the_address_and_logs_in(bank: TestBank) {
        bank.register("Alice@Example.com", PASSWORD).await.unwrap();
        let token = bank.mailed_token("Alice@Example.com").await.unwrap();
        let refused = bank.try_login(&crate::harness::client(), "alice@example.com", PASSWORD).await.unwrap_err();
        assert_eq!(refused.code, "invalid_credentials");
        let user = bank.bank.verify_email(&bank.anonymous(), token, secret(PASSWORD)).await.unwrap();
        let set = crate::harness::tokens(
            bank.try_login(&crate::harness::client(), " ALICE@example.COM", PASSWORD).await.unwrap(),
        );
        let cx = bank.enter(&set.access_token).await.unwrap();
        let me = bank.bank.me(&cx).await.unwrap();
        assert_eq!(me.profile.id, user);
        assert_eq!(me.profile.email.as_deref(), Some("Alice@Example.com"));
        assert_eq!(me.profile.full_name, "Alice Example");
        assert!(!me.totp);
    }

    async fn a_taken_address_hears_the_same_and_its_owner_is_told(bank: TestBank) {
        let person = bank.customer("alice").await;
        let before = bank.bank.password_hashes();
        bank.register("new@example.com", OTHER_PASSWORD).await.unwrap();
        let for_new = bank.bank.password_hashes() - before;
        bank.register(&person.email.to_uppercase(), OTHER_PASSWORD).await.unwrap();
        assert_eq!(bank.bank.password_hashes() - before - for_new, for_new);
        let mails = bank.mails_to(&person.email).await;
        assert_eq!(mails.len(), 2);
        assert!(mails[1].contains("has one already"), "{}", mails[1]);
        assert!(!mails[1].contains("Token:"));
        // The owner's password is as it was, and the other one opens nothing.
        bank.login(&person).await;
        let wrong = bank.try_login(&crate::harness::client(), &person.email, OTHER_PASSWORD).await;
        assert_eq!(wrong.unwrap_err().code, "invalid_credentials");
    }

    async fn twenty_parallel_registrations_of_one_address_make_one_user(bank: TestBank) {
        let spellings = ["A@x.example", "a@x.example", " a@X.example", "\u{FF21}@x.example"];
        let attempts = (0..20).map(|number| {
            let (bank, email) = (&bank, spellings[number % spellings.len()]);
            async move { bank.register(email, PASSWORD).await }
        });
        join_all(attempts)
            .await
            .into_iter()
            .for_each(|taken| taken.unwrap());
        bank.bank.send_mails().await.unwrap();
        let tokens: Vec<_> = bank.mails.mails.lock().unwrap().iter().map(|mail| {
            secret(mail.text.lines().find_map(|line| line.strip_prefix("Token: ")).unwrap())
        }).collect();
        // Three of a kind in an hour, whatever the spelling; all of them prove the address at once.
        assert_eq!(tokens.len(), 3);
        let proofs = tokens.into_iter().map(|token| {
            let bank = &bank;
            async move { bank.bank.verify_email(&bank.anonymous(), token, secret(PASSWORD)).await }
        });
        let proved: Vec<_> = join_all(proofs).await.into_iter().filter_map(Result::ok).collect();
        assert_eq!(proved.len(), 1, "{proved:?}");
        let set = crate::harness::tokens(
            bank.try_login(&crate::harness::client(), "a@x.example", PASSWORD).await.unwrap(),
        );
        let cx = bank.enter(&set.access_token).await.unwrap();
        assert_eq!(cx.person().unwrap(), proved[0]);
    }

    async fn of_many_proofs_at_once_one_makes_the_user(bank: TestBank) {
        let tokens = [OTHER_PASSWORD, PASSWORD];
        let mut proofs = Vec::new();
        for password in tokens {
            bank.register("a@x.example", password).await.unwrap();
            let token = bank.mailed_token("a@x.example").await.unwrap();
            proofs.extend((0..5).map(|_| (token.clone(), password)));
        }
        let proved = join_all(proofs.into_iter().map(|(token, password)| {
            let bank = &bank;
            async move { bank.bank.verify_email(&bank.anonymous(), token, secret(password)).await }
        }))
        .await;
        assert_eq!(proved.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{proved:?}");
        let opened = join_all(tokens.map(|password| {
            let bank = &bank;
            async move { bank.try_login(&crate::harness::client(), "a@x.example", password).await.is_ok() }
        }))
        .await;
        assert_eq!(opened.iter().filter(|open| **open).count(), 1);
    }

    async fn the_password_of_another_attempt_does_not_prove_the_address(bank: TestBank) {
        // A stranger registers the address first, its owner later: each has an own token.
        bank.register("a@x.example", OTHER_PASSWORD).await.unwrap();
        let strangers = bank.mailed_token("a@x.example").await.unwrap();
        bank.register("a@x.example", PASSWORD).await.unwrap();
        let owners = bank.mailed_token("a@x.example").await.unwrap();
        let wrong = bank.bank.verify_email(&bank.anonymous(), strangers.clone(), secret(PASSWORD)).await;
        assert_eq!(wrong.unwrap_err().code, "invalid_credentials");
        bank.bank.verify_email(&bank.anonymous(), owners, secret(PASSWORD)).await.unwrap();
        // The stranger's attempt is gone, also with the right password.
        let gone = bank.bank.verify_email(&bank.anonymous(), strangers, secret(OTHER_PASSWORD)).await;
        assert_eq!(gone.unwrap_err().code, "invalid_credentials");
    }

    async fn a_token_is_good_once_and_for_a_day(bank: TestBank) {
        bank.register("a@x.example", PASSWORD).await.unwrap();
        let token = bank.mailed_token("a@x.example").await.unwrap();
        bank.register("b@x.example", PASSWORD).await.unwrap();
        let late = bank.mailed_token("b@x.example").await.unwrap();
        bank.bank.verify_email(&bank.anonymous(), token.clone(), secret(PASSWORD)).await.unwrap();
        let again = bank.bank.verify_email(&bank.anonymous(), token, secret(PASSWORD)).await;
        assert_eq!(again.unwrap_err().code, "invalid_credentials");
        bank.clock.advance(REGISTRATION_SECS + 1);
        let late = bank.bank.verify_email(&bank.anonymous(), late, secret(PASSWORD)).await;
        assert_eq!(late.unwrap_err().code, "invalid_credentials");
    }

    async fn five_wrong_passwords_end_an_attempt(bank: TestBank) {
        bank.register("a@x.example", PASSWORD).await.unwrap();
        let token = bank.mailed_token("a@x.example").await.unwrap();
        for _ in 0..5 {
            let wrong = bank.bank.verify_email(&bank.anonymous(), token.clone(), secret(OTHER_PASSWORD)).await;
            assert_eq!(wrong.unwrap_err().code, "invalid_credentials");
        }
        let right = bank.bank.verify_email(&bank.anonymous(), token, secret(PASSWORD)).await;
        assert_eq!(right.unwrap_err().code, "invalid_credentials");
    }

    async fn an_unknown_token_costs_as_much_as_a_known_one(bank: TestBank) {
        bank.register("a@x.example", PASSWORD).await.unwrap();
        let token = bank.mailed_token("a@x.example").await.unwrap();
        let before = bank.bank.password_hashes();
        let wrong = bank.bank.verify_email(&bank.anonymous(), token, secret(OTHER_PASSWORD)).await.unwrap_err();
        let known = bank.bank.password_hashes() - before;
        let unknown = bank.bank.verify_email(&bank.anonymous(), secret("nothing"), secret(PASSWORD)).await.unwrap_err();
        assert_eq!(bank.bank.password_hashes() - before - known, known);
        assert_eq!(format!("{wrong:?}"), format!("{unknown:?}"));
    }

    async fn every_wrong_field_is_named_at_once(bank: TestBank) {
        let input = strongroom_app::identity::registration::Register {
            email: "nobody".to_owned(),
            password: secret("short"),
            full_name: " ".to_owned(),
        };
        let refused = bank.bank.register(&bank.anonymous(), input).await.unwrap_err();
        let pointers: Vec<_> = refused.fields.iter().map(|field| field.pointer.as_str()).collect();
        assert!(["/email", "/full_name", "/password"].iter().all(|wanted| pointers.contains(wanted)), "{pointers:?}");
        // The person's own words are no password.
        let own = strongroom_app::identity::registration::Register {
            email: "alice.example@example.com".to_owned(),
            password: secret("AliceExample1!"),
            full_name: "Alice Example".to_owned(),
        };
        let refused = bank.bank.register(&bank.anonymous(), own).await.unwrap_err();
        assert_eq!(refused.fields[0].pointer, "/password");
    }

    async fn a_mail_is_wiped_once_sent_and_discarded_in_the_end(bank: TestBank) {
        bank.register("a@x.example", PASSWORD).await.unwrap();
        assert!(bank.mailed_token("a@x.example").await.is_some());
        assert_eq!(bank.bank.send_mails().await.unwrap(), 0);
        bank.clock.advance(REGISTRATION_SECS + 1);
        bank.bank.sweep_identity().await.unwrap();
        assert_eq!(bank.mails.discarded.lock().unwrap().len(), 1);
    }
}
