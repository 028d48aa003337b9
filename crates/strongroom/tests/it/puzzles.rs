//! While logins fail everywhere, strangers do a little work first, and nobody else does.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{Answer, BUSY, Person, Server, browser::Browser, stories};

const LOGIN: &str = "/api/v1/auth/login";
/// Failures after which strangers are asked.
const AFTER: usize = 20;
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_AUTH__PUZZLE_AFTER", "20"),
];

stories! {
    with SETTINGS;
    strangers_solve_a_puzzle_while_logins_fail_everywhere_and_known_devices_do_not,
    a_solved_puzzle_counts_once_however_many_show_it_at_once,
    a_page_asks_for_the_same_work,
}

async fn log_in(server: &Server, person: &Person, mark: Option<&str>, puzzle: Option<Value>) -> Answer {
    let mut body = json!({"email": person.email, "password": person.password});
    if let Some(puzzle) = puzzle {
        body["puzzle"] = puzzle;
    }
    let client = server.client();
    let mut request = client.request(Method::POST, LOGIN).json(&body);
    if let Some(mark) = mark {
        request = request.header("X-Device-Token", mark);
    }
    client.send(request).await
}

/// One wrong password at many logins, a few at once: below the count of each, and of the queue.
async fn spray(server: &Server, many: usize) -> Vec<Answer> {
    let client = server.client();
    let mut answers = Vec::new();
    for part in (0..many).collect::<Vec<_>>().chunks(10) {
        let tries = part.iter().map(|number| {
            let body = json!({"email": format!("somebody-{number}@example.com"), "password": "Summer2026!!"});
            client.post(LOGIN, body)
        });
        answers.extend(join_all(tries).await);
    }
    answers
}

/// Work as a client does it, after the page for integrators.
fn solve(challenge: &str) -> Value {
    let bits = u32::from(URL_SAFE_NO_PAD.decode(challenge).unwrap()[1]);
    let zero_bits = |digest: &[u8]| u128::from_be_bytes(digest[..16].try_into().unwrap()).leading_zeros();
    let answer = (0_u64..)
        .map(|number| number.to_string())
        .find(|answer| {
            let text = format!("{challenge}:{answer}");
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
            zero_bits(digest.as_ref()) >= bits
        })
        .unwrap();
    json!({"challenge": challenge, "answer": answer})
}

fn challenge(answer: Answer) -> String {
    answer.refused(428, "puzzle_required").text("challenge")
}

async fn strangers_solve_a_puzzle_while_logins_fail_everywhere_and_known_devices_do_not(server: Server) {
    let alice = server.customer("alice").await;
    let bob = server.customer("bob").await;
    let first = log_in(&server, &alice, None, None).await.expect(200);
    let mark = first.header("x-device-token").unwrap().to_owned();
    let answers = spray(&server, AFTER).await;
    assert!(answers.iter().all(|answer| answer.status == 401), "{answers:?}");
    // Nobody and somebody, right and wrong: asked alike.
    let nobody = Person {
        email: "nobody@example.com".to_owned(),
        ..alice.clone()
    };
    let wrong = Person {
        password: "not the password".to_owned(),
        ..alice.clone()
    };
    let asked = challenge(log_in(&server, &alice, None, None).await);
    for other in [&nobody, &wrong, &bob] {
        assert_eq!(
            challenge(log_in(&server, other, None, None).await).len(),
            asked.len()
        );
    }
    challenge(log_in(&server, &alice, Some("srd_invented"), None).await);
    // A mark of one's own makes nobody known at somebody else's login.
    challenge(log_in(&server, &bob, Some(&mark), None).await);
    for odd in [
        json!({"challenge": asked, "answer": "no"}),
        json!({"challenge": "AQAA", "answer": "0"}),
        json!({"challenge": "", "answer": ""}),
    ] {
        challenge(log_in(&server, &alice, None, Some(odd)).await);
    }
    let solved = solve(&asked);
    // Of another address it is none, and that does not spend it.
    challenge(log_in(&server, &bob, None, Some(solved.clone())).await);
    log_in(&server, &alice, None, Some(solved.clone()))
        .await
        .expect(200);
    challenge(log_in(&server, &alice, None, Some(solved)).await);
    // It buys one look at the password, and no right one.
    let asked = challenge(log_in(&server, &nobody, None, None).await);
    log_in(&server, &nobody, None, Some(solve(&asked)))
        .await
        .refused(401, "invalid_credentials");
    // The device that is known goes on while strangers storm the door.
    let (storm, inside) = tokio::join!(spray(&server, 100), async {
        for _ in 0..5 {
            log_in(&server, &alice, Some(&mark), None).await.expect(200);
        }
        alice.client.get("/api/v1/me").await
    },);
    assert!(storm.iter().all(|answer| answer.status == 428), "{storm:?}");
    inside.expect(200);
}

async fn a_solved_puzzle_counts_once_however_many_show_it_at_once(server: Server) {
    let alice = server.customer("alice").await;
    spray(&server, AFTER).await;
    let solved = solve(&challenge(log_in(&server, &alice, None, None).await));
    const AT_ONCE: usize = 16;
    let start = Arc::new(Barrier::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (start, solved, client) = (start.clone(), solved.clone(), server.client());
        let body = json!({"email": alice.email, "password": alice.password, "puzzle": solved});
        tasks.spawn(async move {
            // Connections first: shaking hands takes longer than what is raced for.
            client.get("/livez").await;
            start.wait().await;
            client.post(LOGIN, body).await.status
        });
    }
    let statuses = tasks.join_all().await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(428)), (1, AT_ONCE - 1), "{statuses:?}");
}

async fn a_page_asks_for_the_same_work(server: Server) {
    let alice = server.customer("alice").await;
    spray(&server, AFTER).await;
    let browser = Browser::new(&server);
    let fields = [
        ("email", alice.email.as_str()),
        ("password", alice.password.as_str()),
    ];
    let page = browser.fill("/login", "/login", &fields).await.expect(428);
    assert!(page.text.contains("does a little work"), "{}", page.text);
    assert!(!page.text.contains(&alice.password));
    let puzzle = page.value_of("data-puzzle=\"");
    let solved = solve(&puzzle);
    let fields = [
        fields[0],
        fields[1],
        ("puzzle", puzzle.as_str()),
        ("answer", solved["answer"].as_str().unwrap()),
    ];
    browser
        .send_form("/login", &page.token(), &fields)
        .await
        .leads_to("/");
}
