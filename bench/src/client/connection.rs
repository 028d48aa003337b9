//! One keep-alive connection: writes a request as it comes, reads one answer, looks at no more of it than needed.

use std::{io, net::SocketAddr, ops::Range, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::outcome::Outcome;

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where to connect, and whose certificate to believe.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Target {
    /// A server on this machine whose authority's certificate lies in a file.
    pub(crate) fn new(address: SocketAddr, authority: &Path) -> Outcome<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            address,
            name: ServerName::try_from("localhost")?,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        Ok(Connection {
            stream,
            buffer: vec![0; 16 * 1024],
            filled: 0,
        })
    }
}

/// One connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    /// How much of the buffer was read.
    filled: usize,
}

/// An answer; its parts are in the connection's buffer until the next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    body: Range<usize>,
}

impl Connection {
    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// When the connection ends or the answer is none that this client reads. The connection is of no use any more.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.filled = 0;
        loop {
            if self.filled == self.buffer.len() {
                if self.filled >= ANSWER_BYTES_MAX {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the answer is too long",
                    ));
                }
                self.buffer.resize(self.filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += read;
            if let Some(reply) = parse(&self.buffer[..self.filled])? {
                return Ok(reply);
            }
        }
    }

    pub(crate) fn body(&self, reply: &Reply) -> &[u8] {
        &self.buffer[reply.body.clone()]
    }

    /// The `code` of a problem document, or the status where there is none.
    pub(crate) fn code(&self, reply: &Reply) -> String {
        let text = std::str::from_utf8(self.body(reply)).unwrap_or_default();
        let code = text
            .split_once("\"code\":\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(code, _)| code);
        code.map_or_else(|| reply.status.to_string(), str::to_owned)
    }
}

/// A whole answer, or `None` while more has to come.
fn parse(bytes: &[u8]) -> io::Result<Option<Reply>> {
    let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &bytes[..end];
    let status = head
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    let Some(status) = status else {
        return wrong("no status line");
    };
    let length = match content_length(head) {
        Some(length) => length,
        None if status == 204 || status == 304 => 0,
        None => return wrong("no content-length"),
    };
    let start = end + 4;
    if bytes.len() < start + length {
        return Ok(None);
    }
    if bytes.len() > start + length {
        return wrong("more than one answer");
    }
    Ok(Some(Reply {
        status,
        body: start..start + length,
    }))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        if !name.eq_ignore_ascii_case(NAME) {
            return None;
        }
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_only_when_it_is_whole() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]).expect("it is well so far"), None);
        }
        let reply = parse(whole).expect("it is well").expect("it is whole");
        assert_eq!((reply.status, &whole[reply.body]), (201, &b"{}"[..]));
    }

    #[test]
    fn no_content_needs_no_length_and_other_answers_do() {
        let empty = parse(b"HTTP/1.1 204 No Content\r\n\r\n").expect("it is well");
        assert_eq!(empty.expect("it is whole").body.len(), 0);
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"garbage\r\n\r\n").is_err());
    }
}
