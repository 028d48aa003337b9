//! Everybody who asks: nobody, customers, each role, and those who should not have been let in.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use strongroom_crypto::{
    AccessTokens, ExposeSecret, NewToken,
    keyring::{FileProvider, KeyProvider},
};
use tokio::sync::OnceCell;

use super::{Object, Operation, recipes::bind_passkey};
use crate::{
    beneficiaries::{BENEFICIARIES, elsewhere, entry, fresh, pay},
    harness::{
        Answer, Person, Server,
        people::{new_key, transfer_body},
        server::literal,
    },
};

/// The roles of operators.
const OPERATORS: &[&str] = &["support", "teller", "auditor", "compliance", "admin"];
/// Their names with one factor.
const LOW: &[&str] = &[
    "support, one factor",
    "teller, one factor",
    "auditor, one factor",
    "compliance, one factor",
    "admin, one factor",
];
/// Every scope that a key can have.
const SCOPES: &str = "accounts:read,accounts:write,transfers:read,transfers:write,deposits:write,payments:write,\
                      cards:authorize,webhooks:manage,statements:read";
/// The thumbprint of some key.
const BOUND_TO: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
/// A scope that no operation of the matrix asks for.
const OTHER_SCOPE: &str = "webhooks:manage";

static FRESH: AtomicU32 = AtomicU32::new(0);

/// What a request shows.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    None,
    Bearer(String),
    Key { id: String, key: String, secret: String },
}

impl Credential {
    pub(crate) fn of(person: &Person) -> Self {
        Self::Bearer(person.client.token().to_owned())
    }
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// As the table calls them.
    pub(crate) name: &'static str,
    pub(crate) credential: Credential,
    /// The person, where the credential is one that should be let in.
    pub(crate) person: Option<Person>,
    /// Whether "own" accounts are this person's.
    pub(crate) owns_accounts: bool,
}

impl Member {
    const fn outsider(name: &'static str, credential: Credential) -> Self {
        Self {
            name,
            credential,
            person: None,
            owns_accounts: false,
        }
    }

    fn of(name: &'static str, person: Person, owns_accounts: bool) -> Self {
        Self {
            name,
            credential: Credential::of(&person),
            person: Some(person),
            owns_accounts,
        }
    }
}

/// Everybody, and the things that requests are about.
pub(crate) struct Cast {
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    /// Customers whose logins are locked and disabled.
    pub(crate) victim_ids: [String; 2],
    pub(crate) teller: Person,
    pub(crate) admin: Person,
    /// A second administrator, who asks for what the first decides.
    pub(crate) maker: Person,
    pub(crate) auditor: Person,
    /// Alice's and Bob's, with money.
    pub(crate) accounts: [Value; 2],
    /// A second one of each, empty.
    pub(crate) other_accounts: [Value; 2],
    /// A transfer of each between own accounts, and the key it was sent under.
    pub(crate) transfers: [(Value, String); 2],
    /// The ids of a beneficiary of Bob's, and of a payment to it that has not left.
    pub(crate) beneficiary_of_bob: (String, String),
    /// The id of a passkey that is Bob's.
    pub(crate) passkey_of_bob: String,
    /// The id of a key that Bob made for a program of his.
    pub(crate) key_of_bob: String,
    /// The id of a policy in force, once somebody needs one.
    pub(crate) policy_in_force: OnceCell<String>,
    /// Whether other rules about fraud than the program's are in force, once somebody needs them.
    pub(crate) rules_in_force: OnceCell<()>,
    members: Vec<Member>,
}

