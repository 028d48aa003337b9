//! Puts routes, health, documents and front together.

use axum::{Router, routing::get};
use http::{HeaderValue, header};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    docs,
    health::{self, Readiness},
    layers::{Front, FrontSettings},
    openapi,
    security_txt::{self, SecurityTxt},
};

/// Routes with their full paths, and whatever they need to be answered.
pub type Routes = Router;

/// What the contract says of the routes that the caller passes in; made when somebody asks for it.
pub type Describe = fn() -> OpenApi;

/// What the caller decides about a site.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// The bounds of the front.
    pub front: FrontSettings,
    /// What clients call this server.
    pub public_url: String,
    /// Whom to tell about a weakness.
    pub security_txt: SecurityTxt,
    /// What `/docs` and `/openapi.json` say, where they are served.
    pub docs: Option<Describe>,
}

/// The public site: `routes` with their full paths, health, and the documents where they are switched on.
pub fn site(routes: Routes, readiness: Readiness, settings: SiteSettings) -> Front {
    let mut router = Router::from(common(readiness, settings.security_txt)).merge(routes);
    if let Some(describe) = settings.docs {
        router = router.merge(docs::routes(move || document(describe, &settings.public_url)));
    }
    Front::new(router, settings.front)
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

/// The OpenAPI document of a [`site`].
pub fn document(describe: Describe, public_url: &str) -> OpenApi {
    let common = common(Readiness::new(Vec::new()), SecurityTxt::default());
    let all = common.merge(OpenApiRouter::with_openapi(describe()));
    openapi::finish(all.into_openapi(), public_url)
}

/// What every site has.
fn common(readiness: Readiness, security_txt: SecurityTxt) -> OpenApiRouter {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(health::routes(readiness))
        .merge(security_txt::routes(security_txt))
}
