//! A row at least of every table that verification compares with the log, each made as the bank makes it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use strongroom_app::{
    Bank, Clock, Cx, Proofs, SystemClock,
    authority::{approvals::Decision, policies::Draft},
    identity::operators::{AddOperator, OperatorAdded},
    money::{
        beneficiaries::AddBeneficiary,
        fraud_rules::{RuleDraft, WantedRules},
        holds::{CaptureHold, PlaceHold},
        sendings::PayBeneficiary,
        transfers::Payee,
    },
    security::incident_actions::Deed,
};
use strongroom_crypto::random;
use strongroom_domain::{
    action::Action,
    audit::{Details, Object, Record, SignedRecord},
    iban::Iban,
    id::{ApprovalId, ExternalLoginId, GrantId, HoldId, PasskeyId, RequestId, SessionId, UserId},
    limits::Caps,
    money::Amount,
    principal::{Caller, Origin, Principal, Role},
};
use strongroom_store::{
    KeyCheckRow, KeyRotationRow, NewUser, Scope, WriteTx,
    identity::{ExternalLoginRow, FactorState, PasskeyRow, TotpRow},
};

use crate::{
    bank::{EUR, People3, cx, transfer},
    place::Place,
};

/// Everybody of the bank whose help it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staff {
    pub(crate) admin: UserId,
    pub(crate) teller: UserId,
}

fn id16() -> [u8; 16] {
    random::uuid_v7(SystemClock.now().micros())
}

/// A call by somebody whose login is fresh.
async fn fresh(bank: &Bank, user: UserId, role: Role) -> Cx {
    let mut cx = cx(bank, user, role).await;
    cx.caller.session = Some(SessionId::from_bytes(id16()));
    let now = Some(SystemClock.now());
    cx.with_proofs(Proofs {
        login_at: now,
        proved_at: now,
    })
}

/// The record of what a transaction did, signed as the node does, with what it changed of people.
pub(crate) async fn record(tx: &mut WriteTx, place: &Place, action: Action, object: Object, words: Value) {
    let mut words = words;
    let mut stands = Map::new();
    for told in tx.take_told() {
        let person = stands.entry(told.person.to_string()).or_insert_with(|| json!({}));
        person[told.name] = json!(told.value);
    }
    if !stands.is_empty() {
        words["stands"] = Value::Object(stands);
    }
    let slot = tx.next_record().await.unwrap();
    let record = Record {
        id: slot.id,
        at: SystemClock.now().max(slot.not_before),
        request: RequestId::from_bytes(random::bytes()),
        caller: Caller {
            principal: Principal::Job,
            session: None,
            origin: Origin::Job,
        },
        action: action.name(),
        object,
        outcome: "ok",
        policy: 1,
        details: Details::json(&words.to_string()),
    };
    let mac = place.ring.audit_mac();
    let code = mac.sign(&record.canonical());
    let signed = SignedRecord::new(record, i64::from(mac.kid()), code);
    tx.append_record(&signed).await.unwrap();
}

