//! The vectors of RFC 9421, appendix B: every base is ours, every signature is verified over it, also those of
//! algorithms that no key here has.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};

use super::*;

const REQUEST_BODY: &[u8] = br#"{"hello": "world"}"#;
const ANSWER_BODY: &[u8] = br#"{"message": "good dog"}"#;
const REQUEST_HEADERS: &[(&str, &[u8])] = &[
    ("host", b"example.com"),
    ("date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
    ("content-type", b"application/json"),
    (
        "content-digest",
        b"sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    ),
    ("content-length", b"18"),
];
const ANSWER_HEADERS: &[(&str, &[u8])] = &[
    ("date", b"Tue, 20 Apr 2021 02:07:56 GMT"),
    ("content-type", b"application/json"),
    (
        "content-digest",
        b"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
    ),
    ("content-length", b"23"),
];
/// `test-key-rsa-pss`, the modulus and exponent in DER.
const RSA_PSS: &str = "MIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw\
    3Ry53mm+oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11n\
    qqzi+bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d+nb4bnNkQVklLQ3fVAvJm\
    +xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI2wIDAQAB";
/// `test-key-ecc-p256`, an uncompressed point.
const ECC_P256: &str =
    "BKiFWGVSwqz2Rxh4z9ewk1tP/g/S38NBJI6he8QeBYrwMc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0=";
/// `test-key-ed25519`.
const ED: &str = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
/// `test-shared-secret`.
const SHARED: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

fn request() -> Request<'static> {
    Request {
        method: "POST",
        authority: "example.com",
        path: "/foo",
        query: Some("param=Value&Pet=dog"),
        headers: REQUEST_HEADERS,
        body: REQUEST_BODY,
    }
}

fn base_of(input: &str, is_answer: bool) -> String {
    let (_, ListEntry::InnerList(covered)) = only_member(&format!("sig={input}")).unwrap() else {
        panic!("no list")
    };
    assert_eq!(signature_params(&covered), input, "written as it was read");
    let base = match is_answer {
        false => signature_base(&covered, &request()),
        true => answer_base(
            &covered,
            &Answer {
                request: request(),
                status: 200,
                headers: ANSWER_HEADERS,
                body: ANSWER_BODY,
            },
        ),
    };
    base.unwrap()
}

fn verifies(algorithm: &'static dyn VerificationAlgorithm, key: &str, base: &str, signature: &str) -> bool {
    let key = STANDARD.decode(key).unwrap();
    let signature = STANDARD.decode(signature).unwrap();
    UnparsedPublicKey::new(algorithm, key)
        .verify(base.as_bytes(), &signature)
        .is_ok()
}

#[test]
fn the_digests_of_the_vectors_are_those_of_their_bodies() {
    assert_eq!(check_digest(&request()), Ok(()));
    let answer = Request {
        headers: ANSWER_HEADERS,
        body: ANSWER_BODY,
        ..request()
    };
    assert_eq!(check_digest(&answer), Ok(()));
    let other = Request {
        body: ANSWER_BODY,
        ..request()
    };
    assert_eq!(check_digest(&other), Err(SignatureError::Digest));
}

#[test]
fn the_vectors_of_rfc_9421_appendix_b_are_verified() {
    let pss: &'static dyn VerificationAlgorithm = &RSA_PSS_2048_8192_SHA512;
    for (name, algorithm, key, is_answer, input, signature) in [
        (
            "B.2.1",
            pss,
            RSA_PSS,
            false,
            r#"();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
            "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA\
             7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0m\
             KZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO\
             5Nyt8C8ssinQ98Xw9Q==",
        ),
        (
            "B.2.2",
            pss,
            RSA_PSS,
            false,
            r#"("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
            "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+EC\
             xCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7C\
             l+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQ\
             l3/XaVe4bXTugEjHSw==",
        ),
        (
            "B.2.3",
            pss,
            RSA_PSS,
            false,
            r#"("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
            "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38\
             K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCo\
             C1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FU\
             o5fTIztsDZKEgM4cUA==",
        ),
        (
            "B.2.4",
            &ECDSA_P256_SHA256_FIXED,
            ECC_P256,
            true,
            r#"("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#,
            "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
        ),
        (
            "B.2.6",
            &ED25519,
            ED,
            false,
            r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
        ),
    ] {
        let base = base_of(input, is_answer);
        assert!(verifies(algorithm, key, &base, signature), "{name}: {base}");
        let other = base.replacen("161888447", "161888448", 1);
        assert!(
            !verifies(algorithm, key, &other, signature),
            "{name} of another time"
        );
    }
    // B.2.5, HMAC-SHA256.
    let input = r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let base = base_of(input, false);
    let key = crate::mac::MacKey::new(&STANDARD.decode(SHARED).unwrap());
    let mac = crate::mac::hmac_of(&key, &[base.as_bytes()]);
    assert_eq!(
        STANDARD.encode(mac),
        "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="
    );
}

#[test]
fn answers_are_bound_to_their_request_by_components_of_it() {
    let base = base_of(
        r#"("@status" "@method";req "@query";req "content-digest";req "content-digest");created=1"#,
        true,
    );
    let digest = |headers: &[(&str, &[u8])]| {
        let found = headers
            .iter()
            .find(|(name, _)| *name == "content-digest")
            .unwrap();
        String::from_utf8(found.1.to_vec()).unwrap()
    };
    assert_eq!(
        base,
        format!(
            "\"@status\": 200\n\"@method\";req: POST\n\"@query\";req: ?param=Value&Pet=dog\n\"content-digest\";req: {}\n\
             \"content-digest\": {}\n\"@signature-params\": (\"@status\" \"@method\";req \"@query\";req \
             \"content-digest\";req \"content-digest\");created=1",
            digest(REQUEST_HEADERS),
            digest(ANSWER_HEADERS)
        )
    );
    for nothing in [
        "\"@method\"",
        "\"@status\";req",
        "\"content-type\";req=?0",
        "\"date\";req;bs",
        "\"x\"",
    ] {
        let (_, ListEntry::InnerList(covered)) = only_member(&format!("sig=({nothing})")).unwrap() else {
            panic!("no list")
        };
        let answer = Answer {
            request: request(),
            status: 200,
            headers: ANSWER_HEADERS,
            body: ANSWER_BODY,
        };
        assert_eq!(answer_base(&covered, &answer), None, "{nothing}");
    }
}
