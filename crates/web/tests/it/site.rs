//! The whole site: documents, health, figures.

use std::time::Duration;

use serde_json::Value;
use strongroom_guard::TrustedProxies;
use strongroom_web::{
    SecurityTxt, SiteSettings,
    detection::Detection,
    health::{Check, Readiness},
    layers::{FrontSettings, Hsts, Origins},
    limits::Limits,
    metrics_site, site,
    suspicion::Watch,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::support::{Doors, Options, Running};

/// Makes nothing
///
/// Only here to be described.
#[utoipa::path(post, path = "/api/v1/nothing", tag = "nothing", responses((status = 204, description = "made")))]
async fn make_nothing() {}

fn nothing() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(make_nothing))
}

fn settings() -> FrontSettings {
    FrontSettings {
        request_time_max: Duration::from_secs(5),
        concurrency_max: 8,
        hsts: Hsts::Off,
        origins: Origins::default(),
        trusted_proxies: TrustedProxies::default(),
        limits: Limits::off(),
        watch: Watch::off(),
        detection: Detection::off(),
    }
}

async fn running(docs: bool) -> Running {
    let readiness = Readiness::new(vec![Check::new("database", || async { Ok(()) })]);
    let settings = SiteSettings {
        front: settings(),
        public_url: "https://bank.example".into(),
        security_txt: SecurityTxt::default(),
        docs: docs.then_some(|| nothing().into_openapi()),
    };
    Running::serving(
        site(nothing().into(), readiness, settings),
        Options::default(),
        Doors::default(),
    )
    .await
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_every_operation_can_be_refused() {
    let server = running(true).await;
    let answer = server.get("/openapi.json").await;
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    assert_eq!(document["servers"][0]["url"], "https://bank.example");
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 4);
    for operation in paths.values().flat_map(|item| item.as_object().unwrap().values()) {
        assert_eq!(
            operation["responses"]["default"]["$ref"],
            "#/components/responses/Problem"
        );
    }
    assert!(document["components"]["schemas"]["Problem"]["example"].is_object());
    assert_eq!(
        document["paths"]["/livez"]["get"]["security"],
        serde_json::json!([{}]),
        "health needs no token"
    );
}

#[tokio::test]
async fn the_page_needs_nothing_but_its_own_stylesheet() {
    let server = running(true).await;
    let page = server.get("/docs").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-security-policy").unwrap(),
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    assert!(page.says("Makes nothing") && page.says("Only here to be described."));
    assert!(!page.says("<script") && !page.says("<style") && !page.says("style=\""));
    let style = server.get("/docs/style.css").await;
    assert_eq!(
        (style.status, style.header("content-type")),
        (200, Some("text/css; charset=utf-8"))
    );
}

#[tokio::test]
async fn documents_that_are_switched_off_are_not_there() {
    let server = running(false).await;
    for path in ["/docs", "/openapi.json", "/docs/style.css"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn the_metrics_listener_serves_figures_and_nothing_else() {
    let front = metrics_site(|| "figure 1\n".to_owned(), settings());
    let server = Running::serving(front, Options::default(), Doors::default()).await;
    let answer = server.get("/metrics").await;
    assert_eq!((answer.status, answer.says("figure 1")), (200, true));
    for path in ["/", "/livez", "/openapi.json", "/api/v1/nothing"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}
