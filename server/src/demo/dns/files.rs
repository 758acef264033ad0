//! What the sandbox's DNS keeps in its directory: a zone file and a key per zone, the trust anchor, the TSIG key.
//!
//! Zone files are master files (RFC 1035 5) with data in the generic form of RFC 3597 5, so that any record type survives and
//! `named-checkzone` can read them. Keys are readable by their owner only. Files are replaced whole, never written in place.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use hickory_proto::dnssec::PublicKey as _;
use hickory_proto::dnssec::rdata::DNSKEY;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{
    BinDecoder, BinEncodable as _, BinEncoder, NameEncoding, Restrict,
};

use super::DnsError;
use super::zone::{APEX_TTL_SECONDS, Signing, Zone};

/// The directory's layout.
pub(super) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the directory where it is missing.
    pub(super) fn open(dir: &Path) -> Result<Self, DnsError> {
        for part in [dir.to_path_buf(), dir.join("zones"), dir.join("keys")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&part)
                .map_err(|source| fault(&part, source))?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    pub(super) fn trust_anchor(&self) -> PathBuf {
        self.dir.join("root.key")
    }

    pub(super) fn tsig_key(&self) -> PathBuf {
        self.dir.join("tsig.key")
    }

    /// The zones that were kept.
    pub(super) fn zones(&self) -> Result<Vec<(Name, Signing, Vec<Record>)>, DnsError> {
        let dir = self.dir.join("zones");
        let mut zones = Vec::new();
        for entry in fs::read_dir(&dir).map_err(|source| fault(&dir, source))? {
            let path = entry.map_err(|source| fault(&dir, source))?.path();
            if path.extension().is_none_or(|extension| extension != "zone") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|source| fault(&path, source))?;
            zones.push(parse(&text).map_err(|problem| DnsError::Damaged {
                path: path.clone(),
                problem,
            })?);
        }
        Ok(zones)
    }

    pub(super) fn keep_zone(&self, zone: &Zone) -> Result<(), DnsError> {
        let mut text = format!(
            "; sandbox zone {} {}\n",
            zone.origin().to_ascii(),
            zone.signing().as_str()
        );
        for record in zone.plain() {
            let data = wire(&record.data).map_err(|error| DnsError::Zone {
                zone: zone.origin().to_string(),
                problem: error.to_string(),
            })?;
            let shown: String = record
                .data
                .to_string()
                .chars()
                .filter(|character| !character.is_control())
                .collect();
            text.push_str(&format!(
                "{} {} IN TYPE{} \\# {} {} ; {} {}\n",
                record.name.to_ascii(),
                record.ttl,
                u16::from(record.record_type()),
                data.len(),
                data_encoding::HEXLOWER.encode(&data),
                record.record_type(),
                shown
            ));
        }
        replace(
            &self
                .dir
                .join("zones")
                .join(format!("{}.zone", file_name(zone.origin()))),
            text.as_bytes(),
            0o600,
        )
    }

    /// The zone's key, made when it is missing.
    pub(super) fn zone_key(&self, origin: &Name) -> Result<Vec<u8>, DnsError> {
        let path = self
            .dir
            .join("keys")
            .join(format!("{}.pk8", file_name(origin)));
        match fs::read(&path) {
            Ok(key) => Ok(key),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = super::zone::generate_key()?;
                replace(&path, &key, 0o600)?;
                Ok(key)
            }
            Err(source) => Err(fault(&path, source)),
        }
    }

    /// Writes the root's public key twice: as a DNSKEY record (unbound, hickory) and as a `trust-anchors` clause (BIND, delv).
    pub(super) fn keep_trust_anchor(&self, dnskey: &DNSKEY) -> Result<(), DnsError> {
        let key =
            base64::engine::general_purpose::STANDARD.encode(dnskey.public_key().public_bytes());
        let flags = dnskey.flags();
        let algorithm = u8::from(dnskey.public_key().algorithm());
        replace(
            &self.trust_anchor(),
            format!(". {APEX_TTL_SECONDS} IN DNSKEY {flags} 3 {algorithm} {key}\n").as_bytes(),
            0o644,
        )?;
        let clause =
            format!("trust-anchors {{\n\t. static-key {flags} 3 {algorithm} \"{key}\";\n}};\n");
        replace(&self.dir.join("bind.keys"), clause.as_bytes(), 0o644)
    }

    /// The secret of the update key, made when it is missing; the file has the form of BIND's `key` statement.
    pub(super) fn tsig_secret(
        &self,
        name: &str,
        draw: impl FnOnce() -> [u8; 32],
    ) -> Result<Vec<u8>, DnsError> {
        let path = self.tsig_key();
        match fs::read_to_string(&path) {
            Ok(text) => crate::zone::parse_key(&text)
                .map(|key| key.secret)
                .map_err(|problem| DnsError::Damaged { path, problem }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = draw();
                let text = format!(
                    "key \"{name}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{}\";\n}};\n",
                    base64::engine::general_purpose::STANDARD.encode(secret)
                );
                replace(&path, text.as_bytes(), 0o600)?;
                Ok(secret.to_vec())
            }
            Err(source) => Err(fault(&path, source)),
        }
    }
}

