//! Project Wycheproof's vectors for every algorithm that is used here, through the functions that use it. What a
//! library, or a version of one, accepts though it must not is found here, before an attacker finds it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonCurveType, CoreJsonWebKey, CoreJwsSigningAlgorithm};
use wycheproof::{TestResult, aead, ecdsa, eddsa, hkdf, mac, rsa_pkcs1_verify, rsa_pss_verify};

use crate::http_signature::{VerifyingKey, signed_by_for_tests};
use crate::mac::{MacKey, hmac_of};

/// Counts, so that a suite that became empty is noticed.
#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
}

impl Tally {
    fn compare(&mut self, suite: &str, number: usize, expected: TestResult, accepted: bool) {
        match (expected, accepted) {
            (TestResult::Acceptable, _) => {}
            (TestResult::Valid, true) => self.accepted += 1,
            (TestResult::Invalid, false) => self.refused += 1,
            (expected, accepted) => panic!("{suite} {number}: {expected:?}, accepted: {accepted}"),
        }
    }

    fn at_least(&self, accepted: usize, refused: usize) {
        assert!(
            self.accepted >= accepted && self.refused >= refused,
            "{} were accepted and {} refused",
            self.accepted,
            self.refused
        );
    }
}

#[test]
fn ed25519_verifies_the_vectors_of_wycheproof() {
    let suite = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut tally = Tally::default();
    for group in suite.test_groups {
        let public: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        let by_issuer = CoreJsonWebKey::new_okp(public.to_vec(), CoreJsonCurveType::Ed25519, None);
        for test in group.tests {
            let key = VerifyingKey::Ed25519(&public);
            let accepted = signed_by_for_tests(&test.msg, &test.sig, &key);
            tally.compare("Ed25519", test.tc_id, test.result, accepted);
            let by_issuer = by_issuer.verify_signature(&CoreJwsSigningAlgorithm::EdDsa, &test.msg, &test.sig);
            tally.compare("Ed25519 of issuers", test.tc_id, test.result, by_issuer.is_ok());
        }
    }
    tally.at_least(100, 100);
}

#[test]
fn ecdsa_p256_verifies_the_vectors_of_wycheproof() {
    let suite = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut tally = Tally::default();
    for group in suite.test_groups {
        let point = group.key.key.as_slice();
        let (x, y) = (point[1..33].to_vec(), point[33..].to_vec());
        let by_issuer = CoreJsonWebKey::new_ec(x, y, CoreJsonCurveType::P256, None);
        for test in group.tests {
            let proof = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(&test.msg, &test.sig);
            tally.compare("ECDSA of proofs", test.tc_id, test.result, proof.is_ok());
            let algorithm = CoreJwsSigningAlgorithm::EcdsaP256Sha256;
            let by_issuer = by_issuer.verify_signature(&algorithm, &test.msg, &test.sig);
            tally.compare("ECDSA of issuers", test.tc_id, test.result, by_issuer.is_ok());
        }
    }
    tally.at_least(200, 100);
}

#[test]
fn rsa_of_issuers_verifies_the_vectors_of_wycheproof() {
    let mut tally = Tally::default();
    let suite = rsa_pkcs1_verify::TestSet::load(rsa_pkcs1_verify::TestName::Rsa2048Sha256).unwrap();
    for group in suite.test_groups {
        let key = CoreJsonWebKey::new_rsa(group.key.n.to_vec(), group.key.e.to_vec(), None);
        for test in group.tests {
            let algorithm = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
            let accepted = key.verify_signature(&algorithm, &test.msg, &test.sig).is_ok();
            tally.compare("RSA PKCS #1", test.tc_id, test.result, accepted);
        }
    }
    tally.at_least(5, 200);
    let mut tally = Tally::default();
    let name = rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32;
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        let key = CoreJsonWebKey::new_rsa(group.key.n.to_vec(), group.key.e.to_vec(), None);
        for test in group.tests {
            let algorithm = CoreJwsSigningAlgorithm::RsaSsaPssSha256;
            let accepted = key.verify_signature(&algorithm, &test.msg, &test.sig).is_ok();
            tally.compare("RSA PSS", test.tc_id, test.result, accepted);
        }
    }
    tally.at_least(30, 30);
}

#[test]
fn hmac_sha256_makes_the_vectors_of_wycheproof() {
    let suite = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut tally = Tally::default();
    for group in suite.test_groups {
        for test in group.tests {
            let made = hmac_of(&MacKey::new(&test.key), &[&test.msg]);
            let accepted = made[..group.tag_size / 8] == test.tag[..];
            tally.compare("HMAC", test.tc_id, test.result, accepted);
        }
    }
    tally.at_least(60, 80);
}

#[test]
fn aes_256_gcm_makes_and_opens_the_vectors_of_wycheproof() {
    let suite = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut tally = Tally::default();
    // The sizes that are used here; the library refuses others by their type.
    let groups = suite
        .test_groups
        .into_iter()
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
    for group in groups {
        for test in group.tests {
            let key = || LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &test.key).unwrap());
            let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
            let mut sealed = [&test.ct[..], &test.tag[..]].concat();
            let opened = key().open_in_place(nonce(), Aad::from(&test.aad[..]), &mut sealed);
            let accepted = opened.is_ok_and(|plain| *plain == test.pt[..]);
            tally.compare("AES-256-GCM", test.tc_id, test.result, accepted);
            if test.result == TestResult::Valid {
                let mut made = test.pt.to_vec();
                key()
                    .seal_in_place_append_tag(nonce(), Aad::from(&test.aad[..]), &mut made)
                    .unwrap();
                assert_eq!(made, [&test.ct[..], &test.tag[..]].concat(), "{}", test.tc_id);
            }
        }
    }
    tally.at_least(30, 15);
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[test]
fn hkdf_sha256_makes_the_vectors_of_wycheproof() {
    let suite = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let mut tally = Tally::default();
    let mut ours = 0;
    for test in suite.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut made = vec![0; test.size];
        let filled = Salt::new(HKDF_SHA256, &test.salt)
            .extract(&test.ikm)
            .expand(&[&test.info[..]], Length(test.size))
            .and_then(|okm| okm.fill(&mut made));
        let accepted = filled.is_ok() && made == test.okm[..];
        tally.compare("HKDF", test.tc_id, test.result, accepted);
        // Keys are derived without a salt and have 32 bytes, which are the first ones of any longer vector.
        if test.salt.is_empty() && test.size >= 32 && test.result == TestResult::Valid {
            let derived = crate::keyring::derive(&test.ikm, &[&test.info]);
            assert_eq!(derived[..], test.okm[..32], "{}", test.tc_id);
            ours += 1;
        }
    }
    tally.at_least(60, 2);
    assert!(ours > 0, "no vector is like our keys");
}
