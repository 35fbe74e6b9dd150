//! The Cyrus of this machine, which on Debian is too old to have a global lock.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::{Running, is_root, must, run, skip, start, until};
use crate::scene::Scene;

const TOOLS: &str = "/usr/lib/cyrus/bin";

/// A server that runs in a folder of its own, on a port and a socket of its own, until this goes.
struct Server {
    folder: TempDir,
    port: u16,
    _master: Running,
}

impl Server {
    /// With a mailbox for bob.
    fn start() -> Option<Server> {
        if !is_root() {
            return None;
        }
        if !Path::new(TOOLS).join("imapd").exists() {
            skip("the packages cyrus-common and cyrus-imapd are missing");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let place = folder.path().display().to_string();
        for name in ["conf", "conf/db", "conf/msg", "conf/proc", "conf/socket", "locks", "spool"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!(
            "configdirectory: {place}/conf\npartition-default: {place}/spool\ndefaultpartition: default\n\
             mboxname_lockpath: {place}/locks\nhashimapspool: yes\nadmins: cyrus\nallowplaintext: yes\n"
        );
        fs::write(folder.path().join("imapd.conf"), options).unwrap();
        let service = |name: &str, flags: &str, listen: &str| {
            format!(
                "  {name} cmd=\"{TOOLS}/{flags} -C {place}/imapd.conf\" listen=\"{listen}\" prefork=0\n"
            )
        };
        let services = format!(
            "START {{\n}}\nSERVICES {{\n{}{}}}\n",
            service("imap", "imapd -N", &format!("127.0.0.1:{port}")),
            service("lmtpunix", "lmtpd -a", &format!("{place}/conf/socket/lmtp"))
        );
        fs::write(folder.path().join("cyrus.conf"), services).unwrap();
        must(Command::new("chown").args(["-R", "cyrus:mail"]).arg(folder.path()));
        let mut master = Command::new("setpriv");
        master
            .args(["--reuid=cyrus", "--regid=mail", "--init-groups"])
            .arg(format!("{TOOLS}/master"));
        for (flag, file) in [("-C", "imapd.conf"), ("-M", "cyrus.conf"), ("-p", "conf/pid")] {
            master.arg(flag).arg(folder.path().join(file));
        }
        let master = start(master.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let server = Server { folder, port, _master: master };
        until("mail server", || server.lmtp().exists());
        server.make_mailbox();
        Some(server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lmtp(&self) -> PathBuf {
        self.path("conf/socket/lmtp")
    }

    fn make_mailbox(&self) {
        let mut client = Client::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        client.say("a LOGIN cyrus x", "a OK");
        client.say("b CREATE user/bob", "b OK");
    }

    fn deliver(&self) {
        let mut client = Client::new(UnixStream::connect(self.lmtp()).unwrap());
        client.say("LHLO here", "250 ");
        client.say("MAIL FROM:<a@b>", "250 ");
        client.say("RCPT TO:<bob>", "250 ");
        client.say("DATA", "354 ");
        client.say("From: a@b\r\n\r\ntext\r\n.", "250 ");
    }
}

/// Somebody who speaks a protocol of lines.
struct Client<S>(BufReader<S>);

impl<S: Read + Write> Client<S> {
    /// The greeting is read.
    fn new(stream: S) -> Client<S> {
        let mut client = Client(BufReader::new(stream));
        client.line();
        client
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the server has gone");
        line
    }

    /// Says it and reads until the last line of the answer, which must begin so.
    #[track_caller]
    fn say(&mut self, said: &str, expected: &str) {
        write!(self.0.get_mut(), "{said}\r\n").unwrap();
        let tag = said.split(' ').next().unwrap();
        loop {
            let line = self.line();
            let is_last = match tag.len() {
                1 => line.starts_with(tag),
                _ => line.as_bytes()[3] == b' ',
            };
            if is_last {
                assert!(line.starts_with(expected), "{said}: {line}");
                return;
            }
        }
    }
}

/// Mail goes on while we hold what no other process looks at. It is refused for what its version says,
/// and were that not asked, for the locks that it leaves.
#[test]
fn an_old_cyrus_is_refused_for_it_would_go_on() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut asked = Command::new(format!("{TOOLS}/cyr_info"));
    asked.arg("-C").arg(server.path("imapd.conf")).arg("conf-default");
    let told = asked.output().unwrap();
    if String::from_utf8_lossy(&told.stdout).contains("global_lock:") {
        return skip("this Cyrus takes part");
    }
    server.deliver();
    let scene = Scene::new();
    let snapshot = |options: &[&str], command: &[&str]| {
        let mut snapshot = scene.stillpoint();
        snapshot.args(["snapshot", "mail", "--min-open", "0"]).args(options);
        snapshot.arg("--cyrus").arg(server.path("imapd.conf")).arg("--").args(command);
        snapshot
    };
    let refused = run(&mut snapshot(&[], &["true"]));
    refused.assert_refused(69, "cyr_info: cyrus-imapd ");
    scene.stand_in("cyr_info", "echo global_lock: yes");
    let refused = run(&mut snapshot(&[], &["true"]));
    refused.assert_refused(69, "locks/q/$GLOBAL.lock: is missing beside ");
    assert!(!server.path("locks/q/$GLOBAL.lock").exists());
    assert_eq!(scene.generation(), 0, "no writer of ours had to wait");

    // Who knows better is believed, and here he knows nothing: this mail is delivered in the pause.
    let (runs, go) = (scene.path("runs"), scene.path("go"));
    let script = r#"touch "$0"; until [ -e "$1" ]; do sleep 0.01; done"#;
    let [runs_here, go_here] = [&runs, &go].map(|path| path.to_str().unwrap());
    let tool =
        start(&mut snapshot(&["--cyrus-unchecked"], &["sh", "-c", script, runs_here, go_here]));
    until("pause", || runs.exists());
    server.deliver();
    fs::write(&go, "").unwrap();
    tool.wait().assert_code(0);
}
