//! Answers that are signed and bound to the request that they answer (RFC 9421, section 2.4).
//!
//! Whoever gets such an answer can show to others what was asked and what this server said to it: the signature covers
//! method, target, digest and signature of the request beside status, digest and the fields of the answer that tell
//! what became of it. The key signs nothing else, and its public half is published.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use sfv::{BareItem, ListEntry};

use super::{
    LABEL, Request, answer_base, content_digest, covered_by, number, only_member, signature_field,
    signature_params, text,
};
use crate::keyring::{Keyring, Purpose};

/// The `tag` of our answers, as FAPI 2.0 HTTP Signatures has it.
pub const ANSWER_TAG: &str = "fapi-2-response";
/// What the names of the keys begin with, so that they are no names of keys that sign tokens.
const KEY_PREFIX: &str = "answer-";

/// Fields of the answer that are covered where they are there.
const COVERED: &[&str] = &[
    "content-type",
    "idempotent-replayed",
    "location",
    "www-authenticate",
    "x-request-id",
];
/// Fields of the request that are covered where they were sent: what was signed, and its signature.
const COVERED_OF_REQUEST: &[&str] = &[
    "content-digest",
    "idempotency-key",
    "signature",
    "signature-input",
    "x-nonce",
    "x-signature",
    "x-timestamp",
];

/// An answer about to be sent, with its request.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The status code.
    pub status: u16,
    /// Names in lower case with their values.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body; empty where there is none.
    pub body: &'a [u8],
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Signs an answer at `created` (Unix seconds) and gives the fields to send besides; `None` where a field holds
    /// what no line of a signature base can.
    #[must_use]
    pub fn sign_answer(&self, answer: &Answer<'_>, created: i64) -> Option<Vec<(&'static str, String)>> {
        let mut fields = Vec::with_capacity(3);
        let mut names = vec!["\"@status\"".to_owned()];
        let digest = content_digest(answer.body);
        let mut headers: Vec<(&str, &[u8])> = answer.headers.to_vec();
        if !answer.body.is_empty() {
            headers.retain(|(name, _)| *name != "content-digest");
            headers.push(("content-digest", digest.as_bytes()));
            names.push("\"content-digest\"".to_owned());
        }
        let sent = |name: &&&str| answer.headers.iter().any(|(other, _)| other == *name);
        names.extend(COVERED.iter().filter(sent).map(|name| format!("\"{name}\"")));
        names.extend(["@method", "@target-uri"].map(|name| format!("\"{name}\";req")));
        let asked = COVERED_OF_REQUEST.iter().filter(|name| answer.request.has(name));
        names.extend(asked.map(|name| format!("\"{name}\";req")));
        let key = self.active_key(Purpose::Answer);
        let params = format!(
            "({});created={created};alg=\"ed25519\";keyid=\"{KEY_PREFIX}{}\";tag=\"{ANSWER_TAG}\"",
            names.join(" "),
            key.kid
        );
        let complete = Answer {
            headers: &headers,
            ..*answer
        };
        let base = answer_base(&covered_by(&params), &complete)?;
        let signature = key.signing().pair.sign(base.as_bytes());
        fields.push(("signature-input", format!("{LABEL}={params}")));
        fields.push(("signature", signature_field(LABEL, signature.as_ref())));
        if !answer.body.is_empty() {
            fields.push(("content-digest", digest));
        }
        Some(fields)
    }
}

/// Whether the holder of this key signed this answer to this request: what a client does with what it got. The fields
/// of the answer hold its signature; the time is told for the caller to judge.
#[must_use]
pub fn verify_answer(answer: &Answer<'_>, public: &[u8]) -> Option<i64> {
    let field = |name: &str| {
        let found = answer.headers.iter().find(|(other, _)| *other == name)?;
        std::str::from_utf8(found.1).ok()
    };
    let (_, ListEntry::InnerList(covered)) = only_member(field("signature-input")?).ok()? else {
        return None;
    };
    let (_, ListEntry::Item(signature)) = only_member(field("signature")?).ok()? else {
        return None;
    };
    let BareItem::ByteSequence(signature) = signature.bare_item else {
        return None;
    };
    let params = signature_params(&covered);
    let covers = |name: &str| params.split([' ', '(', ')']).any(|other| other == name);
    let proof = ["signature", "x-signature"]
        .iter()
        .any(|name| covers(&format!("\"{name}\";req")));
    let needed = ["\"@status\"", "\"@method\";req", "\"@target-uri\";req"];
    let digest = answer.body.is_empty()
        || (covers("\"content-digest\"") && field("content-digest") == Some(&content_digest(answer.body)));
    let tag = text(&covered, "tag").ok()?.is_some_and(|tag| tag == ANSWER_TAG);
    if !proof || !digest || !tag || !needed.iter().all(|name| covers(name)) {
        return None;
    }
    let base = answer_base(&covered, answer)?;
    UnparsedPublicKey::new(&ED25519, public)
        .verify(base.as_bytes(), &signature)
        .ok()?;
    number(&covered, "created").ok()?
}