/// Replaces a file whole, so that a crash leaves the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DnsError> {
    let fresh = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        // A left-over of a crash may have other permissions.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|source| fault(path, source))
}

fn fault(path: &Path, source: std::io::Error) -> DnsError {
    DnsError::File {
        path: path.to_path_buf(),
        source,
    }
}

/// `example.com` for `example.com.`, `root` for the root. Zones have plain labels only (checked where zones are made).
fn file_name(origin: &Name) -> String {
    if origin.is_root() {
        "root".into()
    } else {
        origin.to_ascii().trim_end_matches('.').to_owned()
    }
}

fn wire(data: &RData) -> Result<Vec<u8>, hickory_proto::ProtoError> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder)?;
    Ok(bytes)
}

fn parse(text: &str) -> Result<(Name, Signing, Vec<Record>), String> {
    let mut lines = text.lines();
    let head = lines
        .next()
        .and_then(|line| line.strip_prefix("; sandbox zone "))
        .ok_or("the first line does not name the zone")?;
    let (origin, signing) = head
        .split_once(' ')
        .ok_or("the first line does not say how the zone is signed")?;
    let origin = absolute(origin)?;
    let signing =
        Signing::parse(signing).ok_or_else(|| format!("\"{signing}\" is no way of signing"))?;
    let records = lines
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
        .map(parse_line)
        .collect::<Result<_, _>>()?;
    Ok((origin, signing, records))
}

fn parse_line(line: &str) -> Result<Record, String> {
    let fields: Vec<&str> = line.splitn(8, ' ').collect();
    let [name, ttl, "IN", kind, "\\#", length, hex, ..] = fields[..] else {
        return Err(format!(
            "a line is not in the generic form of RFC 3597: {line}"
        ));
    };
    let fault = |what: &str| format!("{what} in line: {line}");
    let ttl = ttl.parse().map_err(|_| fault("bad TTL"))?;
    let kind = kind
        .strip_prefix("TYPE")
        .and_then(|number| number.parse::<u16>().ok())
        .ok_or_else(|| fault("bad type"))?;
    let length: u16 = length.parse().map_err(|_| fault("bad length"))?;
    let bytes = data_encoding::HEXLOWER
        .decode(hex.as_bytes())
        .map_err(|_| fault("bad data"))?;
    if bytes.len() != usize::from(length) {
        return Err(fault("length and data differ"));
    }
    let data = RData::read(
        &mut BinDecoder::new(&bytes),
        RecordType::from(kind),
        Restrict::new(length),
    )
    .map_err(|error| format!("{error} in line: {line}"))?;
    Ok(Record::from_rdata(absolute(name)?, ttl, data))
}

/// A name that ends at the root, in lower case.
pub(super) fn absolute(name: &str) -> Result<Name, String> {
    let mut parsed =
        Name::from_ascii(name).map_err(|error| format!("\"{name}\" is no name: {error}"))?;
    parsed.set_fqdn(true);
    Ok(parsed.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::{SRV, TXT};

    #[test]
    fn any_record_survives_the_generic_form() {
        let name = absolute("_xmpp-client._tcp.One.example").unwrap();
        for data in [
            RData::SRV(SRV::new(
                1,
                2,
                5222,
                absolute("d1.on.hosting.example").unwrap(),
            )),
            RData::TXT(TXT::from_bytes(vec![b"a \"b\" ; c", b""])),
            RData::Unknown {
                code: RecordType::Unknown(65280),
                rdata: hickory_proto::rr::rdata::NULL::with(vec![1, 2, 3]),
            },
        ] {
            let bytes = wire(&data).unwrap();
            let line = format!(
                "{} 60 IN TYPE{} \\# {} {} ; shown",
                name.to_ascii(),
                u16::from(data.record_type()),
                bytes.len(),
                data_encoding::HEXLOWER.encode(&bytes)
            );
            let record = parse_line(&line).unwrap();
            assert_eq!((&record.data, record.ttl), (&data, 60));
            assert_eq!(record.name.to_ascii(), "_xmpp-client._tcp.one.example.");
        }
        for bad in [
            "",
            "x 60 IN A 192.0.2.1",
            "x. 60 IN TYPE1 \\# 4 c000",
            "x. 60 IN TYPE1 \\# 5 c000020101",
            "x. y IN TYPE1 \\# 4 c0000201",
        ] {
            assert!(parse_line(bad).is_err(), "{bad}");
        }
    }
}
