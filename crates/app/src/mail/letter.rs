//! How a mail is laid out: as text, as HTML without anything from elsewhere, and as a message (RFC 5322).

use std::time::{Duration, SystemTime};

use askama::Template;
use lettre::{
    Address, Message,
    message::{Body, Mailbox, MultiPart, SinglePart, header::ContentTransferEncoding, header::ContentType},
};

use super::{Mail, MailError, MailKind, MailParams};
use crate::error::Error;

/// The same words as the text, escaped. Styles stand at their elements: mail programs drop everything else.
#[derive(Template)]
#[template(path = "mail.html")]
struct Page<'a> {
    subject: &'a str,
    bank: &'a str,
    greeting: &'a str,
    before: &'a str,
    token: &'a str,
    link: Option<(&'a str, String)>,
    after: &'a str,
    more: &'a str,
}

/// Text and HTML of a mail.
pub(super) fn lay_out(
    kind: MailKind,
    params: &MailParams,
    bank: &str,
    public_url: &str,
) -> Result<(String, String), Error> {
    let words = kind.words(params);
    let greeting = match params.name.as_str() {
        name if !name.is_empty() && !kind.is_to_a_stranger() => format!("Hello {name},"),
        _ => "Hello,".to_owned(),
    };
    let link = words
        .link
        .map(|(label, path)| (label, format!("{public_url}{path}")));
    let token = if link.is_some() { params.token.as_str() } else { "" };
    let mut text = vec![greeting.clone(), words.before.clone()];
    if !token.is_empty() {
        text.push(format!("Token: {token}"));
    }
    text.extend(link.as_ref().map(|(_, url)| url.clone()));
    for part in [words.after, params.more.as_str()] {
        if !part.is_empty() {
            text.push(part.to_owned());
        }
    }
    let page = Page {
        subject: kind.subject(),
        bank,
        greeting: &greeting,
        before: &words.before,
        token,
        link,
        after: words.after,
        more: &params.more,
    };
    Ok((
        format!("{}\n", text.join("\n\n")),
        page.render().map_err(Error::internal)?,
    ))
}

/// How the parts of a message travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are, for files that people and programs look into.
    Plain,
    /// So that every server passes them on.
    Safe,
}

impl Mail {
    /// The message, from an address of ours. The same mail has the same `Message-ID` at every try, so that whoever
    /// gets it twice sees that it is one.
    ///
    /// # Errors
    /// [`MailError::Refused`] when one of the addresses is none.
    pub fn message(&self, from: &str, encoding: Encoding) -> Result<Message, MailError> {
        let no_address = |_| MailError::Refused("an address that is none".to_owned());
        let from: Address = from.parse().map_err(no_address)?;
        let to: Address = self.to.parse().map_err(no_address)?;
        let at = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_micros(self.at.micros().unsigned_abs()))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let name: String = self.from_name.chars().filter(|c| !c.is_control()).collect();
        let part = |media: ContentType, text: &str| {
            let body = match encoding {
                // No line is long enough for a server to mind, and there is none.
                Encoding::Plain => Body::dangerous_pre_encoded(
                    text.replace('\n', "\r\n").into_bytes(),
                    ContentTransferEncoding::EightBit,
                ),
                Encoding::Safe => Body::new(text.to_owned()),
            };
            SinglePart::builder().header(media).body(body)
        };
        let parts = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &self.text))
            .singlepart(part(ContentType::TEXT_HTML, &self.html));
        Message::builder()
            .message_id(Some(format!("<{}@{}>", self.id, from.domain())))
            .date(at)
            .from(Mailbox::new(Some(name), from))
            .to(Mailbox::new(None, to))
            .subject(self.subject)
            .raw_header(auto_submitted())
            .multipart(parts)
            .map_err(|_| MailError::Refused("no message can be made of it".to_owned()))
    }
}