impl Cast {
    /// Makes everybody. The server stops once, so that what the database says is read anew.
    pub(crate) async fn gather(mut server: Server) -> (Server, Self) {
        let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
        let mut victim_ids = Vec::new();
        for name in ["dave", "erin"] {
            let me = server
                .customer(name)
                .await
                .client
                .get("/api/v1/me")
                .await
                .expect(200);
            victim_ids.push(me.text("id"));
        }
        let stranger = server.customer("carol").await;
        let mut members = vec![
            Member::outsider("nobody", Credential::None),
            Member::of("customer", alice.clone(), true),
            Member::of("stranger", stranger, false),
        ];
        let (mut people, mut lowered) = (Vec::new(), Vec::new());
        for (role, low) in OPERATORS.iter().zip(LOW) {
            let person = server.operator(role).await;
            people.push(person.clone());
            members.push(Member::of(role, person, false));
            let person = server.operator(role).await;
            members.push(Member::outsider(low, Credential::of(&person)));
            lowered.push(person);
        }
        people.push(server.operator("admin").await);
        let bound = [server.operator("teller").await];
        let over = [server.operator("teller").await];
        for (name, person) in [
            ("teller, of Bob's department", &bound[0]),
            ("teller, role over", &over[0]),
        ] {
            members.push(Member::outsider(name, Credential::of(person)));
        }
        let changes = Changes {
            lowered: &lowered,
            fresh: &people,
            bound: &bound,
            placed: std::slice::from_ref(&bob),
            over: &over,
        };
        changes.make(&mut server).await;
        let [_, teller, auditor, _, admin, maker]: [Person; 6] = people.try_into().unwrap();
        for (name, person) in [("expired, customer", &alice), ("expired, admin", &admin)] {
            members.push(Member::outsider(
                name,
                Credential::Bearer(token_of(&server, person, 3_600, None)),
            ));
        }
        // Bound to a key that nobody shows.
        members.push(Member::outsider(
            "bound, customer",
            Credential::Bearer(token_of(&server, &alice, 0, Some(BOUND_TO))),
        ));
        members.push(Member::outsider(
            "revoked, customer",
            revoked(&server, &alice).await,
        ));
        for (name, role, scopes) in [
            ("key, teller, every scope", "teller", SCOPES),
            ("key, teller, another scope", "teller", OTHER_SCOPE),
            ("key, auditor, every scope", "auditor", SCOPES),
        ] {
            members.push(Member::outsider(name, api_key(&server, role, scopes)));
        }
        let scopes: Vec<&str> = SCOPES.split(',').collect();
        let own = make_key(&server, &alice, &scopes).await;
        members.push(Member::outsider(
            "key, customer, every scope",
            Credential::Key {
                id: own.text("id"),
                key: own.text("key"),
                secret: own.text("signing_secret"),
            },
        ));
        let mut accounts = Vec::new();
        let mut other_accounts = Vec::new();
        let mut transfers = Vec::new();
        for person in [&alice, &bob] {
            let (from, to) = (person.account("Main").await, person.account("Other").await);
            teller.deposit(&from, 1_000_000).await.expect(201);
            let key = new_key();
            let transfer = person.transfer(&key, &from, &to, 100).await.expect(201).body;
            transfers.push((transfer, key));
            accounts.push(from);
            other_accounts.push(to);
        }
        let key_of_bob = make_key(&server, &bob, &["accounts:read"]).await.text("id");
        let beneficiary_of_bob = beneficiary_of(&server, &bob, &accounts[1]).await;
        bind_passkey(&server, &bob.client).await;
        let listed = bob.client.get("/api/v1/me/passkeys").await.expect(200);
        let cast = Self {
            alice,
            bob,
            victim_ids: victim_ids.try_into().unwrap(),
            teller,
            admin,
            maker,
            auditor,
            accounts: accounts.try_into().unwrap(),
            other_accounts: other_accounts.try_into().unwrap(),
            transfers: transfers.try_into().unwrap(),
            key_of_bob,
            beneficiary_of_bob,
            passkey_of_bob: listed.body["data"][0]["id"].as_str().unwrap().to_owned(),
            policy_in_force: OnceCell::new(),
            rules_in_force: OnceCell::new(),
            members,
        };
        (server, cast)
    }

    /// Who asks for this operation: everybody, or nobody in particular where no credential is looked at.
    pub(crate) fn members(&self, operation: &Operation) -> Vec<Member> {
        let looks_at_none = operation.is_public && !operation.takes_credentials;
        let count = if looks_at_none { 1 } else { self.members.len() };
        self.members.iter().take(count).cloned().collect()
    }

    /// The same caller as somebody new, where the request will cost the caller session, factor or password.
    pub(crate) async fn fresh(
        &self,
        server: &Server,
        operation: &str,
        member: &Member,
        object: Object,
    ) -> Member {
        let Some(person) = &member.person else {
            return member.clone();
        };
        if !super::recipes::costs_the_caller(operation, object) {
            return member.clone();
        }
        let number = FRESH.fetch_add(1, Ordering::Relaxed);
        let is_operator = person.email.ends_with("@bank.example");
        let fresh = if is_operator {
            server.operator(member.name).await
        } else {
            server.customer(&format!("fresh{number}")).await
        };
        Member::of(member.name, fresh, false)
    }

    /// The index of the things of an object's owner.
    pub(crate) fn index(object: Object) -> usize {
        usize::from(object == Object::Anothers)
    }
}

/// What cannot be waited or asked for, and is changed as the owner of the database would while the server is down.
struct Changes<'a> {
    /// Whose sessions become ones of one factor.
    lowered: &'a [Person],
    /// Whose sessions stay fresh however long the walk takes.
    fresh: &'a [Person],
    /// Whose roles count in one department.
    bound: &'a [Person],
    /// Who belongs there.
    placed: &'a [Person],
    /// Whose roles are over.
    over: &'a [Person],
}

