//! A Dovecot that runs: mail that is delivered to it, and mail that a client stores.

use super::is_missing;
use super::pause::{Closed, assert_untouched, contents};
use crate::common::dovecot::{Dovecot, imap_program};
use crate::common::{NOBODY, is_root};
use crate::harness::Scene;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

const MESSAGE: &str = "From: a@example.org\r\nSubject: s\r\n\r\nbody\r\n";

#[test]
fn a_running_dovecot() {
    let imap = imap_program("imap");
    if is_missing("/usr/lib/dovecot/lmtp") || is_missing(&imap.to_string_lossy()) || !is_root() {
        return;
    }
    let scene = Scene::new();
    let store = scene.file("store");
    fs::set_permissions(scene.barrier.path(), Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(scene.file(""), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&store).unwrap();
    chown(&store, Some(NOBODY), Some(NOBODY)).unwrap();
    // The user's name is the format of his mail.
    let mail = format!("%n:{}/%n/mail", store.display());
    let dovecot = Dovecot::start(scene.adopted("setpriv"), &scene.elsewhere(""), &mail);
    for format in ["mbox", "maildir", "sdbox", "mdbox"] {
        let data = store.join(format);
        let mut delivery = dovecot.lmtp();
        let mut deliver = |scene: Option<&Scene>| {
            delivery.mail_to(&format!("{format}@example.org"));
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
        let (mut client, selected) = dovecot.imap(format);
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
}
