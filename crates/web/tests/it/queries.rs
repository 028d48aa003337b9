//! Queries and paths that are wrong.

use crate::support::Running;

#[tokio::test]
async fn every_wrong_query_has_its_code_and_place() {
    let server = Running::start().await;
    let good = server.get("/page?limit=20&cursor=a%2Fb").await;
    assert_eq!((good.status, good.says("a/b")), (200, true));
    for (query, pointer, code) in [
        ("limit=x", "?limit", "wrong_type"),
        ("limit=1&limit=2", "?limit", "duplicate_field"),
        ("offset=1", "?offset", "unknown_field"),
        ("cursor=%ff", "?cursor", "invalid_utf8"),
        ("cursor=%", "?cursor", "invalid_utf8"),
    ] {
        let answer = server.get(&format!("/page?{query}")).await;
        let field = Some((pointer.to_owned(), code.to_owned()));
        assert_eq!(
            answer.refusal(),
            (400, "validation_failed".to_owned(), field),
            "{query}"
        );
    }
    assert!(!server.get("/page?limit=canary").await.says("canary"));
}

#[tokio::test]
async fn a_library_that_quotes_the_path_is_not_heard() {
    let server = Running::start().await;
    assert_eq!(server.get("/things/7").await.status, 200);
    let answer = server.get("/things/canary").await;
    assert_eq!(answer.refusal(), (400, "validation_failed".to_owned(), None));
    assert!(!answer.says("canary"));
}
