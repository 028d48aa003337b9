//! Somebody's program that is told of things: takes requests in plain HTTP on this machine, or refuses them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// What messages are signed with.
pub(crate) const SECRET: &str = "a-secret-of-the-bank-and-its-pager";
/// How long a message may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// The body, as JSON.
    pub(crate) body: Value,
    /// Whether its signature is right.
    pub(crate) is_signed: bool,
}

/// The program.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    url: String,
    taken: Arc<Mutex<Vec<Message>>>,
    refused: Arc<Mutex<Vec<Message>>>,
    more: Arc<Notify>,
    takes: Arc<AtomicBool>,
}

impl Webhook {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let made = Self {
            url: format!("http://{}/alerts", listener.local_addr().unwrap()),
            taken: Arc::default(),
            refused: Arc::default(),
            more: Arc::default(),
            takes: Arc::new(AtomicBool::new(true)),
        };
        let hook = made.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let hook = hook.clone();
                tokio::spawn(async move { hook.serve(stream).await });
            }
        });
        made
    }

    /// The settings that name it.
    pub(crate) fn settings(&self) -> [(&'static str, &str); 2] {
        [
            ("STRONGROOM_ALERTS__WEBHOOK_URL", &self.url),
            ("STRONGROOM_ALERTS__WEBHOOK_SECRET", SECRET),
        ]
    }

    /// From now on it takes messages, or answers 503.
    pub(crate) fn take(&self, takes: bool) {
        self.takes.store(takes, Ordering::SeqCst);
    }

    pub(crate) fn taken(&self) -> Vec<Message> {
        self.taken.lock().unwrap().clone()
    }

    /// Messages of this rule, once there is one.
    pub(crate) async fn of_rule(&self, rule: &str) -> Vec<Message> {
        self.wait(&self.taken, rule).await
    }

    /// Messages of this rule that it did not take, once there is one.
    pub(crate) async fn refused_of_rule(&self, rule: &str) -> Vec<Message> {
        self.wait(&self.refused, rule).await
    }

    async fn wait(&self, list: &Mutex<Vec<Message>>, rule: &str) -> Vec<Message> {
        let found = async {
            loop {
                let more = self.more.notified();
                let mut found = list.lock().unwrap().clone();
                found.retain(|message| message.body["rule"] == rule);
                if !found.is_empty() {
                    return found;
                }
                more.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("nobody told of {rule}"))
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let pairs = text.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers: HashMap<String, String> = pairs
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers["content-length"].parse().unwrap();
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = &bytes[head..head + length];
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let signed = [
            headers["webhook-id"].as_bytes(),
            b".",
            headers["webhook-timestamp"].as_bytes(),
            b".",
            body,
        ]
        .concat();
        let expected = format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed)));
        let takes = self.takes.load(Ordering::SeqCst);
        let message = Message {
            is_signed: headers["webhook-signature"] == expected,
            body: serde_json::from_slice(body).unwrap(),
            headers,
        };
        let list = if takes { &self.taken } else { &self.refused };
        list.lock().unwrap().push(message);
        self.more.notify_waiters();
        let status = if takes {
            "204 No Content"
        } else {
            "503 Service Unavailable"
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}
