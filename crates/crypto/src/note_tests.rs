//! Notes against the reference implementation's vectors (golang.org/x/mod/sumdb/note) and against tampering.

use super::*;

const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// `PRIVATE+KEY+PeterNeumann+c74f20a3+…` of the same documentation, type byte and seed.
const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n\
                       \n\
                       — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ORIGIN: &str = "bank.example/audit";

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: [size as u8; 32],
        extensions: vec![],
    }
}

#[test]
fn the_go_package_s_note_opens_with_its_verifier_key() {
    let key = VerifierKey::parse(GO_VERIFIER).unwrap();
    assert_eq!((key.name(), key.id()), ("PeterNeumann", 0xc74f_20a3));
    assert_eq!(key.to_string(), GO_VERIFIER);
    assert_eq!(open(GO_NOTE, &[key]), Ok(GO_TEXT));
}

#[test]
fn signing_with_the_go_package_s_key_gives_its_note_byte_for_byte() {
    let seed = STANDARD.decode(GO_SEED).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed[1..]).unwrap();
    let verifier = VerifierKey::parse(GO_VERIFIER).unwrap();
    assert_eq!(
        format!("{GO_TEXT}\n{}", signature_line(&verifier, &pair, GO_TEXT)),
        GO_NOTE
    );
}

