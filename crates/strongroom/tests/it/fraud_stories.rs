//! Every rule that the bank is shipped with has its story: a payment that meets it and is stopped for that reason, and
//! an ordinary one like it that goes.
//!
//! What took somebody months is written into the row that rules know of a customer; everything else goes over HTTPS.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use strongroom_domain::{
    fraud::{Features, Flow, RuleSet, tag_of},
    id::{AccountId, UserId},
    money::{Amount, Currency},
    time::Timestamp,
    transaction::TransactionKind,
};

use crate::{
    fraud::SETTINGS,
    harness::{
        Answer, Engine, Person, Server,
        people::{new_key, transfer_body},
        stories,
    },
    payments::is_clean,
};

stories! {
    with SETTINGS;
    every_rule_stops_what_it_is_for_and_lets_the_ordinary_go,
    a_real_journey_and_a_real_spree_are_stopped_without_any_row_written_for_them,
    whoever_lost_a_password_pays_nobody_new_unseen,
}

const DAY: i64 = 86_400;
const HOME: u32 = 11;
/// Rules whose stories need no past that is written: [`whoever_lost_a_password_pays_nobody_new_unseen`].
const TOLD_ELSEWHERE: &[&str] = &["takeover_new_payee"];

struct Town {
    server: Server,
    alice: Person,
    teller: Person,
    ids: [UserId; 2],
    from: Value,
    small: Value,
    known: Value,
    new: Value,
    now: Timestamp,
}

/// Somebody's past, as rules know it.
struct Past {
    features: Features,
    now: Timestamp,
    /// From where what follows was asked for; from anywhere where it is none.
    network: Option<u32>,
}

impl Past {
    fn new(now: Timestamp) -> Self {
        Self {
            features: Features::default(),
            now,
            network: None,
        }
    }

    fn flow(&self, ago: i64, kind: TransactionKind, minor: i64, other: u32, hour: u8) -> Flow {
        Flow {
            at: self.now.plus_seconds(-ago),
            hour,
            kind,
            amount: Amount::new(minor).unwrap(),
            currency: Currency::EUR,
            other,
            network: self.network,
        }
    }

    /// From now on from another network than that of this story's requests.
    const fn at_home(mut self) -> Self {
        self.network = Some(HOME);
        self
    }

    /// Paid so much, so many seconds ago.
    fn out(mut self, ago: i64, minor: i64, other: u32) -> Self {
        let flow = self.flow(ago, TransactionKind::Transfer, minor, other, 12);
        self.features.paid_out(&flow);
        self
    }

    fn into(mut self, ago: i64, kind: TransactionKind, minor: i64, other: u32) -> Self {
        let flow = self.flow(ago, kind, minor, other, 12);
        self.features.took_in(&flow);
        self
    }

    fn times(self, count: i64, one: impl Fn(Self, i64) -> Self) -> Self {
        (0..count).fold(self, one)
    }

    /// Four months of payments of 20 to 50 euros to one payee, ended so many days ago, at all hours or at one.
    fn regular(mut self, to: u32, ended: i64, hour: Option<u8>) -> Self {
        for number in 0..60_i64 {
            let ago = (ended + 2 * (60 - number)) * DAY;
            let hour = hour.unwrap_or(u8::try_from(number % 24).unwrap());
            let minor = 2_000 + number % 31 * 100;
            let flow = self.flow(ago, TransactionKind::Transfer, minor, to, hour);
            self.features.paid_out(&flow);
        }
        self
    }
}

/// What somebody does who meets a rule, and what an ordinary customer does.
struct Case {
    rule: &'static str,
    /// Of who pays; what cannot be read where it is none.
    past: Option<Past>,
    ordinary: Past,
    /// Of who is paid.
    payee: Past,
    /// How much: what meets the rule, and what does not.
    minor: [i64; 2],
    to: To,
    /// Whether it is declined instead of looked at.
    declined: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Known,
    New,
    /// New, and out of an account with little more than that on it.
    NewFromSmall,
}

fn case(rule: &'static str, now: Timestamp, past: Past, ordinary: Past, minor: [i64; 2], to: To) -> Case {
    Case {
        rule,
        past: Some(past),
        ordinary,
        payee: Past::new(now),
        minor,
        to,
        declined: false,
    }
}

