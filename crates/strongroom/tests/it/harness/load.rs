//! Load: clients that move money among a few accounts and remember what they asked and what they were told, and a check
//! of the whole books against that memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};

use super::{
    Answer, Client, Person, Server,
    people::{new_key, transfer_body},
};

/// What every account begins with, minor units: more than any story moves.
pub(crate) const OPENING: i64 = 10_000_000;
/// Pause of a client that was told to come back. Shorter than `Retry-After` says, which makes it harder for the server.
const PAUSE: Duration = Duration::from_millis(25);
/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// One transfer that a client wants, under its own key.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    /// The idempotency key.
    pub(crate) key: String,
    from: usize,
    to: usize,
    minor: i64,
}

/// What a client was told about one intent.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What it wanted.
    pub(crate) intent: Intent,
    /// The refusals before.
    pub(crate) refusals: Vec<Answer>,
    /// The acknowledgement, if one came.
    pub(crate) acknowledged: Option<Answer>,
}

#[derive(Debug, Clone)]
struct Place {
    owner: usize,
    account: Value,
}

/// A few people with accounts, on one node or on several.
#[derive(Debug)]
pub(crate) struct Town {
    /// The same people, logged in at each node.
    nodes: Vec<Vec<Person>>,
    places: Vec<Place>,
    /// What every transfer says.
    text: String,
    /// By key: what was acknowledged.
    booked: BTreeMap<String, (Intent, Answer)>,
}

impl Town {
    /// Two people with four accounts each; the first account is the hot one.
    pub(crate) async fn build(server: &Server) -> Self {
        let people = vec![server.customer("alice").await, server.customer("bob").await];
        let teller = server.operator("teller").await;
        let mut places = Vec::new();
        for number in 0..8 {
            let owner = number % people.len();
            let account = people[owner].account(&format!("Account {number}")).await;
            teller.deposit(&account, OPENING).await.expect(201);
            places.push(Place { owner, account });
        }
        Self {
            nodes: vec![people],
            places,
            text: "a transfer under load".to_owned(),
            booked: BTreeMap::new(),
        }
    }

    /// Logs everybody in at one more node.
    pub(crate) async fn join(&mut self, node: &Server) {
        let mut people = Vec::new();
        for person in &self.nodes[0] {
            people.push(node.login(&person.email, &person.password).await);
        }
        self.nodes.push(people);
    }

    /// Everybody goes in by this door from now on, with the tokens that they have.
    pub(crate) fn go_through(&mut self, door: &Client) {
        for person in self.nodes.iter_mut().flatten() {
            person.client = door.with_token(person.client.token());
        }
    }

    /// Every transfer from now on says this.
    pub(crate) fn say(&mut self, text: String) {
        self.text = text;
    }

    /// Everybody, at the first node.
    pub(crate) fn people(&self) -> &[Person] {
        &self.nodes[0]
    }

    /// The first person, at the first node.
    pub(crate) fn somebody(&self) -> &Person {
        &self.nodes[0][0]
    }

    /// The first person's two first accounts.
    pub(crate) fn pair(&self) -> (&Value, &Value) {
        (&self.places[0].account, &self.places[2].account)
    }

    /// A transfer out of the hot account that nobody asked for yet.
    pub(crate) fn wish(&self) -> Intent {
        Intent {
            key: new_key(),
            from: 0,
            to: 1,
            minor: 1,
        }
    }

    fn sender(&self, node: usize, intent: &Intent) -> (Person, Value) {
        let from = &self.places[intent.from];
        let person = self.nodes[node % self.nodes.len()][from.owner].clone();
        let to = &self.places[intent.to].account;
        let mut body = transfer_body(&from.account, to, intent.minor);
        body["description"] = Value::from(self.text.as_str());
        (person, body)
    }

    /// Asks for an intent once; `None` where no answer came.
    pub(crate) async fn ask(&self, node: usize, intent: &Intent) -> Option<Answer> {
        let (person, body) = self.sender(node, intent);
        let request = person.client.request(reqwest::Method::POST, "/api/v1/transfers");
        let request = request.header("Idempotency-Key", &intent.key).json(&body);
        person.client.try_send(request).await.ok()
    }

