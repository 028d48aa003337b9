//! A browser as far as a server sees one: cookies, no redirect followed by itself, an address of its own.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use reqwest::{Certificate, Method, header, redirect};

use super::Server;

static ADDRESSES: AtomicU32 = AtomicU32::new(1);

/// What a page answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

impl Page {
    /// Itself, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// Where it leads.
    #[track_caller]
    pub(crate) fn leads_to(self, place: &str) -> Self {
        assert_eq!((self.status, self.header("location")), (303, place), "{self:?}");
        self
    }
}

/// A browser.
#[derive(Debug)]
pub(crate) struct Browser {
    http: reqwest::Client,
    url: String,
    /// By name.
    pub(crate) cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// Without cookies, at an address that no other browser has.
    pub(crate) fn new(server: &Server) -> Self {
        let number = ADDRESSES.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Self::at(server, Ipv4Addr::new(127, 77, number[2], number[3]))
    }

    /// Without cookies, at an address.
    pub(crate) fn at(server: &Server, address: Ipv4Addr) -> Self {
        let authority = Certificate::from_pem(server.authority().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .redirect(redirect::Policy::none())
            .local_address(IpAddr::V4(address))
            .http1_only()
            .build()
            .unwrap();
        Self {
            http,
            url: server.url().trim_end_matches('/').to_owned(),
            cookies: Mutex::default(),
        }
    }

    /// A request to a path of the server, with all cookies.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let jar = self.cookies.lock().unwrap();
        let cookies: Vec<String> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = self.http.request(method, format!("{}{path}", self.url));
        if cookies.is_empty() {
            request
        } else {
            request.header(header::COOKIE, cookies.join("; "))
        }
    }

    /// Sends a request and keeps the cookies of its answer.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        {
            let mut jar = self.cookies.lock().unwrap();
            for set in headers.get_all(header::SET_COOKIE) {
                let set = set.to_str().unwrap();
                let (pair, rest) = set.split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                if rest.contains("Max-Age=0") {
                    jar.remove(name);
                } else {
                    jar.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Page {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    /// Opens a path.
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path)).await
    }

    /// A cookie's value.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    /// Takes the other's cookies.
    pub(crate) fn take_cookies_of(&self, other: &Self) {
        let theirs = other.cookies.lock().unwrap().clone();
        *self.cookies.lock().unwrap() = theirs;
    }
}

/// The values of a URL's query.
pub(crate) fn query_of(url: &str) -> BTreeMap<String, String> {
    let url: reqwest::Url = url.parse().unwrap();
    url.query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}