/// No holiday notice shall answer it (RFC 3834, section 5).
fn auto_submitted() -> lettre::message::header::HeaderValue {
    let name = lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted");
    lettre::message::header::HeaderValue::new(name, "auto-generated".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_domain::{id::MailId, time::Timestamp};

    fn params(name: &str) -> MailParams {
        MailParams {
            name: name.to_owned(),
            token: "abc-DEF_123".to_owned(),
            detail: "from 192.0.2.7".to_owned(),
            ..MailParams::default()
        }
    }

    fn mail(to: &str, from_name: &str, text: &str) -> Mail {
        Mail {
            id: MailId::from_bytes([7; 16]),
            to: to.to_owned(),
            from_name: from_name.to_owned(),
            subject: MailKind::Verification.subject(),
            text: text.to_owned(),
            html: String::new(),
            at: Timestamp::from_micros(1_795_132_800_000_000),
        }
    }

    #[test]
    fn no_mail_holds_markup_of_others_or_anything_from_elsewhere() {
        for kind in MailKind::ALL.iter().copied() {
            let name = "<img src=//x.example/a onerror=alert(1)>\"'";
            let (text, html) = lay_out(kind, &params(name), "Bank <b>", "https://bank.example").unwrap();
            assert!(!html.contains("<img") && !html.contains("Bank <b>"), "{html}");
            let shown = html.contains("&#60;img");
            assert_eq!(shown, !kind.is_to_a_stranger(), "{kind:?}");
            assert_eq!(text.contains(name), shown, "{kind:?}");
            for foreign in ["src=", "url(", "<script", "<link", "http:", "@import"] {
                let ours = html.replace(&html_escaped(name), "");
                assert!(!ours.contains(foreign), "{kind:?} {foreign}");
            }
            for (at, _) in html.match_indices("https:") {
                assert!(html[at..].starts_with("https://bank.example/"), "{kind:?}");
            }
        }
    }

    fn html_escaped(text: &str) -> String {
        text.replace('<', "&#60;")
            .replace('>', "&#62;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;")
    }

    #[test]
    fn a_token_is_in_the_mails_that_ask_for_it_and_in_no_subject() {
        for kind in MailKind::ALL.iter().copied() {
            let (text, html) = lay_out(kind, &params("Alice"), "Bank", "https://bank.example").unwrap();
            let asks = kind.words(&params("")).link.is_some();
            let lines = text.lines().filter(|line| *line == "Token: abc-DEF_123").count();
            assert_eq!(lines, usize::from(asks), "{text}");
            assert_eq!(html.contains("abc-DEF_123"), asks);
            assert!(!kind.subject().contains("abc-DEF_123"));
        }
    }

    #[test]
    fn no_name_and_no_address_grows_a_header() {
        let good =
            mail("alice@example.com", "Bank", "Hello").message("no-reply@bank.example", Encoding::Safe);
        let good = String::from_utf8(good.unwrap().formatted()).unwrap();
        assert!(good.contains("\r\nTo: alice@example.com\r\n"), "{good}");
        for to in [
            "alice@example.com\r\nBcc: eve@example.com",
            "alice@example.com\nBcc: eve@example.com",
            "alice@example.com, eve@example.com",
            "alice@example.com> <eve@example.com",
            "eve",
            "",
        ] {
            let made = mail(to, "Bank", "Hello").message("no-reply@bank.example", Encoding::Safe);
            assert!(matches!(made, Err(MailError::Refused(_))), "{to}");
        }
        let made = mail(
            "alice@example.com",
            "Bank\r\nBcc: eve@example.com\r\n\r\nHello",
            "x",
        );
        let text = made
            .message("no-reply@bank.example", Encoding::Safe)
            .unwrap()
            .formatted();
        let text = String::from_utf8(text).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }

    #[test]
    fn tries_of_one_mail_have_one_message_id_and_name_the_senders_domain() {
        let id = |encoding| {
            let message =
                mail("alice@example.com", "Bank", "Hëllo").message("no-reply@bank.example", encoding);
            let text = String::from_utf8(message.unwrap().formatted()).unwrap();
            let id = text.lines().find(|line| line.starts_with("Message-ID:")).unwrap();
            id.to_owned()
        };
        assert_eq!(id(Encoding::Safe), id(Encoding::Safe));
        assert!(id(Encoding::Plain).ends_with("@bank.example>"));
    }

    #[test]
    fn a_file_holds_the_mail_as_it_is_read() {
        let text = format!("Hëllo\n\nhttps://bank.example/x#token={}\n", "a".repeat(90));
        let made = mail("alice@example.com", "Bank", &text).message("no-reply@bank.example", Encoding::Plain);
        let file = String::from_utf8(made.unwrap().formatted()).unwrap();
        assert!(file.contains(&text.replace('\n', "\r\n")), "{file}");
    }
}
