//! Certificates that a test makes for itself, as files.

// Not every test needs all of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::prelude::{Engine as _, BASE64_STANDARD};
use rcgen::{date_time_ymd, BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Between which years a certificate is valid.
pub const VALID: (i32, i32) = (2020, 2120);
pub const EXPIRED: (i32, i32) = (2020, 2021);
pub const NOT_YET: (i32, i32) = (2119, 2120);

/// A directory with certificates, removed in the end.
pub struct Certificates {
    directory: PathBuf,
    authority: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Files {
    pub chain: String,
    pub key: String,
    /// What pins its public key.
    pub pin: String,
}

impl Certificates {
    /// An authority, and nothing else.
    pub fn new() -> Certificates {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("nanostate-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = parameters(&[], VALID);
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(directory.join("ca.pem"), pem("CERTIFICATE", params.self_signed(&key).unwrap().der())).unwrap();
        Certificates { directory, authority: Issuer::new(params, key) }
    }

    /// A file in the directory.
    pub fn file(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// A file in the directory, with this content.
    pub fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.directory.join(name), content).unwrap();
        self.file(name)
    }

    /// The certificate of the authority.
    pub fn authority(&self) -> String {
        self.file("ca.pem")
    }

    /// One that the authority has issued, in the files `name.pem` and `name.key`.
    pub fn issue(&self, name: &str, names: &[&str], years: (i32, i32)) -> Files {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters(names, years).signed_by(&key, &self.authority).unwrap();
        self.store(name, certificate.der(), &key)
    }

    /// For this machine, and valid.
    pub fn local(&self, name: &str) -> Files {
        self.issue(name, &["localhost", "127.0.0.1", "::1"], VALID)
    }

    /// One that has issued itself, as `openssl req -x509` makes it.
    pub fn self_signed(&self, name: &str, names: &[&str]) -> Files {
        let key = KeyPair::generate().unwrap();
        let mut params = parameters(names, VALID);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.store(name, params.self_signed(&key).unwrap().der(), &key)
    }

    fn store(&self, name: &str, certificate: &[u8], key: &KeyPair) -> Files {
        Files {
            chain: self.write(&format!("{name}.pem"), &pem("CERTIFICATE", certificate)),
            key: self.write(&format!("{name}.key"), &pem("PRIVATE KEY", key.serialized_der())),
            pin: pin(key),
        }
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.directory));
    }
}

fn parameters(names: &[&str], (from, to): (i32, i32)) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}

/// As `openssl pkey -pubin -outform der | openssl dgst -sha256` has it.
fn pin(key: &KeyPair) -> String {
    use rcgen::PublicKeyData as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, &key.subject_public_key_info());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
