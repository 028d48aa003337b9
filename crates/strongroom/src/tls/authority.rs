//! The local authority: its key, its certificate, and the certificates that it signs, as files in `DATA/tls/`.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};

use super::TlsError;
use crate::data_dir::write_private;

/// How long the authority is valid, in days. Clients have to trust a new one by hand.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a certificate is valid, in days.
const CERTIFICATE_DAYS: i64 = 365;
/// A certificate with fewer days left is made anew.
pub(super) const RENEW_DAYS: i64 = 60;

#[expect(
    clippy::disallowed_methods,
    reason = "certificates live by the world's clock, outside of any call"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

pub(super) fn today() -> Date {
    now().to_zoned(TimeZone::UTC).date()
}

/// The files of the local authority. Each pair of key and certificate has a note beside it that says for
/// which names and until when, so that nothing has to be parsed out of a certificate; the note is written
/// last, so that a crash in between makes the pair anew.
pub(super) struct Files {
    pub(super) authority: PathBuf,
    pub(super) authority_key: PathBuf,
    pub(super) authority_note: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) note: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        let file = |name| directory.join(name);
        Self {
            authority: file("ca.pem"),
            authority_key: file("ca.key"),
            authority_note: file("ca.note"),
            certificate: file("server.pem"),
            key: file("server.key"),
            note: file("server.note"),
        }
    }

    pub(super) fn certificate_is_good(&self, names: &[String], today: Date) -> bool {
        self.authority.exists()
            && self.certificate.exists()
            && self.key.exists()
            && Note::read(&self.note)
                .is_some_and(|note| note.covers(names) && note.outlives(today, RENEW_DAYS))
    }

    pub(super) fn make_certificate(&self, names: &[String], today: Date) -> Result<(), TlsError> {
        let issuer = self.authority(names, today)?;
        let until = days_after(today, CERTIFICATE_DAYS);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, "Strongroom");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        validity(&mut params, today, until);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        save(&self.key, key.serialize_pem().as_bytes())?;
        save(&self.certificate, certificate.pem().as_bytes())?;
        Note {
            names: names.to_vec(),
            until,
        }
        .write(&self.note)
    }

    /// The authority, made anew where there is none, where it ends before the next certificate would, or
    /// where it may not sign one of the names.
    fn authority(&self, names: &[String], today: Date) -> Result<Issuer<'static, KeyPair>, TlsError> {
        if let Some(note) = Note::read(&self.authority_note)
            && self.authority.exists()
            && note.covers(names)
            && note.outlives(today, CERTIFICATE_DAYS)
            && let Ok(pem) = fs::read_to_string(&self.authority_key)
            && let Ok(key) = KeyPair::from_pem(&pem)
        {
            return Ok(Issuer::new(authority_params(names, &key)?, key));
        }
        let key = KeyPair::generate()?;
        let mut params = authority_params(names, &key)?;
        let until = days_after(today, AUTHORITY_DAYS);
        validity(&mut params, today, until);
        let certificate = params.self_signed(&key)?;
        save(&self.authority_key, key.serialize_pem().as_bytes())?;
        save(&self.authority, certificate.pem().as_bytes())?;
        Note {
            names: names.to_vec(),
            until,
        }
        .write(&self.authority_note)?;
        Ok(Issuer::new(params, key))
    }
}

pub(super) fn authority_params(names: &[String], key: &KeyPair) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    // Two authorities of one machine must not have one name: clients look them up by it.
    let mark: String = params
        .key_identifier(key)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Strongroom local authority {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut permitted = vec![
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            8,
        )),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)),
    ];
    for name in names {
        permitted.push(match name.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => continue,
            Ok(address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
            }
            Err(_) => GeneralSubtree::DnsName(name.clone()),
        });
    }
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

/// From yesterday, because clocks differ.
pub(super) fn validity(params: &mut CertificateParams, today: Date, until: Date) {
    let date = |date: Date| {
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = date(today.saturating_sub(1.day()));
    params.not_after = date(until);
}

pub(super) fn days_after(date: Date, days: i64) -> Date {
    date.saturating_add(days.days())
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    write_private(path, bytes).map_err(|source| TlsError::File {
        what: "write",
        path: path.display().to_string(),
        source,
    })
}

/// For which names a pair is good, and until when.
pub(super) struct Note {
    names: Vec<String>,
    pub(super) until: Date,
}

impl Note {
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (until, names) = text.trim_end().split_once('\n')?;
        Some(Self {
            until: until.parse().ok()?,
            names: names.lines().map(str::to_owned).collect(),
        })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), TlsError> {
        save(
            path,
            format!("{}\n{}\n", self.until, self.names.join("\n")).as_bytes(),
        )
    }

    fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.contains(name))
    }

    fn outlives(&self, today: Date, days: i64) -> bool {
        self.until >= days_after(today, days)
    }
}
