//! Where the servers are, and who we are to them. Secrets are in files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use serde::Deserialize;

use crate::store::error::StoreError;

/// For a connection to be made, before the next server is tried.
const CONNECT: Duration = Duration::from_secs(1);
/// The kernel's own word on a peer that is gone. The pings of HTTP/2 are left off: a server takes those that come
/// more often than every 5 s for an attack, and ends the connection.
const KERNEL: Duration = Duration::from_secs(10);

/// What it takes to reach an etcd.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Each `http://HOST:PORT` or `https://HOST:PORT`; any member is as good as any other.
    pub endpoints: Vec<String>,
    /// For `https`.
    pub tls: Option<Tls>,
    /// Whose roles say what may be done; without one, it is the certificate that says who this is, or nobody asks.
    pub user: Option<User>,
}

/// Certificates, each a file in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Of the authority that has signed the servers' certificates.
    pub ca: PathBuf,
    /// Ours; its common name is a user of etcd's, if etcd goes by certificates.
    pub certificate: Option<PathBuf>,
    /// The key of ours.
    pub key: Option<PathBuf>,
    /// The name in the servers' certificates, if it is not the one in the endpoint.
    #[serde(rename = "server-name")]
    pub server_name: Option<String>,
}

/// A user of etcd's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name.
    pub name: String,
    /// A file with the password, which nobody else may read.
    #[serde(rename = "password-file")]
    pub password_file: PathBuf,
}

impl Settings {
    /// Servers that ask for nothing.
    pub fn new(endpoints: impl IntoIterator<Item = String>) -> Settings {
        Settings { endpoints: endpoints.into_iter().collect(), tls: None, user: None }
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.endpoints.is_empty() {
            return wrong("no endpoint is named".to_string());
        }
        for endpoint in &self.endpoints {
            match (endpoint.split_once("://"), &self.tls) {
                (Some(("http", _)), None) | (Some(("https", _)), Some(_)) => {}
                (Some(("http", _)), Some(_)) => {
                    return wrong(format!(
                        "{endpoint} has no TLS: write https://, or leave tls out"
                    ));
                }
                (Some(("https", _)), None) => {
                    return wrong(format!("{endpoint} needs tls, with the ca of the servers"));
                }
                _ => {
                    return wrong(format!(
                        "{endpoint} is no http://HOST:PORT or https://HOST:PORT"
                    ));
                }
            }
        }
        self.options().map(drop)
    }

    /// Read anew for each connection, since certificates and passwords change.
    pub(super) fn options(&self) -> Result<ConnectOptions, StoreError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_tcp_keepalive(KERNEL)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some(tls) = &self.tls {
            options = options.with_tls(tls.options()?);
        }
        if let Some(user) = &self.user {
            options = options.with_user(&user.name, user.password()?);
        }
        Ok(options)
    }
}

impl Tls {
    fn options(&self) -> Result<TlsOptions, StoreError> {
        let mut options =
            TlsOptions::new().ca_certificate(Certificate::from_pem(content(&self.ca)?));
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                options = options.identity(Identity::from_pem(content(certificate)?, secret(key)?));
            }
            (None, None) => {}
            _ => return wrong("certificate and key go together".to_string()),
        }
        if let Some(name) = &self.server_name {
            options = options.domain_name(name);
        }
        Ok(options)
    }
}

impl User {
    fn password(&self) -> Result<String, StoreError> {
        let text = secret(&self.password_file)?;
        let password = text.trim_end_matches(['\r', '\n']);
        match password.is_empty() {
            true => wrong(format!("{} holds no password", self.password_file.display())),
            false => Ok(password.to_string()),
        }
    }
}

fn content(file: &Path) -> Result<String, StoreError> {
    fs::read_to_string(file)
        .or_else(|error| wrong(format!("{} cannot be read: {error}", file.display())))
}

fn secret(file: &Path) -> Result<String, StoreError> {
    let others_may = fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o007 != 0);
    match others_may {
        true => wrong(format!("everybody may read {0}: chmod o= {0}", file.display())),
        false => content(file),
    }
}

fn wrong<T>(what: String) -> Result<T, StoreError> {
    Err(StoreError::Settings(what))
}
