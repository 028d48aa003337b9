//! A key that is bound to a certificate is nothing to whoever has the key alone.

use std::fs;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use reqwest::{ClientBuilder, Identity, Method, RequestBuilder};
use serde_json::{Value, json};
use strongroom_crypto::http_signature::SigningKey;

use crate::harness::{
    Answer, Client, Person, Server,
    signed::{Signed, shared},
    stories,
};

const KEYS: &str = "/api/v1/api-keys";
const ACCOUNTS: &str = "/api/v1/accounts";

stories! {
    a_bound_key_is_nothing_without_its_certificate_in_the_handshake,
}

/// A program's certificate with its key, and its thumbprint as the standard writes it.
struct Program {
    identity: Identity,
    thumbprint: String,
}

/// The authority of the programs.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn program(authority: &CertifiedIssuer<'static, KeyPair>) -> Program {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["program.bank.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let made = params.signed_by(&key, authority).unwrap();
    let pem = format!("{}{}", made.pem(), key.serialize_pem());
    Program {
        identity: Identity::from_pem(pem.as_bytes()).unwrap(),
        thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, made.der())),
    }
}

/// What a program with this certificate, or none, asks.
fn asked(server: &Server, identity: Option<&Identity>, client: ClientBuilder) -> RequestBuilder {
    let trusted = reqwest::Certificate::from_pem(server.authority().as_bytes()).unwrap();
    let client = client.tls_certs_only([trusted]);
    let client = match identity {
        Some(identity) => client.identity(identity.clone()),
        None => client,
    };
    let url = format!("{}{ACCOUNTS}", server.url().trim_end_matches('/'));
    client.build().unwrap().get(url)
}

/// What it is answered.
async fn told(asked: RequestBuilder) -> (u16, String) {
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

/// What a program with this certificate, or none, is answered with this key.
async fn answered(server: &Server, identity: Option<&Identity>, key: &Answer) -> (u16, String) {
    let request = asked(server, identity, ClientBuilder::new());
    told(request.header("X-API-Key", key.text("key"))).await
}

/// The same for a request that is signed with the key's secret.
async fn answered_signed(server: &Server, identity: Option<&Identity>, key: &Answer) -> (u16, String) {
    let id = key.text("id");
    let secret = SigningKey::Shared(shared(&key.text("signing_secret")));
    let signed = Signed::new(Method::GET, ACCOUNTS, None, &id).by(server, &secret, &id);
    let request = asked(server, identity, ClientBuilder::new().http1_only());
    let request = signed
        .headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    told(request).await
}

/// A session of the person's that may change settings.
async fn proved(person: &Person) -> Client {
    let body = json!({"method": "password", "code": person.password});
    let set = person.client.post("/api/v1/auth/step-up", body).await.expect(200);
    person.client.with_token(&set.text("access_token"))
}

async fn made(client: &Client, thumbprint: Option<&str>) -> Answer {
    let body =
        json!({"name": "Bookkeeping", "scopes": ["accounts:read"], "certificate_thumbprint": thumbprint});
    let made = client.post(KEYS, body).await.expect(201);
    let listed = client.get(KEYS).await.expect(200);
    assert_eq!(
        listed.body["data"][0]["certificate_thumbprint"],
        json!(thumbprint)
    );
    made
}

async fn a_bound_key_is_nothing_without_its_certificate_in_the_handshake(mut server: Server) {
    let (authority, alice) = (authority(), server.customer("alice").await);
    let (right, other) = (program(&authority), program(&authority));
    let client = proved(&alice).await;
    let bound = made(&client, Some(&right.thumbprint)).await;
    let free = made(&client, None).await;
    let good = (200, String::new());
    let refused = (401, "token_invalid".to_owned());
    let refused_signed = (401, "signature_invalid".to_owned());
    // A listener that asks for no certificate: nobody can prove to have one, whatever a client brings along.
    assert_eq!(answered(&server, None, &free).await, good);
    assert_eq!(answered(&server, None, &bound).await, refused);
    assert_eq!(answered(&server, Some(&right.identity), &bound).await, refused);
    assert_eq!(answered_signed(&server, None, &free).await, good);
    // Five guesses are all that an address has; the last two are below.
    let brought = Some(&right.identity);
    assert_eq!(answered_signed(&server, brought, &bound).await, refused_signed);
    server.stop().await;
    let path = server.folder().join("programs.pem");
    fs::write(&path, authority.pem()).unwrap();
    server.set("STRONGROOM_TLS__CLIENT_CA_FILE", path.to_str().unwrap());
    server.begin().await;
    for (program, expected, signed) in [(&right, &good, &good), (&other, &refused, &refused_signed)] {
        assert_eq!(answered(&server, Some(&program.identity), &free).await, good);
        assert_eq!(
            answered(&server, Some(&program.identity), &bound).await,
            *expected
        );
        assert_eq!(
            answered_signed(&server, Some(&program.identity), &bound).await,
            *signed
        );
    }
}
