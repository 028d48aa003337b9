use super::*;
use crate::{
    account::{AccountKind, CustomerKind, Freezes, SkipPath},
    id::SessionId,
    money::Currency,
    principal::{Origin, Principal},
};

fn sample() -> Record {
    Record {
        id: 7,
        at: Timestamp::from_micros(1_700_000_000_000_001),
        request: RequestId::from_bytes([1; 16]),
        caller: Caller {
            principal: Principal::User(UserId::from_bytes([2; 16])),
            session: Some(SessionId::from_bytes([3; 16])),
            origin: Origin::Api,
        },
        action: "transfer.create",
        object: Object::Transaction(TransactionId::from_bytes([4; 16])),
        outcome: "ok",
        policy: 1,
        details: Details::transaction(&[5; 32]),
    }
}

#[test]
fn canonical_bytes_never_change() {
    let hex: String = sample().canonical().iter().map(|b| format!("{b:02x}")).collect();
    let expected = [
        "01",
        "0000000000000007",
        "00060a24181e4001",
        &"01".repeat(16),
        "01",
        &"02".repeat(16),
        &"03".repeat(16),
        "01",
        "0000000f",
        "7472616e736665722e637265617465",
        "0000000b",
        "7472616e73616374696f6e",
        &"04".repeat(16),
        "00000002",
        "6f6b",
        "00000001",
        "00000021",
        "01",
        &"05".repeat(32),
    ]
    .concat();
    assert_eq!(hex, expected);
}

#[test]
fn a_signed_record_has_the_bytes_of_the_record_it_was_made_from() {
    let record = sample();
    let signed = SignedRecord::new(record.clone(), 9, [8; 32]);
    assert_eq!(signed.canonical(), record.canonical());
}

#[test]
fn every_field_changes_the_leaf() {
    let base = SignedRecord::new(sample(), 9, [8; 32]);
    let changes: Vec<fn(&mut SignedRecord)> = vec![
        |r| r.id += 1,
        |r| r.at += 1,
        |r| r.request[0] ^= 1,
        |r| r.principal_kind ^= 1,
        |r| r.principal_id[0] ^= 1,
        |r| r.session[0] ^= 1,
        |r| r.origin ^= 1,
        |r| r.action.push('x'),
        |r| r.object_kind.push('x'),
        |r| r.object_id[0] ^= 1,
        |r| r.outcome.push('x'),
        |r| r.policy += 1,
        |r| r.details = Details::none(),
        |r| r.mac_key += 1,
        |r| r.mac[0] ^= 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = base.clone();
        change(&mut other);
        assert_ne!(other.leaf(), base.leaf(), "change {number}");
    }
}

#[test]
fn details_come_back_as_they_went_in() {
    assert_eq!(Details::transaction(&[5; 32]).transaction_digest(), Some([5; 32]));
    assert_eq!(
        Details::account(3, true, Some(-5)).account_state(),
        Some((3, true, Some(-5)))
    );
    assert_eq!(
        Details::account(0, false, None).account_state(),
        Some((0, false, None))
    );
    assert_eq!(Details::account(0, false, None).opened_as(), None);
    assert_eq!(Details::json("{}").json_text(), Some("{}"));
    assert_eq!(Details::none().transaction_digest(), None);
    assert_eq!(Details::from_bytes(vec![]).account_state(), None);
}

#[test]
fn details_of_a_movement_name_the_rules_before_everything_else() {
    let plain = Details::transaction(&[5; 32]);
    assert_eq!(
        plain.clone().judged_by(0),
        plain,
        "the program's own are not named"
    );
    let judged = plain.clone().judged_by(258);
    assert_eq!(
        judged.as_bytes(),
        [&[10, 0, 0, 1, 2][..], plain.as_bytes()].concat()
    );
    assert_eq!((judged.fraud_rules(), plain.fraud_rules()), (Some(258), None));
    assert_eq!(judged.transaction_digest(), Some([5; 32]));
    for cut in 0..6 {
        let cut = Details::from_bytes(judged.as_bytes()[..cut].to_vec());
        assert_eq!(cut.transaction_digest(), None);
    }
}

#[test]
fn the_record_of_an_opening_binds_owner_kind_currency_and_number() {
    let account = Account {
        id: AccountId::from_bytes([1; 16]),
        owner: Some(UserId::from_bytes([2; 16])),
        kind: AccountKind::Customer(CustomerKind::Savings),
        currency: Currency::EUR,
        floor: Some(-500),
        freezes: Freezes::NONE,
        closed: false,
        balance: 0,
        held: 0,
        holds: 0,
        hold_due: None,
        entries: 0,
        last_booked_at: Timestamp::from_micros(0),
        path: SkipPath::default(),
    };
    let details = Details::opened(&account, "DE36100100100000000001");
    let hex: String = details.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let expected = [
        "04",
        "000001",
        "fffffffffffffe0c",
        &"02".repeat(16),
        "0834",
        "455552",
        "9127b163c7048f8534b6e45378d37fac60a9d86af7e4f41f547a3569b2fd5274",
    ]
    .concat();
    assert_eq!(hex, expected);
    assert_eq!(details.account_state(), Some((0, false, Some(-500))));
    let opening = Opening {
        owner: [2; 16],
        ledger_code: 2100,
        currency: *b"EUR",
        number: number_digest(account.id, "DE36100100100000000001"),
    };
    assert_eq!(details.opened_as(), Some(opening));
    for length in 0..details.as_bytes().len() {
        let cut = Details::from_bytes(details.as_bytes()[..length].to_vec());
        assert_eq!(cut.opened_as(), None, "{length}");
    }
}
