//! Of `snapshot`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::strace;
use crate::common::{Done, Image, must, run, skip, subvolume};
use crate::scene::Scene;

use super::blows::{Blow, Case};
use super::judging::{fill, is_clean, is_whole, nothing_is_half, settle};
use super::{Play, ensure, play, strike_all};

/// `snapshot`, by copy or btrfs.
pub struct Taking {
    pub btrfs: Option<Image>,
}

impl Taking {
    pub fn subvolume() -> Option<Taking> {
        let image = Image::btrfs()?;
        subvolume(&image.path().join("store"));
        fill(&image.path().join("store"));
        must(Command::new("sync").arg("-f").arg(image.path()));
        Some(Taking { btrfs: Some(image) })
    }

    pub fn to(&self, scene: &Scene, number: usize) -> PathBuf {
        match &self.btrfs {
            Some(image) => image.path().join(format!("snapshots-{number}")),
            None => scene.path("snapshots"),
        }
    }

    pub fn take(&self, scene: &Scene, number: usize, name: &str) -> Command {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--hold", "10", "--name", name]);
        match &self.btrfs {
            Some(image) => command.arg("--btrfs").arg(image.path().join("store")),
            None => command.arg("--copy").arg(scene.path("store")),
        };
        command.arg("--to").arg(self.to(scene, number));
        command
    }
}

impl Play for Taking {
    fn can_be_struck(&self, case: &Case) -> bool {
        case.blow != Blow::Interrupted || self.btrfs.is_none()
    }

    fn scene(&self, number: usize) -> Scene {
        let scene = Scene::new();
        fill(&scene.path("store"));
        if self.btrfs.is_some() {
            let _ = fs::create_dir(self.to(&scene, number));
        }
        run(&mut self.take(&scene, number, "good")).assert_code(0);
        scene
    }

    fn verb(&self, scene: &Scene, number: usize) -> Command {
        self.take(scene, number, "new")
    }

    fn judge(&self, scene: &Scene, number: usize, done: &Done) -> Result<(), String> {
        let to = self.to(scene, number);
        settle(scene);
        scene.assert_writers_go_on();
        let newest = if done.code() == 0 { &["new"][..] } else { &["good", "new"] };
        for words in [&[][..], &["--any"]] {
            let named = scene.latest(words);
            let right = named
                .as_deref()
                .is_some_and(|name| newest.contains(&name) && is_whole(&to.join(name)));
            ensure(right, || format!("latest names {named:?}"))?;
        }
        nothing_is_half(scene, &to)?;
        scene.snapshot(["mail", "--min-open", "0", "--name", "next", "--", "true"]).assert_code(0);
        nothing_is_half(scene, &to)?;
        is_clean(scene, &to)
    }
}

#[test]
fn of_a_snapshot_by_copy() {
    strike_all("snapshot --copy", &Taking { btrfs: None });
}

/// Two things go wrong: the name cannot be made durable, and it cannot be taken back either. Then
/// the data is whole under it, and must not be called failed.
#[test]
fn of_a_name_that_can_neither_be_kept_nor_taken_back() {
    if !strace::works() {
        return skip("strace cannot inject faults here");
    }
    let act = Taking { btrfs: None };
    let (.., calls) = play(&act, 0, None);
    let durable =
        calls.iter().find(|call| call.name == "fsync" && call.text.contains("/snapshots>"));
    let nth = durable.expect("the folder is synced").nth;
    let scene = act.scene(1);
    let mut command = scene.environment(Command::new("strace"));
    strace::options(&mut command, &scene.path("trace"), None);
    command.args(["-e", &format!("inject=fsync:error=ENOSPC:when={nth}+")]);
    command.args(["-e", "inject=renameat2:error=ENOSPC:when=2+"]);
    let verb = act.verb(&scene, 1);
    let done = run(command.arg(verb.get_program()).args(verb.get_args()));
    done.assert_refused(73, "new is whole; the next snapshot completes it");
    assert_eq!(scene.latest(&[]).as_deref(), Some("good"));
    act.judge(&scene, 1, &done).unwrap();
    assert_eq!(scene.latest(&[]).as_deref(), Some("new"));
    scene.verb(["use", "new", "--", "true"]).assert_code(0);
}

#[test]
fn of_a_snapshot_of_a_subvolume() {
    let Some(taking) = Taking::subvolume() else { return };
    strike_all("snapshot --btrfs", &taking);
}