#[expect(clippy::too_many_lines, reason = "a table, a rule after the other")]
fn cases(town: &Town) -> Vec<Case> {
    use TransactionKind::{Refund, Transfer};
    let now = town.now;
    let known = tag(&town.known);
    let nobody = || Past::new(now);
    let regular = || nobody().regular(known, 1, None);
    let case = |rule, past, ordinary, minor, to| case(rule, now, past, ordinary, minor, to);
    // More than a rule asks for: where its span began anew in between, what came before counts in part.
    let spree = |payees: i64| {
        nobody().times(20, move |past, number| {
            past.out(60, 20_000, u32::try_from(100 + number % payees).unwrap())
        })
    };
    let opposite = u8::try_from((now.micros() / 3_600_000_000 + 12) % 24).unwrap();
    let tiny = |past: Past, count: i64| past.times(count, |past, _| past.out(900, 100, known));
    let round = |past: Past| {
        past.times(3, |past, number| {
            let ago = 4_000 - number * 1_000;
            past.into(ago, Transfer, 100_000, known)
                .out(ago - 300, 100_000, known)
        })
        .into(60, Transfer, 100_000, known)
    };
    let refunded = |count: i64| {
        regular()
            .times(6, |mut past, number| {
                let flow = past.flow(DAY - number * 600, TransactionKind::Payment, 3_000, 3, 12);
                past.features.paid_out(&flow);
                past
            })
            .times(count, |past, number| {
                past.into(DAY - 5_000 - number * 600, Refund, 3_000, 3)
            })
    };
    vec![
        Case {
            past: None,
            ..case("unknown_customer", nobody(), regular(), [1_000, 1_000], To::Known)
        },
        case("velocity", spree(10), spree(3), [20_000, 20_000], To::New),
        case(
            "velocity_amount",
            nobody().times(20, |past, _| past.out(60, 100_000, known)),
            nobody().times(14, |past, _| past.out(60, 90_000, known)),
            [100_000, 90_000],
            To::Known,
        ),
        case(
            "velocity_sustained",
            nobody().times(110, |past, number| past.out(3_100 - number * 28, 30_000, known)),
            nobody().times(40, |past, number| past.out(3_100 - number * 74, 30_000, known)),
            [30_000, 30_000],
            To::Known,
        ),
        case(
            "unusual_amount",
            regular(),
            regular(),
            [500_000, 6_000],
            To::Known,
        ),
        case(
            "new_payee_high_amount",
            regular(),
            regular(),
            [500_000, 6_000],
            To::New,
        ),
        case(
            "structuring",
            nobody().times(2, |past, _| past.out(3_600, 950_000, known)),
            nobody().out(3_600, 950_000, known),
            [940_000, 940_000],
            To::Known,
        ),
        case(
            "odd_hour",
            nobody().regular(known, 1, Some(opposite)),
            nobody().regular(known, 1, Some(opposite)),
            [25_000, 4_000],
            To::Known,
        ),
        case(
            "impossible_travel",
            regular().at_home().out(1_800, 2_500, known),
            regular().at_home().out(3 * 3_600, 2_500, known),
            [25_000, 25_000],
            To::New,
        ),
        case(
            "dormant_account",
            nobody().regular(known, 200, None),
            nobody().regular(known, 200, None),
            [60_000, 4_000],
            To::New,
        ),
        case("drain", regular(), regular(), [50_000, 4_000], To::NewFromSmall),
        case(
            "drain_in_parts",
            regular().times(3, |past, number| {
                past.out(300, 20_000, u32::try_from(70 + number).unwrap())
            }),
            regular().times(3, |past, number| {
                past.out(300, 20_000, u32::try_from(70 + number).unwrap())
            }),
            [20_000, 6_000],
            To::New,
        ),
        case(
            "mule_in_and_out",
            nobody().into(7_200, Transfer, 600_000, 5),
            nobody().into(7_200, Transfer, 600_000, 5),
            [560_000, 200_000],
            To::New,
        ),
        Case {
            payee: nobody().times(12, |past, number| {
                past.into(600, Transfer, 20_000, u32::try_from(200 + number).unwrap())
            }),
            ..case("payee_scam", regular(), regular(), [10_000, 6_000], To::New)
        },
        case(
            "card_testing",
            tiny(regular(), 14),
            tiny(regular(), 8),
            [100, 100],
            To::Known,
        ),
        Case {
            declined: true,
            ..case(
                "card_testing_flood",
                tiny(regular(), 45),
                tiny(regular(), 3),
                [100, 100],
                To::Known,
            )
        },
        case(
            "kiting",
            round(regular()),
            round(regular()),
            [100_000, 4_000],
            To::Known,
        ),
        case(
            "refund_abuse",
            refunded(5),
            refunded(3),
            [3_000, 3_000],
            To::Known,
        ),
    ]
}

