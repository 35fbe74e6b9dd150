//! Writers that never rest, and copies of what they write.
//!
//! Each is read as by someone who has nothing else: SQLite without the journal, as at a boundary none is needed, and
//! mail by a fresh Dovecot. Without adoption some copies are torn, or the test would show nothing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{Running, has, is_root, start, until};
use crate::figures::{copies, distribution, say};
use crate::host::{Host, How, Taken};
use crate::{dovecot, sqlite};

const STORES: [&str; 4] = ["rollback", "log", "mbox", "mdbox"];

/// All at work, until this goes.
fn writers(host: &Host) -> Vec<Running> {
    let store = |name: &str| host.store(name);
    let mut commands = Vec::new();
    for (name, mode) in [("rollback", "delete"), ("log", "wal")] {
        let database = store(name).join("it.db");
        commands.push(sqlite::writer(host.adopted("setpriv"), &database, mode));
    }
    for name in ["mbox", "mdbox"] {
        let folder = host.place(name);
        std::fs::create_dir(&folder).unwrap();
        let mail = location(name, &store(name));
        commands.push(dovecot::writer(host.adopted("setpriv"), &folder, &mail));
    }
    let running = commands.into_iter().map(start).collect();
    until("mail is delivered", || {
        ["mbox", "mdbox"].iter().all(|name| {
            let mail = location(name, &host.stores().join(name));
            dovecot::messages(&host.place(name), &mail).is_ok_and(|count| count > 0)
        })
    });
    running
}

fn location(format: &str, store: &Path) -> String {
    format!("{format}:{}/mail", store.display())
}

/// What is wrong with a copy, by store.
fn faults(host: &Host, taken: &Taken) -> BTreeMap<&'static str, String> {
    let fault = |name: &str| {
        let store = taken.stores.join(name);
        match name {
            "rollback" | "log" => sqlite::fault(&store.join("it.db")),
            _ => dovecot::messages(&host.place(name), &location(name, &store)).err(),
        }
    };
    STORES.into_iter().filter_map(|name| Some((name, fault(name)?))).collect()
}

#[test]
fn copies_are_torn_without_adoption_and_whole_with_it() {
    let tools = ["sqlite3", "mkfs.btrfs", "setpriv", "doveadm"];
    if !is_root() || !has(&tools) {
        return;
    }
    let Some(host) = Host::new() else { return };
    let stores = host.stores();
    let adopted = ["--adopted", stores.to_str().unwrap()];
    let writers = writers(&host);
    for how in [How::Copy, How::Btrfs] {
        let asked = copies(5);
        let (mut torn, mut count, mut failed) = (BTreeMap::new(), 0, 0);
        while count < asked || (torn.is_empty() && count < 10 * asked) {
            count += 1;
            match host.take(how, &[]) {
                Ok(taken) => {
                    for name in faults(&host, &taken).into_keys() {
                        *torn.entry(name).or_insert(0) += 1;
                    }
                }
                // The journal has gone while it was copied.
                Err(said) if said.contains("cp: ") => failed += 1,
                Err(said) => panic!("{said}"),
            }
        }
        say(&format!("{how:?}, without: of {count} copies torn {torn:?}, failed {failed}"));
        assert!(!torn.is_empty(), "{how:?}: none of {count} copies is torn without adoption");

        let (mut quiet, mut pause, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..asked {
            match host.take(how, &adopted) {
                Err(said) => wrong.push(format!("{number}: {said}")),
                Ok(taken) => {
                    let found = faults(&host, &taken);
                    if !found.is_empty() {
                        wrong.push(format!("{number}: {found:?}"));
                    }
                    let [whole, held] = taken.pause();
                    quiet.push(whole - held);
                    pause.push(whole);
                }
            }
        }
        let (quiet, pause) = (distribution(quiet), distribution(pause));
        say(&format!(
            "{how:?}, adopted: of {asked} copies wrong {}; quiet after {quiet}, pause {pause}",
            wrong.len()
        ));
        assert!(wrong.is_empty(), "{how:?}:\n{}", wrong.join("\n"));
    }
    drop(writers);
}
