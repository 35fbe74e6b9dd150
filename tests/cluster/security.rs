//! Who may speak to the engine, and what each may do: certificates, passwords and roles, with real servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stillpoint_cluster::store::etcd::{Etcd, Settings, Tls, User};
use stillpoint_cluster::store::{Guard, Store, StoreError, Txn};
use tokio::time::{sleep, timeout};

use crate::conformance::{SOON, all_told, text};
use crate::servers::Servers;
use crate::skip::has;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../man/stillpoint-cluster-etcd.7");
const PASSWORDS: [(&str, &str); 3] =
    [("root", "r00t"), ("operator", "0perator"), ("alpha", "a1pha")];

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Files beside each other, made by openssl(1).
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub fn new(folder: PathBuf) -> Authority {
        fs::create_dir(&folder).unwrap();
        let mut make = Command::new("openssl");
        make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        make.args(["-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key"]);
        run(make.args(["-out", "ca.pem"]).current_dir(&folder));
        Authority { folder }
    }

    /// A certificate, for this name and these others of a server.
    pub fn sign(&self, name: &str, others: &str) {
        let mut ask = Command::new("openssl");
        ask.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        ask.args(["-subj", &format!("/CN={name}"), "-keyout", &format!("{name}.key")]);
        run(ask.args(["-out", "request"]).current_dir(&self.folder));
        let extension =
            format!("subjectAltName={others}\nextendedKeyUsage=serverAuth,clientAuth\n");
        fs::write(self.folder.join("extension"), extension).unwrap();
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key"]);
        sign.args(["-CAcreateserial", "-days", "2", "-extfile", "extension"]);
        run(sign.args(["-out", &format!("{name}.pem")]).current_dir(&self.folder));
        let key = self.folder.join(format!("{name}.key"));
        run(Command::new("chmod").arg("600").arg(key));
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn tls(&self, name: &str) -> Tls {
        Tls {
            ca: self.file("ca.pem"),
            certificate: Some(self.file(&format!("{name}.pem"))),
            key: Some(self.file(&format!("{name}.key"))),
            server_name: None,
        }
    }
}

fn store(settings: Settings) -> Etcd {
    Etcd::new(settings).unwrap().patient(Duration::from_secs(3))
}

fn with_tls(servers: &Servers, tls: Tls) -> Etcd {
    let mut settings = Settings::new(servers.endpoints());
    settings.tls = Some(tls);
    store(settings)
}