impl Changes<'_> {
    async fn make(&self, server: &mut Server) {
        let engine = server.engine;
        let sessions = |people: &[Person]| {
            let ids = people
                .iter()
                .map(|person| literal(engine, person.tokens["session_id"].as_str().unwrap()));
            ids.collect::<Vec<_>>().join(", ")
        };
        let owners =
            |people: &[Person]| format!("(SELECT person FROM sessions WHERE id IN ({}))", sessions(people));
        let hour = 3_600_000_000_i64;
        let all = [
            (
                self.lowered,
                format!(
                    "UPDATE sessions SET assurance = 1 WHERE id IN ({})",
                    sessions(self.lowered)
                ),
            ),
            (
                self.fresh,
                format!(
                    "UPDATE sessions SET proved_at = created_at + {hour} WHERE id IN ({})",
                    sessions(self.fresh)
                ),
            ),
            (
                self.bound,
                format!(
                    "UPDATE grants SET department = 'north' WHERE person IN {}",
                    owners(self.bound)
                ),
            ),
            (
                self.placed,
                format!(
                    "UPDATE users SET department = 'north' WHERE id IN {}",
                    owners(self.placed)
                ),
            ),
            (
                self.over,
                format!(
                    "UPDATE grants SET expires_at = granted_at + 1 WHERE person IN {}",
                    owners(self.over)
                ),
            ),
        ];
        let (people, statements): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let changed = server.change_while_down(&statements).await;
        let counts: Vec<u64> = people
            .into_iter()
            .map(|people| u64::try_from(people.len()).unwrap())
            .collect();
        assert_eq!(changed, counts);
    }
}

/// A token of this person's session that was made so many seconds ago and was good for a quarter of an hour.
#[expect(
    clippy::disallowed_methods,
    reason = "a token is old by the clock of the host"
)]
fn token_of(server: &Server, person: &Person, age_secs: i64, bound_to: Option<&str>) -> String {
    let ring = FileProvider::plain(server.data().join("keys").join("keyring"));
    let ring = ring.load(0).unwrap().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let url = server.url().trim_end_matches('/');
    let made_at = i64::try_from(now.as_micros()).unwrap() - age_secs * 1_000_000;
    let token = NewToken {
        subject: "user_01jd3vw4ezfkx8y0q4sfcmj2t9",
        session: person.tokens["session_id"].as_str().unwrap(),
        token_id: "matrix",
        methods: &["pwd"],
        assurance: "aal2",
        bound_to,
        now: made_at,
        lifetime_secs: 900,
    };
    AccessTokens::new(url, url, "strongroom")
        .issue(&ring, token)
        .expose_secret()
        .to_owned()
}

async fn revoked(server: &Server, person: &Person) -> Credential {
    let visitor = server.login(&person.email, &person.password).await;
    visitor.client.get("/api/v1/me").await.expect(200);
    let body = json!({"refresh_token": visitor.tokens["refresh_token"]});
    server
        .visitor()
        .post("/api/v1/auth/logout", body)
        .await
        .expect(204);
    Credential::of(&visitor)
}

fn api_key(server: &Server, role: &str, scopes: &str) -> Credential {
    let arguments = [
        "api-key", "add", "--name", "matrix", "--role", role, "--scopes", scopes, "--json",
    ];
    let (ok, out, err) = server.cli(&arguments);
    assert!(ok, "{out}{err}");
    let made: Value = serde_json::from_str(&out).unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Credential::Key {
        id: text("id"),
        key: text("key"),
        secret: text("signing_secret"),
    }
}

/// A key for a program of a customer's, made in another session, with the password as long as that is a proof.
async fn make_key(server: &Server, person: &Person, scopes: &[&str]) -> Answer {
    let again = server.login(&person.email, &person.password).await;
    let body = json!({"method": "password", "code": person.password});
    let set = again.client.post("/api/v1/auth/step-up", body).await.expect(200);
    let client = again.client.with_token(&set.text("access_token"));
    let wish = json!({"name": "Matrix", "scopes": scopes});
    client.post("/api/v1/api-keys", wish).await.expect(201)
}

/// A transfer of one unit between two accounts.
pub(crate) fn small_transfer(from: &Value, to: &Value) -> Value {
    transfer_body(from, to, 1)
}

/// Puts somebody on a customer's list, and pays.
pub(crate) async fn beneficiary_of(server: &Server, owner: &Person, from: &Value) -> (String, String) {
    let proved = fresh(server, owner).await;
    let number = elsewhere(u64::from(FRESH.fetch_add(1, Ordering::Relaxed)));
    let added = proved
        .client
        .post(BENEFICIARIES, entry("Carla Landlord", &number))
        .await;
    let id = added.expect(201).text("id");
    let paid = pay(&proved.client, from, &id, 100).await.expect(201);
    (id, paid.text("id"))
}
