//! `strongroom policy simulate`, `explain` and `diff`: the host tries policies as the API does.

use serde_json::{Value, json};

use crate::{
    harness::{Server, stories, until},
    policies::{NO_FREEZE, asks, counter, freeze},
};

stories!(the_host_tries_policies_before_they_are_in_force_and_keeps_nothing,);

async fn the_host_tries_policies_before_they_are_in_force_and_keeps_nothing(server: Server) {
    let auditor = server.operator("auditor").await;
    let (teller, _, account) = counter(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (text, question, wrong) = (path("policy.cedar"), path("question.json"), path("wrong.cedar"));
    std::fs::write(&text, NO_FREEZE).unwrap();
    std::fs::write(&question, asks(&["teller"], "account.freeze").to_string()).unwrap();
    std::fs::write(&wrong, "permit (nobody").unwrap();
    let run = |words: &[&str]| {
        let (ok, out, err) = server.cli(&[words, &["--json"]].concat());
        let said = serde_json::from_str::<Value>(&out).unwrap_or(Value::Null);
        (ok, said, err)
    };
    // What is in force lets tellers freeze; a text that forbids it would not.
    let simulate = ["policy", "simulate", "--question", question.as_str()];
    let (ok, said, err) = run(&simulate);
    assert!(ok && said["decision"] == "allow", "{said}{err}");
    assert_eq!(said["facts"]["assurance"], 2, "{said}");
    let with_text = [&simulate[..], &["--file", text.as_str()]].concat();
    let (ok, said, err) = run(&with_text);
    assert!(ok && said["decision"] == "deny", "{said}{err}");
    let (ok, out, _) = server.cli(&with_text);
    assert!(
        ok && out.starts_with("deny, under set") && out.contains("because of"),
        "{out}"
    );
    let (ok, said, err) = run(&[
        "policy",
        "simulate",
        "--question",
        question.as_str(),
        "--file",
        wrong.as_str(),
    ]);
    assert!(!ok && err.contains("is not a policy"), "{said}{err}");

    // A decision that was recorded is taken again, with its reasons.
    freeze(&teller, &account).await.expect(200);
    let listed = || async {
        let path = "/api/v1/admin/decisions?action=account.freeze";
        let page = auditor.client.get(path).await.expect(200);
        page.body["data"][0]["id"].as_str().map(str::to_owned)
    };
    until("the decision to be recorded", async || listed().await.is_some()).await;
    let decision = listed().await.unwrap();
    let (ok, said, err) = run(&["policy", "explain", decision.as_str()]);
    assert!(
        ok && said["decision"] == "allow" && said["same"] == true,
        "{said}{err}"
    );
    assert!(!said["reasons"].as_array().unwrap().is_empty(), "{said}");
    let over_https = format!("/api/v1/admin/decisions/{decision}/evaluate");
    let told = auditor.client.post(&over_https, json!({})).await.expect(200);
    assert_eq!(
        (&told.body["reasons"], &told.body["facts"]),
        (&said["reasons"], &said["facts"])
    );
    let (ok, _, err) = run(&["policy", "explain", "dec_01kaggvh4tfs8rm9wpsh5d0a3e"]);
    assert!(!ok && err.contains("not_found"), "{err}");

    // The same decision is what the text would change.
    let diff = ["policy", "diff", "--name", "no-freeze", "--file", text.as_str()];
    let (ok, said, err) = run(&diff);
    assert!(ok && said["examined"].as_u64().unwrap() > 0, "{said}{err}");
    let changed = said["changed"].as_array().unwrap();
    let wanted = json!({"decision_id": decision, "before": "allow", "after": "deny"});
    assert!(changed.contains(&wanted), "{said}");
    let (ok, out, _) = server.cli(&diff);
    assert!(ok && out.contains("allow -> deny"), "{out}");

    // Nothing of it is kept.
    let (ok, said, err) = run(&["policy", "list"]);
    assert!(ok && said["data"] == json!([]), "{said}{err}");
    freeze(&teller, &account).await.expect(200);
}
