//! A Dovecot that runs: mail that is delivered to it, and mail that a client stores.

use super::is_missing;
use super::pause::{Closed, assert_untouched, contents};
use crate::common::{NOBODY, is_root, start, until};
use crate::harness::Scene;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

const MESSAGE: &str = "From: a@example.org\r\nSubject: s\r\n\r\nbody\r\n";

/// A protocol of lines, with a server on a socket.
struct Dialogue(BufReader<UnixStream>);

impl Dialogue {
    fn with(socket: &Path) -> Dialogue {
        Dialogue(BufReader::new(UnixStream::connect(socket).unwrap()))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Reads up to a line that begins so; what came before it, and it.
    #[track_caller]
    fn until(&mut self, beginning: &str) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let length = self.0.read_line(&mut line).unwrap();
            said += &line;
            if line.starts_with(beginning) {
                return said;
            }
            let refused =
                line.starts_with(['4', '5']) || line.contains(" NO ") || line.contains(" BAD ");
            assert!(length > 0 && !refused, "{said}");
        }
    }

    fn ask(&mut self, text: &str, beginning: &str) -> String {
        self.say(text);
        self.until(beginning)
    }

    fn has_an_answer(&mut self) -> bool {
        self.0.get_ref().set_nonblocking(true).unwrap();
        let some = self.0.fill_buf().is_ok();
        self.0.get_ref().set_nonblocking(false).unwrap();
        some
    }
}

#[test]
fn a_running_dovecot() {
    if is_missing("/usr/lib/dovecot/lmtp") || is_missing("/usr/lib/dovecot/imap") || !is_root() {
        return;
    }
    let scene = Scene::new();
    let (run, settings) = (scene.elsewhere("run"), scene.elsewhere("dovecot.conf"));
    let (log, store) = (scene.elsewhere("log"), scene.file("store"));
    fs::set_permissions(scene.barrier.path(), Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(scene.file(""), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&store).unwrap();
    chown(&store, Some(NOBODY), Some(NOBODY)).unwrap();
    // The user's name is the format of his mail.
    let text = format!(
        "base_dir = {run}\nlog_path = {log}\nprotocols = imap lmtp\nssl = no\nhostname = example.org\n\
         postmaster_address = p@example.org\nimport_environment = TZ LD_PRELOAD STILLPOINT_ADOPT_CONFIG\n\
         first_valid_uid = 1\ndisable_plaintext_auth = no\nauth_username_format = %Ln\n\
         passdb {{\n driver = static\n args = nopassword=y\n}}\n\
         userdb {{\n driver = static\n args = uid={NOBODY} gid={NOBODY} home={store}/%n mail=%n:{store}/%n/mail\n}}\n\
         service lmtp {{\n unix_listener lmtp {{\n mode = 0600\n }}\n}}\n\
         service imap-login {{\n inet_listener imap {{\n port = 0\n }}\n inet_listener imaps {{\n port = 0\n }}\n\
         unix_listener imap {{\n mode = 0600\n }}\n}}\n",
        run = run.display(),
        log = log.display(),
        store = store.display(),
    );
    fs::write(&settings, text).unwrap();
    let mut master = scene.adopted("dovecot");
    master.arg("-F").arg("-c").arg(&settings).stdout(Stdio::null());
    let master = start(master);
    let (lmtp, imap) = (run.join("lmtp"), run.join("imap"));
    until("Dovecot listens", || lmtp.exists() && imap.exists());
    for format in ["mbox", "maildir", "sdbox", "mdbox"] {
        let data = store.join(format);
        let mut delivery = Dialogue::with(&lmtp);
        delivery.until("220");
        delivery.ask("LHLO example.org\r\n", "250 ");
        let mut deliver = |scene: Option<&Scene>| {
            delivery.ask("MAIL FROM:<a@example.org>\r\n", "250");
            delivery.ask(&format!("RCPT TO:<{format}@example.org>\r\n"), "250");
            delivery.ask("DATA\r\n", "354");
            let closed = scene.map(|scene| (contents(&data), Closed::at(scene)));
            delivery.say(&format!("{MESSAGE}.\r\n"));
            if let Some((before, closed)) = closed {
                closed.until_it_waits("lmtp");
                assert_untouched(&before, &data);
                assert!(!delivery.has_an_answer(), "{format}: delivered while the gate is closed");
                closed.open();
            }
            delivery.until("250");
        };
        deliver(None);
        deliver(Some(&scene));
        let mut client = Dialogue::with(&imap);
        client.until("* OK");
        client.ask(&format!("a LOGIN {format} p\r\n"), "a OK");
        let selected = client.ask("b SELECT INBOX\r\n", "b OK");
        assert!(selected.contains("* 2 EXISTS"), "{format}: {selected}");
        let before = contents(&data);
        // All at once: Dovecot locks an mbox before it asks for the message.
        let closed = Closed::at(&scene);
        client.say(&format!("c APPEND INBOX {{{}+}}\r\n{MESSAGE}\r\n", MESSAGE.len()));
        closed.until_it_waits("imap");
        assert_untouched(&before, &data);
        assert!(!client.has_an_answer(), "{format}: stored while the gate is closed");
        closed.open();
        client.until("c OK");
        let found = client.ask("d FETCH 1:* BODY[HEADER.FIELDS (SUBJECT)]\r\n", "d OK");
        assert_eq!(found.matches("Subject: s\r\n").count(), 3, "{format}: {found}");
        client.ask("e LOGOUT\r\n", "e OK");
    }
    drop(master);
}