/// Somebody with a credential of every kind, and the record of it.
pub(crate) async fn person_with_credentials(bank: &Bank, place: &Place) -> UserId {
    let (id, now) = (UserId::from_bytes(id16()), SystemClock.now());
    let people = strongroom_app::identity::people::People::new(bank.store().clone(), place.ring.clone());
    let (_, wrapped_key) = people.new_key(id);
    let mut tx = bank.store().write(Scope::System).await.unwrap();
    let user = NewUser {
        id,
        email_index: Some(random::bytes()),
        sealed_email: Some(random::bytes::<40>().to_vec()),
        sealed_name: None,
        wrapped_key,
        created_at: now,
    };
    tx.insert_user(&user).await.unwrap();
    let grant = GrantId::from_bytes(id16());
    tx.insert_grant(grant, id, Role::Customer, now).await.unwrap();
    tx.set_password(id, "$argon2id$a-hash-of-somebody", now, None)
        .await
        .unwrap();
    let totp = TotpRow {
        id: strongroom_store::identity::FactorId::from_bytes(id16()),
        person: id,
        sealed_secret: random::bytes::<40>().to_vec(),
        state: FactorState::Printed,
        last_step: 0,
        created_at: now,
        expires_at: None,
        activated_at: None,
    };
    tx.put_totp(&totp).await.unwrap();
    for _ in 0..2 {
        let passkey = PasskeyRow {
            id: PasskeyId::from_bytes(id16()),
            person: id,
            credential: random::bytes(),
            sealed: random::bytes::<40>().to_vec(),
            sealed_name: random::bytes::<40>().to_vec(),
            counter: 0,
            created_at: now,
            last_used_at: None,
        };
        assert!(tx.insert_passkey(&passkey).await.unwrap());
    }
    let codes = [random::bytes(), random::bytes(), random::bytes()];
    tx.put_recovery_codes(id, &codes, now).await.unwrap();
    let external = ExternalLoginRow {
        id: ExternalLoginId::from_bytes(id16()),
        person: id,
        provider: "issuer".to_owned(),
        subject_index: random::bytes(),
        sealed: random::bytes::<40>().to_vec(),
        created_at: now,
        last_used_at: None,
    };
    assert!(tx.insert_external_login(&external).await.unwrap());
    let words = json!({"role": "customer", "with": "credentials"});
    record(&mut tx, place, Action::UserCreate, Object::User(id), words).await;
    tx.commit().await.unwrap();
    id
}

/// A key of the ring that two people decided.
async fn rotation(bank: &Bank, place: &Place) {
    let (kid, now) = (4_242_u32, SystemClock.now());
    let row = KeyRotationRow {
        key: KeyCheckRow {
            kid,
            purpose: "device".to_owned(),
            value: random::bytes(),
        },
        created_at: now,
        active_from: now.plus_seconds(60),
        sealed: None,
    };
    let mut object = [0; 16];
    object[12..].copy_from_slice(&kid.to_be_bytes());
    let mut tx = bank.store().write(Scope::System).await.unwrap();
    assert!(tx.insert_key_rotation(&row).await.unwrap());
    let words = json!({"active_from": row.active_from.to_string(), "kid": kid});
    record(
        &mut tx,
        place,
        Action::KeyManage,
        Object::Other("key", object),
        words,
    )
    .await;
    tx.commit().await.unwrap();
}

async fn approve(bank: &Arc<Bank>, staff: Staff, asked: ApprovalId) {
    let cx = fresh(bank, staff.admin, Role::Admin).await;
    let decision = Decision {
        reason: Some("as agreed".to_owned()),
        digest: None,
    };
    bank.approve_request(&cx, asked, decision).await.unwrap();
}

