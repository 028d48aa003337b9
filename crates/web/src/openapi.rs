//! The OpenAPI document: what is common to all operations. The operations themselves are generated from the
//! handlers.

use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder, ServerBuilder,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// Where the document says the server is when nothing else is configured.
pub const SERVER_DEFAULT: &str = "https://localhost:8443";
/// The name of the security scheme of access tokens; operations that need none say `security(())`.
pub const BEARER: &str = "bearer";
/// The name of the security scheme of keys of integrations.
pub const API_KEY: &str = "api_key";

/// The names of the two headers of a bound token (RFC 9449): it, and the proof of its key.
pub const DPOP: [&str; 2] = ["dpop_token", "dpop_proof"];

const PROBLEM_RESPONSE: &str = "Problem";

/// What every document has.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Strongroom",
        description = "A secure banking and payments backend.\n\nJSON in and out. Money is an integer of minor units \
                       and a currency: `{\"amount\": 1250, \"currency\": \"EUR\"}`. Times are RFC 3339 in UTC. Lists \
                       take `limit` and `cursor` and answer `data` and `next_cursor`. Verbs that move money need an \
                       `Idempotency-Key`. Every refusal is a problem document (RFC 9457) with a stable `code`. Every \
                       answer carries `X-Request-Id`. Programs show their key in `X-API-Key` to read, and sign \
                       what moves money (HTTP Message Signatures, RFC 9421). Tokens can be bound to a key at login \
                       (DPoP, RFC 9449). Operators \
                       say why they read about a customer in `X-Access-Reason`; support has to.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(strongroom_api::Problem, strongroom_api::FieldError)),
    security(("bearer" = []), ("api_key" = []), ("dpop_token" = [], "dpop_proof" = [])),
    tags((name = "health", description = "Whether the server lives and is ready.")),
)]
struct Base;

/// The document without operations; routers are merged into it.
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// Completes a document: the server, the security scheme, and the refusals that every operation can answer.
pub fn finish(mut document: utoipa::openapi::OpenApi, public_url: &str) -> utoipa::openapi::OpenApi {
    document.servers = Some(vec![ServerBuilder::new().url(public_url).build()]);
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert(
        BEARER.to_owned(),
        RefOr::T(SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .description(Some("The access token of a login, valid for 15 minutes."))
                .build(),
        )),
    );
    let key = ApiKeyValue::with_description(
        "X-API-Key",
        "The key of an integration. Requests that move money are signed and name it by its id instead.",
    );
    let key = SecurityScheme::ApiKey(ApiKey::Header(key));
    components
        .security_schemes
        .insert(API_KEY.to_owned(), RefOr::T(key));
    // Its authentication scheme is not among those that the builder knows by name.
    let headers = [
        (
            "Authorization",
            "`DPoP` and an access token that is bound to a key (RFC 9449): the tokens of a login that showed a proof.",
        ),
        (
            "DPoP",
            "The proof of the key, ES256 or EdDSA, made for this method, address and token, with the nonce of the last \
             `DPoP-Nonce`. Also shown at every step of a login and at `/auth/refresh`, without a token.",
        ),
    ];
    for (name, (header, description)) in DPOP.into_iter().zip(headers) {
        let header = ApiKey::Header(ApiKeyValue::with_description(header, description));
        let header = SecurityScheme::ApiKey(header);
        components
            .security_schemes
            .insert(name.to_owned(), RefOr::T(header));
    }
    let problem = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    components.responses.insert(
        PROBLEM_RESPONSE.to_owned(),
        RefOr::T(
            ResponseBuilder::new()
                .description("A refusal. Match on `code`; the error reference lists all of them.")
                .content(strongroom_api::PROBLEM_JSON, problem)
                .build(),
        ),
    );
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            operation
                .responses
                .responses
                .entry("default".to_owned())
                .or_insert_with(|| RefOr::Ref(Ref::from_response_name(PROBLEM_RESPONSE)));
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}