    /// Notes an acknowledgement: the first one, or a repetition with the same content.
    pub(crate) fn note(&mut self, intent: Intent, answer: Answer) {
        assert_eq!(answer.status, 201, "{answer:?}");
        if let Some((_, first)) = self.booked.get(&intent.key) {
            assert_eq!(first.body, answer.body, "one key, two answers");
        }
        self.booked.insert(intent.key.clone(), (intent, answer));
    }

    /// Starts clients that send one transfer after the other until they are stopped or nobody answers.
    pub(crate) fn load(self: &Arc<Self>, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let ((count, acknowledged), (refuse, refused)) = (watch::channel(0_usize), watch::channel(0_usize));
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (town, stop) = (self.clone(), stop.clone());
            let counts = (count.clone(), refuse.clone());
            tasks.spawn(async move { town.client(number, &stop, &counts).await });
        }
        Load {
            stop,
            acknowledged,
            refused,
            tasks,
        }
    }

    async fn client(
        &self,
        number: usize,
        stop: &AtomicBool,
        (count, refused): &(watch::Sender<usize>, watch::Sender<usize>),
    ) -> Vec<Heard> {
        let mut dice = Dice::new(number);
        let mut heard = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let mut one = Heard {
                intent: self.draw(&mut dice),
                refusals: Vec::new(),
                acknowledged: None,
            };
            let gone = loop {
                match self.ask(number, &one.intent).await {
                    Some(answer) if answer.status == 201 => {
                        one.acknowledged = Some(answer);
                        count.send_modify(|count| *count += 1);
                        break false;
                    }
                    Some(refusal) => {
                        one.refusals.push(refusal);
                        refused.send_modify(|count| *count += 1);
                    }
                    None => break true,
                }
                if stop.load(Ordering::Acquire) {
                    break false;
                }
                tokio::time::sleep(PAUSE).await;
            };
            heard.push(one);
            if gone {
                break;
            }
        }
        heard
    }

    /// Half of all transfers touch the hot account.
    fn draw(&self, dice: &mut Dice) -> Intent {
        let places = self.places.len();
        let (mut from, hot) = (dice.below(places), dice.below(4));
        let mut to = (from + 1 + dice.below(places - 1)) % places;
        match hot {
            0 => from = 0,
            1 => to = 0,
            _ => {}
        }
        if from == to {
            to = (from + 1) % places;
        }
        Intent {
            key: new_key(),
            from,
            to,
            minor: i64::try_from(1 + dice.below(97)).unwrap(),
        }
    }

    /// Repeats with their keys what got no acknowledgement until each has one, and notes all of it.
    pub(crate) async fn settle(self: &mut Arc<Self>, heard: Vec<Heard>) {
        let mut tasks = JoinSet::new();
        for (number, one) in heard.into_iter().enumerate() {
            let town = self.clone();
            tasks.spawn(async move {
                if let Some(answer) = one.acknowledged {
                    return (one.intent, answer);
                }
                let asking = async {
                    loop {
                        match town.ask(number, &one.intent).await {
                            Some(answer) if answer.status == 201 => return answer,
                            Some(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                            None => {}
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                };
                let answer = tokio::time::timeout(PATIENCE, asking).await;
                (one.intent, answer.expect("a retry is answered in the end"))
            });
        }
        let settled = tasks.join_all().await;
        let town = Arc::get_mut(self).expect("no client runs any more");
        settled
            .into_iter()
            .for_each(|(intent, answer)| town.note(intent, answer));
    }

    /// Compares every balance and every line of every history with what was acknowledged.
    pub(crate) async fn check(&self) {
        let ids: BTreeSet<_> = self
            .booked
            .values()
            .map(|(_, answer)| suffix(&answer.text("id")))
            .collect();
        assert_eq!(ids.len(), self.booked.len(), "an id was given to two transfers");
        let mut total = 0;
        for (index, place) in self.places.iter().enumerate() {
            total += self.check_place(index, place).await;
        }
        assert_eq!(total, OPENING * i64::try_from(self.places.len()).unwrap());
    }

    async fn check_place(&self, index: usize, place: &Place) -> i64 {
        let mut expected = BTreeMap::new();
        for (intent, answer) in self.booked.values() {
            let minor = match (intent.from == index, intent.to == index) {
                (true, false) => -intent.minor,
                (false, true) => intent.minor,
                _ => continue,
            };
            expected.insert(suffix(&answer.text("id")), minor);
        }
        let owner = &self.nodes[0][place.owner];
        let lines = whole_history(owner, &place.account).await;
        assert_eq!(
            lines.len(),
            expected.len() + 1,
            "lines of account {index}, its opening included"
        );
        let mut balance = 0;
        for (sequence, line) in (1_u64..).zip(lines.iter().rev()) {
            assert_eq!(
                line["sequence"].as_u64(),
                Some(sequence),
                "account {index}: {line}"
            );
            let minor = line["amount"]["amount"].as_i64().unwrap();
            balance += minor;
            assert_eq!(
                line["balance_after"].as_i64(),
                Some(balance),
                "account {index}: {line}"
            );
            let id = suffix(line["transaction_id"].as_str().unwrap());
            let known = if sequence == 1 {
                Some(OPENING)
            } else {
                expected.remove(&id)
            };
            assert_eq!(known, Some(minor), "account {index}: {line}");
        }
        assert_eq!(owner.posted(&place.account).await, balance, "account {index}");
        balance
    }

    /// How many transfers were acknowledged.
    pub(crate) fn booked(&self) -> usize {
        self.booked.len()
    }

    /// The command line finds log and books whole, with every transfer and every opening in them and no other.
    pub(crate) fn verify(&self, server: &Server) {
        let (clean, said, error) = server.cli(&["audit", "verify", "--json"]);
        assert!(clean, "{said}{error}");
        let said: Value = serde_json::from_str(&said).unwrap();
        let expected = u64::try_from(self.booked.len() + self.places.len()).unwrap();
        assert_eq!(said["transactions"].as_u64(), Some(expected), "{said}");
    }
}

/// Every line of an account's history, newest first.
pub(crate) async fn whole_history(owner: &Person, account: &Value) -> Vec<Value> {
    let base = format!(
        "/api/v1/accounts/{}/transactions?limit=100",
        account["id"].as_str().unwrap()
    );
    let (mut lines, mut next) = (Vec::new(), base.clone());
    loop {
        let page = owner.client.get(&next).await.expect(200);
        lines.extend(page.body["data"].as_array().unwrap().iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(cursor) => next = format!("{base}&cursor={cursor}"),
            None => return lines,
        }
    }
}

/// A transaction has one id with a prefix for each of its views.
fn suffix(id: &str) -> String {
    id.rsplit('_').next().unwrap_or(id).to_owned()
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: watch::Receiver<usize>,
    refused: watch::Receiver<usize>,
    tasks: JoinSet<Vec<Heard>>,
}

impl Load {
    /// Waits until so many more transfers are acknowledged than now.
    pub(crate) async fn more(&mut self, count: usize) {
        let goal = *self.acknowledged.borrow() + count;
        let reached = self.acknowledged.wait_for(|now| *now >= goal);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.expect("transfers go on").expect("clients are there");
    }

    /// Waits until somebody was refused.
    pub(crate) async fn until_refused(&self) {
        let mut refused = self.refused.clone();
        let reached = tokio::time::timeout(PATIENCE, refused.wait_for(|count| *count > 0)).await;
        reached.expect("a refusal in time").expect("clients are there");
    }

    /// Waits for the clients, who stop when nobody answers.
    pub(crate) async fn ended(self) -> Vec<Heard> {
        let all = tokio::time::timeout(PATIENCE, self.tasks.join_all()).await;
        all.expect("clients end").into_iter().flatten().collect()
    }

    /// Stops the clients after the answer that each waits for.
    pub(crate) async fn stop(self) -> Vec<Heard> {
        self.stop.store(true, Ordering::Release);
        self.ended().await
    }
}

/// A small generator, so that a run can be told by its seed.
struct Dice(u64);

impl Dice {
    fn new(seed: usize) -> Self {
        let seed = u64::try_from(seed).unwrap();
        Self(0x9e37_79b9_7f4a_7c15 ^ (seed + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}