fn account_of(account: &Value) -> AccountId {
    AccountId::parse(account["id"].as_str().unwrap()).unwrap()
}

fn tag(account: &Value) -> u32 {
    tag_of(account_of(account).as_bytes())
}

async fn town(server: Server) -> Town {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, small) = (alice.account("Household").await, alice.account("Small").await);
    let (known, new) = (bob.account("Known").await, bob.account("New").await);
    teller.deposit(&from, 90_000_000).await.expect(201);
    teller.deposit(&small, 55_000).await.expect(201);
    let mut ids = Vec::new();
    for person in [&alice, &bob] {
        ids.push(UserId::parse(&person.id().await).unwrap());
    }
    Town {
        alice,
        teller,
        ids: [ids[0], ids[1]],
        from,
        small,
        known,
        new,
        now: now(),
        server,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a customer did before has to be before now"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

impl Town {
    async fn remember(&self, whose: UserId, row: &[u8]) {
        let digits = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let (row, whose) = (digits(row), digits(whose.as_bytes()));
        let sql = match self.server.engine {
            Engine::Sqlite => {
                format!(
                    "UPDATE customer_limits SET features = x'{row}' WHERE owner = x'{whose}' AND currency = 'EUR'"
                )
            }
            Engine::Postgres => format!(
                "UPDATE customer_limits SET features = decode('{row}', 'hex') WHERE owner = '{whose}' AND currency = 'EUR'"
            ),
        };
        self.server.as_owner(&sql).await;
    }

    /// Pays as somebody with this past.
    async fn pays(&self, past: Option<&Past>, payee: &Past, minor: i64, to: To) -> Answer {
        let row = past.map_or_else(|| vec![0xff; 8], |past| past.features.to_bytes());
        self.remember(self.ids[0], &row).await;
        self.remember(self.ids[1], &payee.features.to_bytes()).await;
        let from = if to == To::NewFromSmall {
            &self.small
        } else {
            &self.from
        };
        let to = if to == To::Known { &self.known } else { &self.new };
        self.alice.transfer(&new_key(), from, to, minor).await
    }

    /// The rules that the newest review or note names, and of what it is.
    async fn newest(&self) -> (String, BTreeSet<String>) {
        let path = "/api/v1/admin/reviews?state=all&limit=1";
        let listed = self.teller.client.get(path).await.expect(200);
        let review = listed.body["data"][0].clone();
        let name = |rule: &Value| rule.as_str().unwrap().split('/').next().unwrap().to_owned();
        let rules = review["rules"]
            .as_array()
            .map_or_else(BTreeSet::new, |rules| rules.iter().map(name).collect());
        (review["id"].as_str().unwrap_or_default().to_owned(), rules)
    }
}

async fn every_rule_stops_what_it_is_for_and_lets_the_ordinary_go(server: Server) {
    let town = town(server).await;
    let cases = cases(&town);
    let told: BTreeSet<String> = cases
        .iter()
        .map(|case| case.rule)
        .chain(TOLD_ELSEWHERE.iter().copied())
        .map(str::to_owned)
        .collect();
    let shipped = RuleSet::default();
    let shipped: BTreeSet<String> = shipped.rules().iter().map(|rule| rule.id.clone()).collect();
    assert_eq!(told, shipped, "every rule has its story");
    for case in &cases {
        let before = town.newest().await.0;
        let nobody = Past::new(town.now);
        let sent = town
            .pays(Some(&case.ordinary), &nobody, case.minor[1], case.to)
            .await;
        let sent = sent.expect(201);
        assert_eq!(
            sent.body["state"],
            "posted",
            "{}: {:?}",
            case.rule,
            town.newest().await
        );
        assert_eq!(
            town.newest().await.0,
            before,
            "{}: something was noted",
            case.rule
        );

        let sent = town
            .pays(case.past.as_ref(), &case.payee, case.minor[0], case.to)
            .await;
        let (id, rules) = if case.declined {
            let refused = sent.refused(422, "transfer_declined");
            // The customer is told nothing of why.
            assert!(!refused.body.to_string().contains(case.rule));
            let (id, rules) = town.newest().await;
            assert_ne!(id, before, "{}: nothing was noted", case.rule);
            (id, rules)
        } else {
            let sent = sent.expect(201);
            assert_eq!(sent.body["state"], "pending_review", "{}: {sent:?}", case.rule);
            assert!(!sent.body.to_string().contains(case.rule));
            let (id, rules) = town.newest().await;
            assert_eq!(id, sent.text("id"), "{}", case.rule);
            (id, rules)
        };
        assert!(rules.contains(case.rule), "{}: {id} met {rules:?}", case.rule);
    }
    is_clean(&town.server);
}

async fn a_real_journey_and_a_real_spree_are_stopped_without_any_row_written_for_them(server: Server) {
    let town = town(server).await;
    let sent = town
        .alice
        .transfer(&new_key(), &town.from, &town.known, 2_500)
        .await;
    assert_eq!(sent.expect(201).body["state"], "posted");
    // From another network, minutes later, to somebody new.
    let abroad = town
        .server
        .client_from("127.77.0.9")
        .with_token(town.alice.client.token());
    let body = transfer_body(&town.from, &town.new, 25_000);
    let sent = abroad
        .post_once("/api/v1/transfers", &new_key(), body.clone())
        .await;
    let sent = sent.expect(201);
    assert_eq!(sent.body["state"], "pending_review");
    let (id, rules) = town.newest().await;
    assert_eq!(
        (id, rules),
        (sent.text("id"), ["impossible_travel".to_owned()].into())
    );
    // The same from where she was before is nothing unusual.
    let sent = town
        .alice
        .client
        .post_once("/api/v1/transfers", &new_key(), body)
        .await;
    assert_eq!(sent.expect(201).body["state"], "posted");

    let carol = town.server.customer("carol").await;
    let from = carol.account("Household").await;
    town.teller.deposit(&from, 90_000_000).await.expect(201);
    let mut states = Vec::new();
    for _ in 0..15 {
        let sent = carol
            .transfer(&new_key(), &from, &town.known, 100_000)
            .await
            .expect(201);
        states.push(sent.text("state"));
    }
    let (last, before) = states.split_last().unwrap();
    assert!(before.iter().all(|state| state == "posted"), "{states:?}");
    assert_eq!(last, "pending_review");
    assert_eq!(town.newest().await.1, ["velocity_amount".to_owned()].into());
    is_clean(&town.server);
}

async fn whoever_lost_a_password_pays_nobody_new_unseen(server: Server) {
    let town = town(server).await;
    let sent = town
        .alice
        .transfer(&new_key(), &town.from, &town.known, 2_500)
        .await;
    assert_eq!(sent.expect(201).body["state"], "posted");
    let client = town.server.client();
    let forgot = json!({"email": town.alice.email});
    client
        .post("/api/v1/auth/password/forgot", forgot)
        .await
        .expect(202);
    town.server
        .mail_with(&town.alice.email, "Reset your password")
        .await;
    let token = town.server.mailed_token(&town.alice.email).await;
    let new = "another-Quite-Long-passphrase-7";
    let reset = json!({"token": token, "new_password": new});
    client
        .post("/api/v1/auth/password/reset", reset)
        .await
        .expect(204);
    let alice = town.server.login(&town.alice.email, new).await;
    let sent = alice.transfer(&new_key(), &town.from, &town.known, 2_500).await;
    assert_eq!(
        sent.expect(201).body["state"],
        "posted",
        "whoever was paid before is paid"
    );
    let sent = alice
        .transfer(&new_key(), &town.from, &town.new, 2_500)
        .await
        .expect(201);
    assert_eq!(sent.body["state"], "pending_review");
    let (id, rules) = town.newest().await;
    assert_eq!(
        (id, rules),
        (sent.text("id"), ["takeover_new_payee".to_owned()].into())
    );
}
