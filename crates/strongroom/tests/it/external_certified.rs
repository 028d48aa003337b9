//! Logins by the certified `oidc-provider`, a process of its own that nobody here wrote.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::harness::{
    BUSY, Server,
    browser::{Browser, form_text},
    issuer::{CLIENT, SECRET},
    stories,
};

/// The folder that `cargo xtask test` installed it into.
const FOLDER: &str = "STRONGROOM_TEST_ISSUER";
const REFUSED: &str = "/login?refused=external_login_refused";

stories! {
    with BUSY;
    the_certified_issuer_lets_people_in_once_each,
}

/// Ended with its test.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the issuer for a server, and the server again with it.
pub(crate) async fn started(server: &mut Server) -> Option<(Running, String)> {
    let Ok(folder) = std::env::var(FOLDER) else {
        eprintln!("not run: {FOLDER} names no folder with the certified issuer");
        return None;
    };
    let back = format!(
        "{}/api/v1/auth/oidc/certified/callback",
        server.url().trim_end_matches('/')
    );
    let mut child = Command::new("node")
        .args(["issuer.mjs", &back])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    // It goes on talking, and ends when nobody listens.
    std::thread::spawn(move || lines.for_each(drop));
    let url = line
        .trim()
        .strip_prefix("url ")
        .expect("the issuer starts")
        .to_owned();
    let settings =
        format!("[certified]\nissuer = \"{url}\"\nclient_id = \"{CLIENT}\"\nclient_secret = \"{SECRET}\"\n");
    server.set("STRONGROOM_OIDC__PROVIDERS", &settings);
    server.kill();
    server.resume().await;
    Some((Running(child), url))
}

/// Logs in and agrees at the issuer, as a person would; the path that the browser is sent back to.
async fn agree(server: &Server, issuer: &str, sent: &str, name: &str) -> String {
    let there = Browser::elsewhere(issuer);
    let mut path = sent.strip_prefix(issuer).unwrap().to_owned();
    for _ in 0..12 {
        let page = there.get(&path).await;
        let page = if page.status == 200 {
            let action = page.value_of("action=\"");
            let prompt = page.value_of("name=\"prompt\" value=\"");
            let form = form_text(&[("prompt", prompt.as_str()), ("login", name), ("password", "x")]);
            let path = action.strip_prefix(issuer).unwrap_or(&action).to_owned();
            let request = there
                .request(reqwest::Method::POST, &path)
                .header("content-type", "application/x-www-form-urlencoded");
            there.send(request.body(form)).await
        } else {
            page
        };
        let next = page.header("location").to_owned();
        if let Some(back) = next.strip_prefix(server.url().trim_end_matches('/')) {
            return back.to_owned();
        }
        path = next.strip_prefix(issuer).unwrap_or(&next).to_owned();
    }
    panic!("the issuer sends nobody back");
}

async fn the_certified_issuer_lets_people_in_once_each(mut server: Server) {
    let Some((_running, issuer)) = started(&mut server).await else {
        return;
    };
    let go = |name: &'static str| {
        let (server, issuer) = (&server, issuer.as_str());
        async move {
            let browser = Browser::new(server);
            let sent = browser.get("/api/v1/auth/oidc/certified/start").await.expect(303);
            let back = agree(server, issuer, sent.header("location"), name).await;
            (browser, back)
        }
    };
    for name in ["alice", "bob", "alice"] {
        let (browser, back) = go(name).await;
        browser.get(&back).await.leads_to("/");
        browser.get("/api/v1/auth/session").await.expect(200);
        // Once.
        browser.get(&back).await.leads_to(REFUSED);
    }
    for (from, to) in [
        ("code=", "code=x"),
        ("state=", "state=x"),
        ("iss=", "iss=https%3A%2F%2Fx"),
        ("iss=", "no="),
    ] {
        let (browser, back) = go("alice").await;
        assert!(back.contains(from), "{back}");
        browser.get(&back.replacen(from, to, 1)).await.leads_to(REFUSED);
        assert_eq!(browser.cookie("__Host-sid"), None, "{from}");
    }
    let (_, back) = go("alice").await;
    Browser::new(&server).get(&back).await.leads_to(REFUSED);
    let support = server.operator("support").await;
    let listed = support
        .client
        .get("/api/v1/admin/users?limit=100")
        .await
        .expect(200);
    let all = listed.body["data"].as_array().unwrap();
    let alices = all
        .iter()
        .filter(|user| user["email"] == "alice@example.com")
        .count();
    assert_eq!(alices, 1, "{all:?}");
}