#[test]
fn every_mangled_verifier_key_is_refused() {
    // As the reference's own test: every proper substring, every byte plus one, and two with an adjusted id.
    for start in 0..GO_VERIFIER.len() {
        for end in start + 1..=GO_VERIFIER.len() {
            let part = &GO_VERIFIER[start..end];
            assert_eq!(VerifierKey::parse(part).is_ok(), part == GO_VERIFIER, "{part}");
        }
    }
    for index in 0..GO_VERIFIER.len() {
        let mut changed = GO_VERIFIER.as_bytes().to_vec();
        changed[index] += 1;
        assert!(
            VerifierKey::parse(std::str::from_utf8(&changed).unwrap()).is_err(),
            "{index}"
        );
    }
    for bad in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(VerifierKey::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn malformed_notes_are_refused() {
    let key = [VerifierKey::parse(GO_VERIFIER).unwrap()];
    let signature = GO_NOTE.rsplit_once("\n\n").unwrap().1;
    for bad in [
        String::new(),
        "text\n".to_owned(),
        format!("{GO_TEXT}{signature}"),
        format!("{GO_TEXT}\n"),
        GO_NOTE.trim_end().to_owned(),
        GO_NOTE.replace('—', "-"),
        GO_NOTE.replace("— P", "—  P"),
        GO_NOTE.replace("x08go", "x08g!"),
        GO_NOTE.replace('\n', "\r\n"),
        GO_NOTE.replace("your problem,", "your problem\0,"),
        format!("{GO_NOTE}trailing\n"),
        format!("{GO_TEXT}\n{}", signature.repeat(SIGNATURES_MAX + 1)),
        format!("{}\n{signature}", "x".repeat(NOTE_BYTES_MAX)),
    ] {
        assert_eq!(
            open(&bad, &key),
            Err(NoteError::Malformed),
            "{}",
            &bad[..bad.len().min(200)]
        );
    }
}

#[test]
fn a_changed_text_or_signature_is_refused_and_foreign_signatures_are_ignored() {
    let key = VerifierKey::parse(GO_VERIFIER).unwrap();
    let keys = [key];
    assert_eq!(
        open(&GO_NOTE.replacen("cryptography", "cryptographY", 1), &keys),
        Err(NoteError::BadSignature)
    );
    assert_eq!(
        open(&GO_NOTE.replace("JnAM=", "JnAN="), &keys),
        Err(NoteError::Malformed)
    );
    assert_eq!(
        open(&GO_NOTE.replace("wJnAM=", "xJnAM="), &keys),
        Err(NoteError::BadSignature)
    );
    assert_eq!(open(GO_NOTE, &[]), Err(NoteError::Unsigned));
    let stranger = Keyring::generate(0).note_signer("stranger").unwrap();
    let line = stranger
        .sign(GO_TEXT)
        .unwrap()
        .rsplit_once("\n\n")
        .unwrap()
        .1
        .to_owned();
    assert_eq!(open(&format!("{GO_NOTE}{line}"), &keys), Ok(GO_TEXT));
    // The stranger under the known name has another id, and so stays unknown.
    assert_eq!(
        open(
            &format!("{GO_TEXT}\n{}", line.replace("stranger", "PeterNeumann")),
            &keys
        ),
        Err(NoteError::Unsigned)
    );
}

#[test]
fn a_text_with_an_empty_line_keeps_it() {
    let signer = Keyring::generate(0).note_signer("name").unwrap();
    let text = "one\n\ntwo\n";
    let note = signer.sign(text).unwrap();
    assert_eq!(open(&note, &[signer.verifier().clone()]), Ok(text));
    for bad in ["", "no newline", "tab\t\n"] {
        assert_eq!(signer.sign(bad), Err(NoteError::Malformed));
    }
}

#[test]
fn checkpoints_are_written_and_read_in_one_form_only() {
    let mut head = checkpoint(42);
    let text = head.to_text().unwrap();
    assert_eq!(text, format!("{ORIGIN}\n42\n{}\n", STANDARD.encode([42u8; 32])));
    assert_eq!(Checkpoint::from_text(&text), Ok(head.clone()));
    head.extensions = vec!["first".to_owned(), "second".to_owned()];
    assert_eq!(Checkpoint::from_text(&head.to_text().unwrap()), Ok(head));
    for bad in [
        text.replace("42", "042"),
        text.replace("42", "+42"),
        text.replace("42", "-1"),
        text.replace("42", "18446744073709551616"),
        text.replace('\n', "\n\n"),
        format!("{text}\n"),
        text.trim_end().to_owned(),
        text.replace("=\n", "\n"),
        format!("\n{text}"),
        format!("{ORIGIN}\n42\n"),
        format!("{ORIGIN}\n42\nAAAA\n"),
    ] {
        assert!(Checkpoint::from_text(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_specification_s_example_checkpoint_reads() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let head = Checkpoint::from_text(text).unwrap();
    assert_eq!(
        (head.origin.as_str(), head.size),
        ("example.com/behind-the-sofa", 20_852_163)
    );
    assert_eq!(head.to_text().as_deref(), Ok(text));
}

#[test]
fn a_signed_checkpoint_opens_with_the_log_s_key_and_no_other() {
    let ring = Keyring::generate(0);
    let signer = ring.note_signer(ORIGIN).unwrap();
    let note = checkpoint(7).sign(&signer).unwrap();
    let keys = ring.note_verifiers(ORIGIN).unwrap();
    assert_eq!(Checkpoint::open(&note, &keys), Ok(checkpoint(7)));
    let other = Keyring::generate(0).note_verifiers(ORIGIN).unwrap();
    assert_eq!(Checkpoint::open(&note, &other), Err(NoteError::Unsigned));
    assert_eq!(
        Checkpoint::open(&note.replacen("\n7\n", "\n8\n", 1), &keys),
        Err(NoteError::BadSignature)
    );
}

#[test]
fn old_checkpoints_verify_after_a_rotation() {
    let mut ring = Keyring::generate(0);
    let note = checkpoint(7).sign(&ring.note_signer(ORIGIN).unwrap()).unwrap();
    ring.rotate(Purpose::Checkpoint, 1).unwrap();
    let keys = ring.note_verifiers(ORIGIN).unwrap();
    assert_eq!(keys.len(), 2);
    assert!(Checkpoint::open(&note, &keys).is_ok());
    assert_eq!(Checkpoint::open(&note, &keys[..1]), Err(NoteError::Unsigned));
}

#[test]
fn a_known_key_of_another_name_does_not_speak_for_the_log() {
    let witness = Keyring::generate(0).note_signer("witness.example").unwrap();
    assert_eq!(checkpoint(7).sign(&witness), Err(NoteError::OtherOrigin));
    let note = witness.sign(&checkpoint(7).to_text().unwrap()).unwrap();
    let keys = [witness.verifier().clone()];
    assert!(open(&note, &keys).is_ok());
    assert_eq!(Checkpoint::open(&note, &keys), Err(NoteError::OtherOrigin));
}

#[test]
fn names_with_spaces_pluses_or_controls_are_refused() {
    let ring = Keyring::generate(0);
    for bad in [
        "",
        "a b",
        "a+b",
        "a\nb",
        "a\u{2003}b",
        "a\u{7f}",
        &"x".repeat(NAME_BYTES_MAX + 1),
    ] {
        assert_eq!(ring.note_signer(bad).unwrap_err(), NoteError::Name, "{bad:?}");
    }
}
