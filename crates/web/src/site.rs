//! Puts routes, health, documents and front together.

use axum::{Router, routing::get};
use http::{HeaderValue, header};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    docs,
    health::{self, Readiness},
    layers::{Front, FrontSettings},
    openapi,
    security_txt::{self, SecurityTxt},
};

/// What the caller decides about a site.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// The bounds of the front.
    pub front: FrontSettings,
    /// What clients call this server.
    pub public_url: String,
    /// Whom to tell about a weakness.
    pub security_txt: SecurityTxt,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
}

/// A site, ready to be served.
pub struct Site {
    /// Serves requests.
    pub front: Front,
    /// Describes them.
    pub openapi: utoipa::openapi::OpenApi,
}

/// The public site: `routes` with their full paths, health, and the documents where they are switched on.
pub fn site(routes: OpenApiRouter, readiness: Readiness, settings: SiteSettings) -> Site {
    let (router, document) = all_routes(routes, readiness, settings.security_txt).split_for_parts();
    let document = openapi::finish(document, &settings.public_url);
    let router = if settings.docs {
        router.merge(docs::routes(&document))
    } else {
        router
    };
    Site {
        front: Front::new(router, settings.front),
        openapi: document,
    }
}

/// The site of the metrics listener: `/metrics` and nothing else. `render` writes the figures in
/// Prometheus' text format.
pub fn metrics_site(
    render: impl Fn() -> String + Clone + Send + Sync + 'static,
    settings: FrontSettings,
) -> Front {
    let metrics = move || {
        let text = render();
        async move {
            let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, media)], text)
        }
    };
    Front::new(Router::new().route("/metrics", get(metrics)), settings)
}

/// The OpenAPI document of [`site`] alone.
pub fn document(routes: OpenApiRouter, readiness: Readiness, public_url: &str) -> utoipa::openapi::OpenApi {
    openapi::finish(
        all_routes(routes, readiness, SecurityTxt::default()).into_openapi(),
        public_url,
    )
}

fn all_routes(routes: OpenApiRouter, readiness: Readiness, security_txt: SecurityTxt) -> OpenApiRouter {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(health::routes(readiness))
        .merge(security_txt::routes(security_txt))
        .merge(routes)
}