/// The public keys of answers as members of a JWK set (RFC 7517, RFC 8037): of the active key and of those before it.
#[must_use]
pub fn answer_keys(ring: &Keyring) -> Vec<serde_json::Value> {
    ring.public_keys(Purpose::Answer)
        .into_iter()
        .map(|(kid, public)| {
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": format!("{KEY_PREFIX}{kid}"), "x": URL_SAFE_NO_PAD.encode(public),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[(&str, &[u8])] = &[
        ("content-digest", b"sha-256=:AAAA:"),
        ("content-type", b"application/json"),
        ("idempotency-key", b"rent"),
        ("signature-input", b"sig=()"),
        ("signature", b"sig=:AAAA:"),
    ];
    const TOLD: &[(&str, &[u8])] = &[("content-type", b"application/json"), ("x-request-id", b"req_1")];

    fn answer(asked: &'static [(&'static str, &'static [u8])], body: &'static [u8]) -> Answer<'static> {
        Answer {
            request: Request {
                method: "POST",
                authority: "bank.example",
                path: "/api/v1/transfers",
                query: None,
                headers: asked,
                body: b"",
            },
            status: 201,
            headers: TOLD,
            body,
        }
    }

    /// Whether these fields are by the ring over this answer, as a client would find out.
    fn is_by(ring: &Keyring, fields: &[(&'static str, String)], answer: &Answer<'_>) -> bool {
        let mut headers = answer.headers.to_vec();
        headers.extend(fields.iter().map(|(name, value)| (*name, value.as_bytes())));
        let told = Answer {
            headers: &headers,
            ..*answer
        };
        let keys = answer_keys(ring);
        let public = URL_SAFE_NO_PAD.decode(keys[0]["x"].as_str().unwrap()).unwrap();
        verify_answer(&told, &public) == Some(7)
    }

    #[test]
    fn an_answer_is_signed_with_its_request_and_for_no_other() {
        let ring = Keyring::generate(0);
        let told = answer(ASKED, b"{}");
        let fields = ring.sign_answer(&told, 7).unwrap();
        assert!(is_by(&ring, &fields, &told));
        assert!(!is_by(&Keyring::generate(0), &fields, &told), "another server");
        let input = &fields
            .iter()
            .find(|(name, _)| *name == "signature-input")
            .unwrap()
            .1;
        let kid = ring.active(Purpose::Answer).kid;
        assert_eq!(
            *input,
            format!(
                "sig=(\"@status\" \"content-digest\" \"content-type\" \"x-request-id\" \"@method\";req \"@target-uri\";req \
                 \"content-digest\";req \"idempotency-key\";req \"signature\";req \"signature-input\";req);created=7;\
                 alg=\"ed25519\";keyid=\"answer-{kid}\";tag=\"fapi-2-response\""
            )
        );
        let others: &'static [(&'static str, &'static [u8])] = &[
            ("content-digest", b"sha-256=:AAAA:"),
            ("idempotency-key", b"rent"),
            ("signature-input", b"sig=()"),
            ("signature", b"sig=:AAAB:"),
        ];
        let request = Request {
            path: "/x",
            ..told.request
        };
        for (what, changed) in [
            ("body", answer(ASKED, b"[]")),
            ("status", Answer { status: 200, ..told }),
            (
                "fields",
                Answer {
                    headers: &TOLD[..1],
                    ..told
                },
            ),
            ("request", answer(others, b"{}")),
            ("target", Answer { request, ..told }),
        ] {
            assert!(!is_by(&ring, &fields, &changed), "another {what}");
        }
    }

    #[test]
    fn an_answer_without_a_body_has_no_digest_and_keys_of_answers_sign_no_tokens() {
        let ring = Keyring::generate(0);
        let fields = ring.sign_answer(&answer(ASKED, b""), 7).unwrap();
        assert_eq!(fields.len(), 2, "{fields:?}");
        let broken = Answer {
            headers: &[("location", b"/a\nb")],
            ..answer(ASKED, b"")
        };
        assert!(ring.sign_answer(&broken, 7).is_none());
        let names: Vec<_> = answer_keys(&ring)
            .into_iter()
            .map(|key| key["kid"].clone())
            .collect();
        assert!(
            names
                .iter()
                .all(|name| name.as_str().unwrap().starts_with(KEY_PREFIX))
        );
        assert_ne!(
            ring.active(Purpose::AccessToken).kid,
            ring.active(Purpose::Answer).kid
        );
    }
}
