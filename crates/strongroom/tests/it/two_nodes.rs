//! Whatever ends somebody's rights on one node is in force with the next request on the other.

use reqwest::Method;
use serde_json::json;

use crate::harness::{BUSY, Client, Engine, Person, Server, people::new_key};

const ME: &str = "/api/v1/me";

/// What ends the rights of a person, asked for at the first node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Logout,
    AnotherSession,
    EverySession,
    Password,
    Reset,
    ByOperator,
    Lock,
    Disable,
    Leave,
}

const ENDS: [End; 9] = [
    End::Logout,
    End::AnotherSession,
    End::EverySession,
    End::Password,
    End::Reset,
    End::ByOperator,
    End::Lock,
    End::Disable,
    End::Leave,
];

/// The same login at the other node, whose tokens are its own.
async fn at(node: &Server, person: &Person) -> Person {
    node.login(&person.email, &person.password).await
}

async fn delete(client: &Client, path: &str) -> u16 {
    client.send(client.request(Method::DELETE, path)).await.status
}

async fn step_up(node: &Server, person: &Person) -> Client {
    let body = json!({"method": "password", "code": person.password});
    let set = person.client.post("/api/v1/auth/step-up", body).await.expect(200);
    node.client().with_token(&set.text("access_token"))
}

/// Does it at the first node.
async fn end(nodes: [&Server; 2], admin: &Person, here: &Person, there: &Person, how: End) {
    let first = nodes[0];
    let id = here.client.get(ME).await.expect(200).text("id");
    let stop = |verb: &str| {
        let path = format!("/api/v1/admin/users/{id}/{verb}");
        async move {
            admin
                .client
                .post(&path, json!({"reason": "a story"}))
                .await
                .expect(200)
        }
    };
    let new = "osprey-58-lantern-quilt-harbour";
    match how {
        End::Logout | End::AnotherSession => {
            let path = format!(
                "/api/v1/me/sessions/{}",
                there.tokens["session_id"].as_str().unwrap()
            );
            if how == End::Logout {
                // The first node knows the refresh token of any session.
                let body = json!({"refresh_token": there.tokens["refresh_token"]});
                first.client().post("/api/v1/auth/logout", body).await.expect(204);
            } else {
                assert_eq!(delete(&here.client, &path).await, 204);
            }
        }
        End::EverySession => assert_eq!(delete(&here.client, "/api/v1/me/sessions").await, 204),
        End::Password => {
            let body = json!({"current_password": here.password, "new_password": new});
            here.client
                .post("/api/v1/auth/password/change", body)
                .await
                .expect(204);
        }
        End::Reset => {
            let body = json!({"email": here.email});
            first
                .client()
                .post("/api/v1/auth/password/forgot", body)
                .await
                .expect(202);
            let token = token_of(nodes, &here.email, "/reset-password#token=").await;
            let body = json!({"token": token, "new_password": new});
            first
                .client()
                .post("/api/v1/auth/password/reset", body)
                .await
                .expect(204);
        }
        End::ByOperator => {
            let path = format!("/api/v1/admin/users/{id}/sessions");
            assert_eq!(delete(&admin.client, &path).await, 204);
            // The login is not stopped.
            at(first, here).await;
        }
        End::Lock => drop(stop("lock").await),
        End::Disable => drop(stop("disable").await),
        End::Leave => {
            let fresh = step_up(first, here).await;
            assert_eq!(delete(&fresh, ME).await, 204);
        }
    }
}

/// The token of a mail, which lies at whichever node sent it.
async fn token_of([first, second]: [&Server; 2], email: &str, text: &str) -> String {
    let mail = tokio::select! {
        mail = first.mail_with(email, text) => mail,
        mail = second.mail_with(email, text) => mail,
    };
    let token = mail
        .split("Token: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    token.expect("a token").to_owned()
}

/// A customer who is logged in at the first node.
pub(crate) async fn customer(nodes: [&Server; 2]) -> Person {
    let (name, client) = (new_key(), nodes[0].client());
    let (email, password) = (
        format!("{name}@example.com"),
        format!("{name}-quilt-harbour-lantern-58"),
    );
    let body = json!({"email": email, "password": password, "full_name": "Alice Example"});
    client.post("/api/v1/auth/register", body).await.expect(202);
    let token = token_of(nodes, &email, "/verify-email#token=").await;
    let body = json!({"token": token, "password": password});
    client.post("/api/v1/auth/verify-email", body).await.expect(204);
    nodes[0].login(&email, &password).await
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whatever_ends_rights_at_one_node_is_in_force_with_the_next_request_at_the_other() {
        let Some(first) = Server::start_with(Engine::Postgres, BUSY).await else {
            return;
        };
        let mut second = first.start_beside().await;
        let admin = first.operator("admin").await;
        for how in ENDS {
            let here = customer([&first, &second]).await;
            let there = at(&second, &here).await;
            let witness = at(&second, &here).await;
            // Known and remembered there, until a moment before.
            there.client.get(ME).await.expect(200);
            end([&first, &second], &admin, &here, &there, how).await;
            let after = there.client.get(ME).await;
            assert_eq!((after.status, after.code()), (401, "token_invalid"), "{how:?}");
            let refresh = json!({"refresh_token": there.tokens["refresh_token"]});
            let after = second.client().post("/api/v1/auth/refresh", refresh).await;
            assert_eq!(after.status, 401, "{how:?} {after:?}");
            // Only those whom it is about.
            let only_one = matches!(how, End::Logout | End::AnotherSession);
            let status = if only_one { 200 } else { 401 };
            assert_eq!(witness.client.get(ME).await.status, status, "{how:?}");
        }
        let alice = customer([&first, &second]).await;
        // What was begun outlives a node that dies.
        let there = at(&second, &alice).await;
        second.kill();
        second.resume().await;
        there.client.get(ME).await.expect(200);
        alice.client.get(ME).await.expect(200);
    }
}