async fn refusal(store: &Etcd) -> String {
    store.range("/stillpoint/").await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_wrong_certificate_is_told_from_a_right_one() {
    if !has(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path().join("ours"));
    let theirs = Authority::new(folder.path().join("theirs"));
    ours.sign("server", "DNS:etcd.example.org");
    ours.sign("alpha", "DNS:alpha");
    theirs.sign("alpha", "DNS:alpha");
    let file = |name: &str| ours.file(name).to_str().unwrap().to_string();
    let options = [
        format!("--cert-file={}", file("server.pem")),
        format!("--key-file={}", file("server.key")),
        "--client-cert-auth".to_string(),
        format!("--trusted-ca-file={}", file("ca.pem")),
    ];
    let tls = Tls { server_name: Some("etcd.example.org".to_string()), ..ours.tls("alpha") };
    // Which knows the servers by their addresses.
    let (certificate, key) = (file("alpha.pem"), file("alpha.key"));
    let ctl = ["--insecure-skip-tls-verify", "--cert", &certificate, "--key", &key];
    let Some(servers) = Servers::start_secure(1, &options, &ctl) else { return };

    let right = with_tls(&servers, tls.clone());
    assert!(right.commit(Txn::new().put("/stillpoint/a", "1")).await.unwrap().committed);

    let other_name = Tls { server_name: None, ..tls.clone() };
    let said = refusal(&with_tls(&servers, other_name)).await;
    assert!(said.contains("not valid for name"), "{said}");

    let other_authority = Tls { ca: theirs.file("ca.pem"), ..tls.clone() };
    let said = refusal(&with_tls(&servers, other_authority)).await;
    assert!(said.contains("UnknownIssuer") || said.contains("BadSignature"), "{said}");

    let not_ours = Tls { ca: ours.file("ca.pem"), ..theirs.tls("alpha") };
    let not_ours = Tls { server_name: tls.server_name.clone(), ..not_ours };
    let said = refusal(&with_tls(&servers, not_ours)).await;
    assert!(said.contains("ertificate"), "{said}");

    let none = Tls { certificate: None, key: None, ..tls.clone() };
    let said = refusal(&with_tls(&servers, none)).await;
    assert!(said.contains("ertificate"), "{said}");

    // What is wrong with the settings is said before anybody is asked.
    let mut settings = Settings::new(servers.endpoints());
    let said = |settings: &Settings| match Etcd::new(settings.clone()) {
        Err(StoreError::Settings(said)) => said,
        other => panic!("{:?}", other.err()),
    };
    assert!(said(&settings).contains("needs tls"));
    settings.tls = Some(Tls { key: None, ..tls.clone() });
    assert!(said(&settings).contains("certificate and key go together"));
    settings.tls = Some(Tls { ca: "/nowhere".into(), ..tls.clone() });
    assert!(said(&settings).contains("/nowhere cannot be read"));
    run(Command::new("chmod").arg("644").arg(ours.file("alpha.key")));
    settings.tls = Some(tls);
    assert!(said(&settings).contains("everybody may read"));
}

/// The commands in the manual page, as they stand there.
fn commands() -> String {
    let page = fs::read_to_string(PAGE).unwrap();
    let section = page.split_once(".Ss Users and roles").unwrap().1;
    let commands = section.split_once(".Bd -literal -offset indent\n").unwrap().1;
    commands.split_once(".Ed").unwrap().0.to_string()
}

fn set_up(servers: &Servers, folder: &Path) {
    for (user, password) in PASSWORDS {
        let file = folder.join(format!("{user}.password"));
        fs::write(&file, format!("{password}\n")).unwrap();
        run(Command::new("chmod").arg("600").arg(file));
    }
    servers.shell(&commands(), folder);
}

fn as_user(servers: &Servers, folder: &Path, user: &str) -> Etcd {
    let mut settings = Settings::new(servers.endpoints());
    let password_file = folder.join(format!("{user}.password"));
    settings.user = Some(User { name: user.to_string(), password_file });
    store(settings)
}

/// With the roles that the manual page makes.
#[tokio::test]
async fn a_host_may_write_below_its_own_prefix_alone() {
    // Tokens that run out at once.
    let Some(servers) = Servers::start_with(3, &["--auth-token-ttl=1".to_string()]) else { return };
    let folder = servers.folder.path();
    set_up(&servers, folder);
    let [operator, alpha] = ["operator", "alpha"].map(|user| as_user(&servers, folder, user));
    let key = |name: &str| format!("/stillpoint/mail/{name}");

    let lease = operator.lease(Duration::from_secs(10)).await.unwrap();
    let begin = Txn::new().guard(Guard::Absent(key("epoch"))).put_leased(key("epoch"), "1", &lease);
    let begun =
        operator.commit(begin.put(key("h/beta/rep"), "b").read(key("epoch"))).await.unwrap();
    let epoch = begun.views[0].entries[0].created;
    let mut watch = alpha.watch(&key("epoch"), begun.revision);
    timeout(SOON, watch.opened()).await.unwrap();
    let mut refused = alpha.watch("/stillpoint/other/", begun.revision);
    let refusal = timeout(SOON, refused.next()).await.unwrap();
    assert!(matches!(refusal, Err(StoreError::Denied(_))), "{refusal:?}");

    // A report, and a sign of life with a lease of its own.
    let own = alpha.lease(Duration::from_secs(2)).await.unwrap();
    let report = Txn::new()
        .guard(Guard::Created(key("epoch"), epoch))
        .put(key("h/alpha/rep"), "p")
        .put_leased(key("h/alpha/live"), "1", &own)
        .read(key("h/"));
    let reported = alpha.commit(report).await.unwrap();
    assert!(reported.committed && reported.views[0].entries.len() == 3);
    for forbidden in
        ["epoch", "begun", "verdict/1", "roster/alpha", "rosterver", "h/beta/rep", "h/alph"]
    {
        let written = alpha.commit(Txn::new().put(key(forbidden), "!")).await;
        assert!(matches!(written, Err(StoreError::Denied(_))), "{forbidden}: {written:?}");
        let deleted = alpha.commit(Txn::new().delete(key(forbidden))).await;
        assert!(matches!(deleted, Err(StoreError::Denied(_))), "{forbidden}: {deleted:?}");
    }
    let elsewhere = alpha.range("/stillpoint/other/").await;
    assert!(matches!(elsewhere, Err(StoreError::Denied(_))), "{elsewhere:?}");

    // Long after the tokens have run out, all goes on: watch, lease, reading, writing.
    sleep(Duration::from_secs(5)).await;
    let next = Txn::new().guard(Guard::Created(key("epoch"), epoch));
    let next = operator.commit(next.put_leased(key("epoch"), "2", &lease)).await.unwrap();
    assert!(next.committed);
    assert_eq!(all_told(&mut watch, 1).await, ["epoch=2"]);
    let live = alpha.range(&key("h/alpha/live")).await.unwrap();
    assert_eq!(text(&live.entries[0]), "1");
    own.revoke().await.unwrap();
    assert!(alpha.range(&key("h/alpha/live")).await.unwrap().entries.is_empty());

    // Nobody, somebody else, and one who has forgotten the password.
    let nobody = store(Settings::new(servers.endpoints()));
    let said = refusal_of(&nobody, &key("")).await;
    assert!(said.contains("no user is named"), "{said}");
    fs::write(folder.join("alpha.password"), "forgotten").unwrap();
    let said = refusal_of(&as_user(&servers, folder, "alpha"), &key("")).await;
    assert!(said.contains("invalid user ID or password"), "{said}");
    fs::write(folder.join("alpha.password"), "\n").unwrap();
    let mut settings = Settings::new(servers.endpoints());
    settings.user =
        Some(User { name: "alpha".to_string(), password_file: folder.join("alpha.password") });
    let said = Etcd::new(settings).err().unwrap().to_string();
    assert!(said.contains("holds no password"), "{said}");
}

async fn refusal_of(store: &Etcd, name: &str) -> String {
    match store.range(name).await {
        Err(StoreError::Denied(said)) => said,
        other => panic!("{other:?}"),
    }
}

/// A user where there are none: said, and not waited for.
#[tokio::test]
async fn a_user_that_nobody_asks_for_is_too_much() {
    let Some(servers) = Servers::start_with(1, &[]) else { return };
    let folder = servers.folder.path();
    fs::write(folder.join("alpha.password"), "a1pha").unwrap();
    run(Command::new("chmod").arg("600").arg(folder.join("alpha.password")));
    let said = refusal_of(&as_user(&servers, folder, "alpha"), "/stillpoint/").await;
    assert!(said.contains("leave user out"), "{said}");
}
