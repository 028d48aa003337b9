//! Every kind of edit, done well: by somebody who owns the database with triggers and constraints gone, and has stolen
//! the keys. Books, digests, codes, leaves and inner nodes are computed anew, and inside everything fits. The
//! checkpoint that lies elsewhere tells.

use strongroom_domain::{
    audit::{CompactRange, Details, SignedRecord, number_digest},
    fraud::RuleSet,
    hold::{Hold, HoldState},
    id::{AccountId, GrantId},
    text::hex,
    transaction::entries_digest,
};
use strongroom_store::{Store, audit::Stored};

use crate::{
    bank::stopped_bank_with_rows,
    on_both_engines,
    owner::Owner,
    place::{Kind, Place},
};

/// A forgery: what it does to the books, and to the log.
struct Forgery {
    does: &'static str,
    /// `{t}` is the newest transfer, `{m}` one in the middle.
    books: &'static [&'static str],
    log: fn(&mut Vec<SignedRecord>),
    /// What gives it away.
    code: &'static str,
}

/// The place of the one payment that was refused.
fn refused(records: &[SignedRecord]) -> usize {
    let is_refused = |record: &SignedRecord| record.outcome == "insufficient_funds";
    records.iter().position(is_refused).unwrap()
}

const FORGERIES: &[Forgery] = &[
    Forgery {
        does: "say that somebody else did it",
        books: &[],
        log: |records| {
            let place = refused(records);
            records[place].principal_id = [0x66; 16];
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "say that it came out in another way",
        books: &[],
        log: |records| {
            let place = refused(records);
            records[place].outcome = "limit_exceeded".to_owned();
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "take a record out",
        books: &[],
        log: |records| drop(records.remove(refused(records))),
        code: "checkpoint_short",
    },
    Forgery {
        does: "put a record in the place of another",
        books: &[],
        log: |records| {
            let place = refused(records);
            let mut other = records.remove(place);
            other.id += 900_000;
            other.object_id = [0x77; 16];
            records.insert(20, other);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "slip a record in",
        books: &[],
        log: |records| {
            let mut other = records[refused(records)].clone();
            other.id += 900_000;
            records.insert(20, other);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "add a record to the end and change nothing else",
        books: &[],
        log: |records| {
            let place = refused(records);
            let mut other = records[place].clone();
            other.id += 900_000;
            records.remove(place);
            records.push(other);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "let two records change places",
        books: &[],
        log: |records| {
            let place = refused(records);
            records.swap(place, 3);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "cut the end off, with the freeze that it tells of",
        books: &["UPDATE account_states SET freezes = 0"],
        log: |records| {
            let last = records.pop().unwrap();
            assert_eq!(last.action, "account.freeze");
        },
        code: "checkpoint_short",
    },
    Forgery {
        does: "let a transfer have moved one cent more, with its entries and both balances",
        books: &[
            "UPDATE transactions SET amount = amount + 1 WHERE last_entry = {t}",
            "UPDATE entries SET amount = amount + CASE WHEN amount > 0 THEN 1 ELSE -1 END, \
             balance_after = balance_after + CASE WHEN amount > 0 THEN 1 ELSE -1 END WHERE transaction_entry = {t}",
            "UPDATE account_states SET balance = (SELECT e.balance_after FROM entries e \
             WHERE e.transaction_entry = {t} AND e.account_id = account_states.account_id) \
             WHERE account_id IN (SELECT account_id FROM entries WHERE transaction_entry = {t})",
        ],
        log: |_| (),
        code: "checkpoint_beside",
    },
    Forgery {
        does: "let a transfer count for another day",
        books: &["UPDATE transactions SET value_date = value_date - 1 WHERE last_entry = {m}"],
        log: |_| (),
        code: "checkpoint_beside",
    },
    Forgery {
        does: "forget what a transfer was for",
        books: &["UPDATE transactions SET memo = NULL WHERE last_entry = {m}"],
        log: |_| (),
        code: "checkpoint_beside",
    },
    Forgery {
        does: "give an account that was frozen free, and say that the freeze was refused",
        books: &["UPDATE account_states SET freezes = 0"],
        log: |records| {
            let last = records.last_mut().unwrap();
            assert_eq!(last.action, "account.freeze");
            last.outcome = "forbidden".to_owned();
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "close an account and let it be overdrawn",
        books: &["UPDATE account_states SET closed = {true}, floor = -500 WHERE freezes <> 0"],
        log: |records| {
            let last = records.last_mut().unwrap();
            let (freezes, ..) = last.details.account_state().unwrap();
            last.details = Details::account(freezes, true, Some(-500));
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "give an account another number",
        books: &[
            "UPDATE accounts SET number = 'DE02100100100006820101' WHERE id = \
             (SELECT account_id FROM account_states WHERE freezes <> 0)",
        ],
        log: |records| {
            let account = records.last().unwrap().object_id;
            let opening = |record: &&mut SignedRecord| {
                record.object_id == account && record.details.opened_as().is_some()
            };
            let record = records.iter_mut().find(opening).unwrap();
            let digest = number_digest(AccountId::from_bytes(account), "DE02100100100006820101");
            let mut bytes = record.details.as_bytes().to_vec();
            let at = bytes.len() - digest.len();
            bytes[at..].copy_from_slice(&digest);
            record.details = Details::from_bytes(bytes);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "give everybody another role",
        books: &["UPDATE grants SET role = 'compliance' WHERE role = 'customer'"],
        log: |records| {
            for record in records {
                if let Some(text) = record.details.json_text() {
                    let another = text.replace(r#""role":"customer""#, r#""role":"compliance""#);
                    record.details = Details::json(&another);
                }
            }
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "make an administrator, with a record of it",
        books: &[
            "INSERT INTO grants (id, person, role, granted_at) SELECT id, id, 'admin', 1 FROM users \
                  WHERE id = (SELECT person FROM grants WHERE role = 'customer' ORDER BY person LIMIT 1)",
        ],
        log: |records| {
            let is_customer =
                |record: &&SignedRecord| record.details.json_text() == Some(r#"{"role":"customer"}"#);
            let customer = records
                .iter()
                .filter(is_customer)
                .min_by_key(|record| record.object_id);
            let mut record = customer.unwrap().clone();
            record.id += 900_000;
            record.action = "grant.create".to_owned();
            let grant = GrantId::from_bytes(record.object_id);
            record.details = Details::json(&format!(
                r#"{{"expires_at":null,"grant":"{grant}","role":"admin"}}"#
            ));
            records.insert(30, record);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "lock somebody out, with a record in the place of another",
        books: &[
            "UPDATE users SET state = 'disabled' WHERE id = (SELECT owner FROM accounts WHERE id = \
                  (SELECT account_id FROM account_states WHERE freezes <> 0))",
        ],
        log: |records| {
            let account = records.last().unwrap().object_id;
            let opening =
                |record: &&SignedRecord| record.object_id == account && record.details.opened_as().is_some();
            let owner = records
                .iter()
                .find(opening)
                .unwrap()
                .details
                .opened_as()
                .unwrap()
                .owner;
            let place = refused(records);
            let record = &mut records[place];
            record.action = "user.lock".to_owned();
            record.object_kind = "user".to_owned();
            record.object_id = owner;
            record.outcome = "ok".to_owned();
            record.details = Details::json(r#"{"change":"disable","state":"disabled"}"#);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "let a key live for ever",
        books: &["UPDATE api_keys SET expires_at = NULL"],
        log: |records| {
            edit_json(records, "api_key", |json| {
                json["expires_at"] = serde_json::Value::Null
            });
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "rename a policy",
        books: &["UPDATE policies SET name = 'another' WHERE name = 'support-reads'"],
        log: |records| edit_json(records, "policy", |json| json["name"] = "another".into()),
        code: "checkpoint_beside",
    },
    Forgery {
        does: "forget a request for two people",
        books: &["DELETE FROM approvals WHERE state = 'open'"],
        log: |records| {
            let place = records.iter().position(|record| record.object_kind == "approval");
            drop(records.remove(place.unwrap()));
        },
        code: "checkpoint_short",
    },
    Forgery {
        does: "reject what nobody rejected",
        books: &["UPDATE approvals SET state = 'rejected', checker = {nine} WHERE state = 'open'"],
        log: |records| {
            let asked = records.iter().find(|record| record.object_kind == "approval");
            let asked = asked.unwrap().object_id;
            let place = refused(records);
            let record = &mut records[place];
            record.principal_id = [9; 16];
            record.object_kind = "approval".to_owned();
            record.object_id = asked;
            record.outcome = "ok".to_owned();
            record.details = Details::json(r#"{"state":"rejected"}"#);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "forget what a customer allows oneself",
        books: &["DELETE FROM customer_limits"],
        log: |records| {
            records.retain(|record| record.action != "limits.change");
        },
        code: "checkpoint_short",
    },
    Forgery {
        does: "take whom a customer pays off the list, with a record in the place of another",
        books: &["UPDATE beneficiaries SET removed_at = 1"],
        log: |records| {
            let listed = records.iter().find(|record| record.object_kind == "beneficiary");
            let (owner, listed) = {
                let listed = listed.unwrap();
                (listed.principal_id, listed.object_id)
            };
            let place = refused(records);
            let record = &mut records[place];
            record.principal_id = owner;
            record.action = "beneficiary.remove".to_owned();
            record.object_kind = "beneficiary".to_owned();
            record.object_id = listed;
            record.outcome = "ok".to_owned();
            record.details = Details::none();
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "slip somebody in whom a customer pays",
        books: &[
            "INSERT INTO beneficiaries (id, owner, currency, added_at, paid) SELECT {nine}, owner, currency, 1, 0 FROM beneficiaries",
        ],
        log: |records| {
            let listed = records.iter().find(|record| record.object_kind == "beneficiary");
            let mut record = listed.unwrap().clone();
            record.id += 900_000;
            record.object_id = [9; 16];
            record.details = Details::json(r#"{"account":null,"currency":"EUR"}"#);
            records.insert(30, record);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "put the newest policy out of force, and forget that it ever was in force",
        books: &[
            "DELETE FROM policy_set_members WHERE version = 3",
            "DELETE FROM policy_sets WHERE version = 3",
        ],
        log: |records| records.retain(|record| word_of(record, "set") != Some(3.into())),
        code: "checkpoint_short",
    },
    Forgery {
        does: "rewrite rules about fraud",
        books: &["UPDATE fraud_rule_sets SET rules = 'none', digest = {rules}"],
        log: |records| {
            edit_json(records, "fraud_rules", |json| {
                json["digest"] = hex(&RuleSet::digest_of("none")).into();
            });
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "give back what was reserved",
        books: &[
            "UPDATE account_states SET held = 0, holds = 0, hold_due = NULL WHERE holds > 0",
            "UPDATE holds SET state = 2, closed_at = placed_at WHERE state = 0",
        ],
        log: |records| {
            let newest = records.iter().rfind(|record| record.action == "hold.place");
            let mut record = newest.unwrap().clone();
            let hold = record.details.hold_state().unwrap();
            record.id += 900_000;
            record.action = "hold.void".to_owned();
            record.details = Details::hold(&Hold {
                state: HoldState::Voided,
                closed_at: Some(hold.placed_at),
                ..hold
            });
            records.insert(60, record);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "take somebody's passkeys away",
        books: &["DELETE FROM passkeys"],
        log: |records| {
            edit_told(records, |stands| stands["passkeys"] = serde_json::Value::Null);
        },
        code: "checkpoint_beside",
    },
    Forgery {
        does: "say that a payment was taken back by another approval",
        books: &["UPDATE reversals SET approval_id = {nine}"],
        log: |records| {
            let reversal = |record: &&mut SignedRecord| record.details.reversal().is_some();
            let record = records.iter_mut().find(reversal).unwrap();
            let approval = *record.details.approval().unwrap().as_bytes();
            // What it approved stands as approved by a record of its own.
            let mut decided = record.clone();
            decided.id += 900_000;
            decided.object_kind = "approval".to_owned();
            decided.object_id = approval;
            decided.details = Details::json(r#"{"state":"approved"}"#);
            let mut bytes = record.details.as_bytes().to_vec();
            let at = bytes.windows(16).position(|window| window == approval).unwrap();
            bytes[at..at + 16].copy_from_slice(&[9; 16]);
            record.details = Details::from_bytes(bytes);
            records.push(decided);
        },
        code: "checkpoint_beside",
    },
];

/// A word of a record's details.
fn word_of(record: &SignedRecord, name: &str) -> Option<serde_json::Value> {
    let json: serde_json::Value = serde_json::from_str(record.details.json_text()?).ok()?;
    json.get(name).cloned()
}

/// Edits what the record of somebody with credentials says of them.
fn edit_told(records: &mut [SignedRecord], edit: impl FnOnce(&mut serde_json::Value)) {
    let told = |record: &&mut SignedRecord| word_of(record, "with").is_some();
    let record = records.iter_mut().find(told).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(record.details.json_text().unwrap()).unwrap();
    let person = json["stands"].as_object_mut().unwrap().values_mut().next();
    edit(person.unwrap());
    record.details = Details::json(&json.to_string());
}

/// Edits what the first record about a kind of object says.
fn edit_json(records: &mut [SignedRecord], kind: &str, edit: impl FnOnce(&mut serde_json::Value)) {
    let record = records
        .iter_mut()
        .find(|record| record.object_kind == kind)
        .unwrap();
    let mut json = serde_json::from_str(record.details.json_text().unwrap()).unwrap();
    edit(&mut json);
    record.details = Details::json(&json.to_string());
}

/// The records as the books now say that they should be, in the order of the log.
pub(crate) async fn records_of(place: &Place) -> Vec<SignedRecord> {
    let store = Store::open_to_verify(&place.settings()).await.unwrap();
    let snapshot = store.log_snapshot().await.unwrap();
    let leaves = snapshot.leaves(0, 2_000).await.unwrap();
    let told = |leaf: strongroom_store::audit::Leaf| {
        let Stored::Is(mut record) = leaf.record else {
            panic!("a record is missing");
        };
        let digest = record.details.transaction_digest();
        if let (Some(digest), Some(transaction)) = (digest, leaf.transaction.value()) {
            let entries: Vec<_> = leaf.entries.into_iter().map(Result::unwrap).collect();
            let anew = transaction.digest(&entries_digest(&transaction.salt, &entries));
            if anew != digest {
                record.details = Details::transaction(&anew);
            }
        }
        record
    };
    leaves.into_iter().map(told).collect()
}

/// Puts these records in the place of the log, with everything that hangs on them.
pub(crate) async fn write_log(place: &Place, owner: &mut Owner, records: &mut [SignedRecord]) {
    let mac = place.ring.audit_mac();
    let (mut range, mut nodes) = (CompactRange::default(), Vec::new());
    owner.run("BEGIN").await;
    for table in ["audit_leaves", "audit_nodes", "audit_records"] {
        owner.run(&format!("DELETE FROM {table}")).await;
    }
    for (leaf, record) in records.iter_mut().enumerate() {
        record.mac = mac.sign(&record.canonical());
        record.mac_key = i64::from(mac.kid());
        // On PostgreSQL a record carries the number of its transaction: here as if each had one of its own.
        let (column, number) = match place.kind {
            Kind::Sqlite => ("", String::new()),
            Kind::Postgres => (", xid", format!(", '{}'", leaf + 3)),
        };
        let sql = format!(
            "INSERT INTO audit_records (id, at, request, principal_kind, principal_id, session, origin, action, object_kind, \
             object_id, outcome, policy, details, mac_key, mac{column}) \
             VALUES ({}, {}, {}, {}, {}, {}, {}, '{}', '{}', {}, '{}', {}, {}, {}, {}{number})",
            record.id,
            record.at,
            owner.id(&record.request),
            record.principal_kind,
            owner.id(&record.principal_id),
            owner.id(&record.session),
            record.origin,
            record.action,
            record.object_kind,
            owner.id(&record.object_id),
            record.outcome,
            record.policy,
            owner.bytes(record.details.as_bytes()),
            record.mac_key,
            owner.bytes(&record.mac),
        );
        owner.run(&sql).await;
        let hash = owner.bytes(&record.leaf());
        let sql = format!(
            "INSERT INTO audit_leaves (leaf, record_id, hash) VALUES ({leaf}, {}, {hash})",
            record.id
        );
        owner.run(&sql).await;
        range.append(record.leaf(), |node| nodes.push(node));
    }
    for node in nodes {
        let (level, position, hash) = (node.level, node.index, owner.bytes(&node.hash));
        let sql =
            format!("INSERT INTO audit_nodes (level, position, hash) VALUES ({level}, {position}, {hash})");
        owner.run(&sql).await;
    }
    if place.kind == Kind::Postgres {
        let (size, last) = (records.len(), records.last().unwrap().id);
        let sql = format!(
            "UPDATE audit_head SET size = {size}, last_xid = '{}', last_record = {last} WHERE id = 1",
            size + 2
        );
        owner.run(&sql).await;
    }
    owner.run("COMMIT").await;
}

async fn every_forgery_fits_inside_and_is_caught_by_the_outside_checkpoint(kind: Kind) {
    let origin = Place::new(kind).await;
    stopped_bank_with_rows(&origin).await;
    let checkpoint = origin.latest();
    for forgery in FORGERIES {
        let place = origin.copy().await;
        assert!(place.verify_against(&checkpoint).await.is_clean(), "untouched");
        let mut owner = place.owner().await;
        let newest = owner.number("SELECT max(last_entry) FROM transactions").await;
        let middle = owner
            .number("SELECT last_entry FROM transactions ORDER BY last_entry LIMIT 1 OFFSET 100")
            .await;
        for sql in forgery.books {
            let sql = sql
                .replace("{t}", &newest.to_string())
                .replace("{m}", &middle.to_string())
                .replace("{nine}", &owner.id(&[9; 16]))
                .replace("{rules}", &owner.bytes(&RuleSet::digest_of("none")))
                .replace("{true}", if kind == Kind::Postgres { "true" } else { "1" });
            assert!(owner.run(&sql).await > 0, "{}: {sql}", forgery.does);
        }
        owner.close().await;
        let mut records = records_of(&place).await;
        (forgery.log)(&mut records);
        let mut owner = place.owner().await;
        write_log(&place, &mut owner, &mut records).await;
        owner.close().await;

        let inside = place.verify_alone().await;
        assert!(inside.is_clean(), "{}: {:?}", forgery.does, inside.findings);
        let outside = place.verify_against(&checkpoint).await;
        let codes: Vec<_> = outside
            .findings
            .iter()
            .map(|finding| finding.problem.code())
            .collect();
        assert_eq!(codes, [forgery.code], "{}", forgery.does);
    }
}

on_both_engines!(every_forgery_fits_inside_and_is_caught_by_the_outside_checkpoint);
