//! A Dovecot that runs, with sockets only, and what is spoken with it: lines.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::{NOBODY, Running, start};
use super::programs;
use super::time::until;

pub struct Dovecot {
    run: PathBuf,
    _master: Running,
}

/// The services of Dovecot's IMAP server.
const IMAP: [&str; 6] = [
    "imap",
    "imap-hibernate",
    "imap-login",
    "imap-urlauth",
    "imap-urlauth-login",
    "imap-urlauth-worker",
];

/// A program of Dovecot's IMAP server, which Debian installs beside no other: where `scripts/test` unpacks it.
pub fn imap_program(name: &str) -> PathBuf {
    let installed = Path::new("/usr/lib/dovecot").join(name);
    let unpacked = programs().parent().unwrap().join("unpacked/dovecot-imapd/usr/lib/dovecot");
    if installed.exists() { installed } else { unpacked.join(name) }
}

impl Dovecot {
    /// `program` is setpriv(1), in the environment that it needs: it ends with this test, however that ends. What is
    /// wrong it says on standard error; `folder` is for its sockets and its settings.
    /// `mail` says where that of the user `%n` of the domain `%d` is; they all are nobody.
    pub fn start(mut program: Command, folder: &Path, mail: &str) -> Dovecot {
        let run = folder.join("run");
        let settings = folder.join("dovecot.conf");
        let text = format!(
            "base_dir = {run}\nlog_path = /dev/stderr\ninfo_log_path = /dev/null\nprotocols = imap lmtp\nssl = no\nhostname = example.org\n\
             postmaster_address = p@example.org\nimport_environment = TZ LD_PRELOAD STILLPOINT_ADOPT_CONFIG\n\
             first_valid_uid = 1\ndisable_plaintext_auth = no\nauth_username_format = %Lu\n\
             passdb {{\n driver = static\n args = nopassword=y\n}}\n\
             userdb {{\n driver = static\n args = uid={NOBODY} gid={NOBODY} home=/nonexistent mail={mail}\n}}\n\
             service lmtp {{\n unix_listener lmtp {{\n mode = 0600\n }}\n}}\n\
             service imap-login {{\n inet_listener imap {{\n port = 0\n }}\n inet_listener imaps {{\n port = 0\n }}\n\
             unix_listener imap {{\n mode = 0600\n }}\n}}\n",
            run = run.display(),
        );
        let executable = |name: &&str| {
            format!("service {name} {{\n executable = {}\n}}\n", imap_program(name).display())
        };
        let text = text + &IMAP.iter().map(executable).collect::<String>();
        fs::write(&settings, text).unwrap();
        program
            .args(["--pdeathsig", "TERM", "dovecot", "-F", "-c"])
            .arg(&settings)
            .stdout(Stdio::null());
        let dovecot = Dovecot { _master: start(program), run };
        until("Dovecot listens", || {
            ["lmtp", "imap"].iter().all(|name| dovecot.run.join(name).exists())
        });
        dovecot
    }

    /// With its delivery agent, which has said its greetings.
    pub fn lmtp(&self) -> Dialogue {
        let mut dialogue = Dialogue::with(&self.run.join("lmtp"));
        dialogue.until("220");
        dialogue.ask("LHLO example.org\r\n", "250 ");
        dialogue
    }

    /// With its IMAP server, in the INBOX of this user; what it says of that.
    pub fn imap(&self, user: &str) -> (Dialogue, String) {
        let mut dialogue = Dialogue::with(&self.run.join("imap"));
        dialogue.until("* OK");
        dialogue.ask(&format!("a LOGIN {user} p\r\n"), "a OK");
        let selected = dialogue.ask("b SELECT INBOX\r\n", "b OK");
        (dialogue, selected)
    }
}

/// A protocol of lines, with a server on a socket.
pub struct Dialogue(BufReader<UnixStream>);

impl Dialogue {
    pub fn with(socket: &Path) -> Dialogue {
        Dialogue(BufReader::new(UnixStream::connect(socket).unwrap()))
    }

    pub fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Reads up to a line that begins so; what came before it, and it.
    #[track_caller]
    pub fn until(&mut self, beginning: &str) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let length = self.0.read_line(&mut line).unwrap();
            said += &line;
            if line.starts_with(beginning) {
                return said;
            }
            let refused = line.starts_with(['4', '5', '-'])
                || line.contains(" NO ")
                || line.contains(" BAD ");
            assert!(length > 0 && !refused, "{said}");
        }
    }

    #[track_caller]
    pub fn ask(&mut self, text: &str, beginning: &str) -> String {
        self.say(text);
        self.until(beginning)
    }

    /// A mail to this address, up to where its text is to come.
    #[track_caller]
    pub fn mail_to(&mut self, address: &str) {
        self.ask("MAIL FROM:<a@example.org>\r\n", "250");
        self.ask(&format!("RCPT TO:<{address}>\r\n"), "250");
        self.ask("DATA\r\n", "354");
    }

    pub fn has_an_answer(&mut self) -> bool {
        self.0.get_ref().set_nonblocking(true).unwrap();
        let some = self.0.fill_buf().is_ok();
        self.0.get_ref().set_nonblocking(false).unwrap();
        some
    }
}
