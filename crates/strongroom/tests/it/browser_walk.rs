//! A real browser walks through the pages as a person would: by the keyboard, with a passkey, and without a script.

use std::process::Command;

use crate::harness::{BUSY, Server, stories};

/// The folder that `cargo xtask test` installed the browser's driver into.
const FOLDER: &str = "STRONGROOM_TEST_BROWSER";
/// The browser itself.
const CHROMIUM: &str = "STRONGROOM_TEST_CHROMIUM";
/// Where pictures of the pages are laid, where somebody wants to see them.
const PICTURES: &str = "STRONGROOM_TEST_PICTURES";

stories! {
    with BUSY;
    a_person_walks_through_the_pages_in_a_browser,
}

async fn a_person_walks_through_the_pages_in_a_browser(mut server: Server) {
    let (Ok(folder), Ok(chromium)) = (std::env::var(FOLDER), std::env::var(CHROMIUM)) else {
        eprintln!("not run: {FOLDER} and {CHROMIUM} name no browser");
        return;
    };
    // Where the certified issuer is there, it is added on a page, too.
    let issuer = crate::external_certified::started(&mut server).await;
    let email = "olga@bank.example";
    let arguments = [
        "operator", "add", "--email", email, "--name", "Olga", "--role", "admin", "--json",
    ];
    let (ok, printed, err) = server.cli(&arguments);
    assert!(ok, "{printed}{err}");
    let mut walk = Command::new("node");
    walk.args(["walk.mjs", server.url().trim_end_matches('/')])
        .arg(server.outbox())
        .args([&chromium, printed.trim()])
        .args(issuer.iter().map(|(_, url)| format!("--issuer={url}")))
        .args(std::env::var(PICTURES).ok())
        .current_dir(folder);
    let walked = tokio::task::spawn_blocking(move || walk.output().unwrap())
        .await
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&walked.stdout), said(&walked.stderr));
    assert!(walked.status.success(), "{out}{err}");
    assert!(out.ends_with("walked\n"), "{out}{err}");
}
