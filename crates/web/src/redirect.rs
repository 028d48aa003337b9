//! The listener of plain HTTP, which does nothing but send people to HTTPS.
//!
//! Where it sends them is configuration: neither the `Host` nor a forwarded header of a request can steer it (RFC 9110,
//! section 10.2.2; CWE-601). Only looking at a page is redirected. A program that speaks plain HTTP, and whatever shows
//! a credential, is refused: the secret is already lost, and a redirect would hide that for as long as it works.

use std::sync::Arc;

use axum::{Router, response::IntoResponse};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use strongroom_api::codes;

use crate::{
    Problem,
    layers::{Front, FrontSettings},
    limits::shows_credential,
};

/// What programs ask for.
const PROGRAMS: &str = "/api/";

/// A site that answers every look at a page with the same page below `public_url`, which has no slash at its end.
pub fn redirect_site(public_url: impl Into<Arc<str>>, settings: FrontSettings) -> Front {
    let base: Arc<str> = public_url.into();
    let answer = move |method: Method, uri: Uri, headers: HeaderMap| {
        let base = Arc::clone(&base);
        async move { redirect(&base, &method, &uri, &headers) }
    };
    // Both: the root is a route of its own for the router.
    let router = Router::new()
        .route("/", axum::routing::any(answer.clone()))
        .route("/{*path}", axum::routing::any(answer));
    Front::new(router, settings)
}

fn redirect(
    base: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<impl IntoResponse + use<>, Problem> {
    let path = uri.path();
    if !method.is_safe() || path.starts_with(PROGRAMS) || shows_credential(headers) {
        return Err(Problem::new(
            &codes::FORBIDDEN,
            "This is served over HTTPS only. Whatever secret was sent here must be replaced.",
        ));
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let place = HeaderValue::try_from(format!("{base}{target}"))
        .map_err(|_| Problem::internal("an address that was read is no header"))?;
    Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, place)]))
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use axum::body::Body;
    use http::Request;
    use strongroom_guard::TrustedProxies;

    use super::*;
    use crate::{
        detection::Detection,
        layers::{Hsts, Origins},
        limits::Limits,
        suspicion::Watch,
    };

    const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn site() -> Front {
        redirect_site(
            "https://bank.example:8443",
            FrontSettings {
                request_time_max: Duration::from_secs(5),
                concurrency_max: 8,
                hsts: Hsts::Off,
                origins: Origins::default(),
                trusted_proxies: TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]),
                limits: Limits::off(),
                watch: Watch::off(),
                detection: Detection::off(),
            },
        )
    }

    async fn ask(request: http::request::Builder) -> (StatusCode, Option<String>) {
        let response = site()
            .serve(request.body(Body::empty()).unwrap(), PROXY.into())
            .await;
        let place = response.headers().get(header::LOCATION);
        (
            response.status(),
            place.map(|place| place.to_str().unwrap().to_owned()),
        )
    }

    #[tokio::test]
    async fn nobody_can_say_where_the_redirect_leads() {
        for (target, place) in [
            ("/", "https://bank.example:8443/"),
            ("/login?next=1", "https://bank.example:8443/login?next=1"),
            ("//evil.example/", "https://bank.example:8443//evil.example/"),
            ("/@evil.example", "https://bank.example:8443/@evil.example"),
            ("/.evil.example", "https://bank.example:8443/.evil.example"),
            (
                "/%0d%0aset-cookie:x",
                "https://bank.example:8443/%0d%0aset-cookie:x",
            ),
            ("http://evil.example/x", "https://bank.example:8443/x"),
        ] {
            let host = if target.starts_with("http") {
                "evil.example"
            } else {
                "other.example"
            };
            let request = Request::get(target)
                .header("host", host)
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-proto", "https")
                .header("forwarded", "host=evil.example;proto=https");
            assert_eq!(
                ask(request).await,
                (StatusCode::PERMANENT_REDIRECT, Some(place.to_owned())),
                "{target}"
            );
        }
    }

    #[tokio::test]
    async fn programs_and_secrets_are_refused_and_not_sent_on() {
        let get = |path: &str| Request::get(path).header("host", "bank.example");
        assert_eq!(ask(get("/login")).await.0, StatusCode::PERMANENT_REDIRECT);
        for request in [
            get("/api/v1/accounts"),
            get("/login").header("cookie", "__Host-session=x"),
            get("/login").header("authorization", "Bearer x"),
            get("/login").header("x-api-key", "x"),
            Request::post("/login").header("host", "bank.example"),
        ] {
            assert_eq!(ask(request).await, (StatusCode::FORBIDDEN, None));
        }
    }
}
