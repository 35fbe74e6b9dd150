//! A mail client that speaks LMTP.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Nothing takes anywhere near as long.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects, and listens to the greeting.
    pub fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Client { stream: BufReader::new(stream) };
        let greeting = client.hear()?;
        assert!(greeting.starts_with("220 "), "{greeting}");
        Ok(client)
    }

    /// The same, and introduces itself.
    pub fn greet(port: u16) -> io::Result<Client> {
        let mut client = Client::connect(port)?;
        client.ask("LHLO client")?;
        Ok(client)
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// The last line of the next reply.
    pub fn hear(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.strip_suffix("\r\n").ok_or(ErrorKind::UnexpectedEof)?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.to_owned());
            }
        }
    }

    /// Sends a command and returns the reply.
    pub fn ask(&mut self, command: &str) -> io::Result<String> {
        self.write(format!("{command}\r\n"))?;
        self.hear()
    }

    /// Asks for something and knows how the reply begins.
    #[track_caller]
    pub fn expect(&mut self, command: &str, reply: &str) {
        let found = self.ask(command).unwrap();
        assert!(found.starts_with(reply), "to {command:?}: {found:?}");
    }

    /// The connection is ended, and nothing more was said.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // It is reset if the server had something left to read.
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    /// Everything up to the message.
    pub fn begin(&mut self, recipients: &[&str]) -> io::Result<()> {
        let mut commands = "MAIL FROM:<sender@example.org>\r\n".to_owned();
        for recipient in recipients {
            commands += &format!("RCPT TO:<{recipient}@example.org>\r\n");
        }
        self.write(commands + "DATA\r\n")?;
        self.hear()?;
        for _ in recipients {
            self.hear()?;
        }
        let reply = self.hear()?;
        if reply.starts_with("354 ") { Ok(()) } else { Err(io::Error::other(reply)) }
    }

    /// Sends the message, whose dots are protected already, without waiting for the replies.
    pub fn finish(&mut self, message: &str) -> io::Result<()> {
        self.write(format!("{message}\r\n.\r\n"))
    }

    /// A whole message; the reply for each recipient.
    pub fn send(&mut self, recipients: &[&str], message: &str) -> io::Result<Vec<String>> {
        self.begin(recipients)?;
        self.finish(message)?;
        recipients.iter().map(|_| self.hear()).collect()
    }

    /// A message for one, which must be delivered.
    #[track_caller]
    pub fn deliver(&mut self, recipient: &str, message: &str) {
        let reply = self.send(&[recipient], message).unwrap().remove(0);
        assert!(reply.starts_with("250 "), "{reply}");
    }
}
