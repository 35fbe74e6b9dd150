//! A link that is cut, in one direction, in the other, and in both. A host is in a namespace of the network of its own,
//! and a rule of nftables drops what comes in or goes out there. All of it is in a namespace of this test's, which
//! goes with it.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::time::sleep;

use super::scene::{PHASES, Running, SLOW, Scene};
use crate::servers::Servers;
use crate::skip::{has, is_root, skip};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 201, 1, 1);

/// The other end of a link.
struct Link {
    holder: Running,
}

fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

impl Link {
    fn new() -> Link {
        run(&["ip", "link", "set", "lo", "up"]);
        let mut hold = Command::new("setpriv");
        hold.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "-n",
            "sh",
            "-c",
            "echo there; exec sleep 600",
        ]);
        let mut holder = Running::start(hold.stdout(Stdio::piped()));
        holder.until("there").unwrap();
        let link = Link { holder };
        let pid = link.holder.pid().to_string();
        run(&["ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &pid]);
        run(&["ip", "address", "add", &format!("{HERE}/24"), "dev", "near"]);
        run(&["ip", "link", "set", "near", "up"]);
        link.run(&["ip", "link", "set", "lo", "up"]);
        link.run(&["ip", "address", "add", "10.201.1.2/24", "dev", "far"]);
        link.run(&["ip", "link", "set", "far", "up"]);
        link
    }

    fn how(&self) -> Vec<String> {
        ["nsenter", "-t", &self.holder.pid().to_string(), "-n"].map(str::to_string).to_vec()
    }

    fn run(&self, words: &[&str]) {
        let how = self.how();
        run(&how.iter().map(String::as_str).chain(words.iter().copied()).collect::<Vec<_>>());
    }

    /// What comes in, or goes out, is dropped.
    fn cut(&self, hooks: &[&str]) {
        self.run(&["nft", "add", "table", "inet", "cut"]);
        for hook in hooks {
            let chain = format!("{{ type filter hook {hook} priority 0; policy drop; }}");
            self.run(&["nft", "add", "chain", "inet", "cut", hook, &chain]);
        }
    }

    fn mend(&self) {
        self.run(&["nft", "delete", "table", "inet", "cut"]);
    }
}

#[tokio::test]
async fn a_host_that_is_cut_off_opens_its_gate_and_comes_back() {
    if !is_root() || !has(&["nft", "ip", "nsenter", "unshare", "setpriv"]) {
        return;
    }
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        return skip("there is no namespace of the network to be had");
    }
    let link = Link::new();
    let Some(servers) = Servers::start_at(Some(HERE), 3, &[], &[]) else { return };
    let scene = Scene::of(servers, "", Some(("b", link.how()))).await;
    scene.pace("b", SLOW);
    for hooks in [&["input"][..], &["output"], &["input", "output"]] {
        for place in &PHASES[2..] {
            let mut conducted = scene.conduct("hold-all");
            if !conducted.is_at(*place).await {
                continue;
            }
            link.cut(hooks);
            sleep(Duration::from_secs(6)).await;
            link.mend();
            let last = conducted.end();
            let may_be_whole = place.0 == "phase release";
            assert!(
                last == "verdict aborted" || (may_be_whole && last == "verdict complete"),
                "{hooks:?}, {place:?}: {last}"
            );
            scene.succeeds("hold-all").await;
        }
    }
    // Briefly, and it is none the worse.
    let mut conducted = scene.conduct("hold-all");
    assert!(conducted.is_at(PHASES[2]).await);
    link.cut(&["input", "output"]);
    sleep(Duration::from_millis(300)).await;
    link.mend();
    assert_eq!(conducted.end(), "verdict complete");
    scene.check().await;
}