/// A teller who works at once.
pub(crate) async fn teller(bank: &Arc<Bank>) -> UserId {
    let cli = bank.cx_cli(0).await.unwrap();
    let wanted = AddOperator {
        email: "second@bank.example".to_owned(),
        full_name: "A Teller".to_owned(),
        role: Role::Teller,
        break_glass: true,
    };
    match bank.add_operator(&cli, wanted).await.unwrap() {
        OperatorAdded::Ready { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

/// The verbs of holds: one paid in two parts, one given back, one that stays.
async fn holds(bank: &Arc<Bank>, people: &People3) -> [HoldId; 3] {
    let payer = cx(bank, people.alice, Role::Customer).await;
    let mut ids = Vec::new();
    for minor in [700, 710, 720] {
        let input = PlaceHold {
            account: people.from,
            to: Payee::Account(people.to),
            amount: Amount::new(minor).unwrap(),
            currency: EUR,
            expires_at: None,
            idempotency_key: Some(format!("hold-{minor}")),
        };
        ids.push(bank.place_hold(&payer, input).await.unwrap().value.hold.id);
    }
    let payee = cx(bank, people.bob, Role::Customer).await;
    for (part, last) in [(200, false), (300, true)] {
        let input = CaptureHold {
            hold: ids[0],
            amount: Some((Amount::new(part).unwrap(), EUR)),
            last,
            idempotency_key: Some(format!("capture-{part}")),
        };
        bank.capture_hold(&payee, input).await.unwrap();
    }
    bank.void_hold(&payee, ids[1], Some("void")).await.unwrap();
    ids.try_into().unwrap()
}

/// A payment that waits to leave, and one that was taken back.
async fn sendings(bank: &Arc<Bank>, people: &People3) {
    let payer = fresh(bank, people.alice, Role::Customer).await;
    let number = Iban::compose("FR", "2004101005", "0000000000001").unwrap();
    let wanted = AddBeneficiary {
        name: "Carla Landlord".to_owned(),
        number,
        currency: EUR,
    };
    let listed = bank.add_beneficiary(&payer, wanted).await.unwrap();
    let mut last = None;
    for minor in [100, 110] {
        let input = PayBeneficiary {
            from: people.from,
            beneficiary: listed.beneficiary.id,
            amount: Amount::new(minor).unwrap(),
            currency: EUR,
            reference: None,
            confirmed: None,
            idempotency_key: Some(format!("send-{minor}")),
        };
        last = Some(
            bank.pay_beneficiary(&payer, input)
                .await
                .unwrap()
                .value
                .payment
                .id,
        );
    }
    let back = Some("back".to_owned());
    bank.cancel_payment(&payer, last.unwrap(), back).await.unwrap();
}

/// Two policies in force one after the other, other rules about fraud, a payment taken back, each by two people.
async fn decided(bank: &Arc<Bank>, people: &People3, staff: Staff) {
    let cli = bank.cx_cli(0).await.unwrap();
    for name in ["first", "second"] {
        let draft = Draft {
            name: name.to_owned(),
            text: format!(
                "@id(\"{name}\") forbid (principal in Role::\"support\", action == Action::\"key.manage\", resource);"
            ),
            cases: Vec::new(),
        };
        let kept = bank.write_policy(&cli, None, draft).await.unwrap();
        let asked = bank
            .ask_for_policy_change(&cli, kept.policy.id, true, None)
            .await
            .unwrap();
        approve(bank, staff, asked).await;
    }
    let wanted = WantedRules::Drafted {
        base: None,
        untried_reason: Some("Its past is told by tests alone.".to_owned()),
        rules: vec![RuleDraft {
            rule: "velocity".to_owned(),
            mode: Some("shadow".to_owned()),
            verdict: None,
            score: None,
            parameters: Vec::new(),
        }],
    };
    let asked = bank.ask_for_fraud_rules(&cli, wanted, "as agreed").await.unwrap();
    approve(bank, staff, asked).await;
    let paid = transfer(bank, people.alice, people.from, people.to, 4_321)
        .await
        .unwrap();
    let teller = fresh(bank, staff.teller, Role::Teller).await;
    let asked = bank.ask_for_reversal(&teller, paid, "a mistake").await.unwrap();
    approve(bank, staff, asked).await;
}

/// Everything.
pub(crate) async fn all(bank: &Arc<Bank>, place: &Place, people: &People3, staff: Staff) {
    person_with_credentials(bank, place).await;
    holds(bank, people).await;
    sendings(bank, people).await;
    decided(bank, people, staff).await;
    let payer = fresh(bank, people.alice, Role::Customer).await;
    let caps = Caps {
        daily: Some(50_000_000),
        ..Caps::NONE
    };
    bank.limit_account(&payer, people.from, None, caps).await.unwrap();
    let cli = bank.cx_cli(0).await.unwrap();
    let network = "203.0.113.0/24".parse().unwrap();
    let deed = Deed::BlockNetwork(network, SystemClock.now().plus_seconds(3_600));
    bank.take_incident_action(&cli, deed, "scanned").await.unwrap();
    rotation(bank, place).await;
}
