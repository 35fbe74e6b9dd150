//! Of `prune`.

use std::process::Command;

use crate::common::{Done, names, run};
use crate::scene::Scene;

use super::judging::{is_clean, nothing_is_half, nothing_is_left, rows, settle};
use super::taking::Taking;
use super::{Play, ensure, strike_all};

/// `prune`, with two snapshots to remove, and the record of one that failed.
pub struct Pruning {
    pub taking: Taking,
    /// There is no room for as much as a mark.
    pub full: bool,
}

impl Play for Pruning {
    fn always(&self) -> Option<&str> {
        self.full.then_some("inject=write:error=ENOSPC")
    }

    fn scene(&self, number: usize) -> Scene {
        let scene = self.taking.scene(number);
        for name in ["other", "newest"] {
            run(&mut self.taking.take(&scene, number, name)).assert_code(0);
        }
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        let mut command = scene.stillpoint();
        command.args(["prune", "--keep", "1", "--json"]);
        command
    }

    fn judge(&self, scene: &Scene, number: usize, done: &Done) -> Result<(), String> {
        let to = self.taking.to(scene, number);
        settle(scene);
        scene.assert_writers_go_on();
        for words in [&[][..], &["--any"]] {
            let named = scene.latest(words);
            ensure(named.as_deref() == Some("newest"), || format!("latest names {named:?}"))?;
        }
        nothing_is_half(scene, &to)?;
        let only_the_newest =
            || ensure(names(&to) == ["newest"], || format!("not removed: {:?}", names(&to)));
        if done.code() == 0 {
            only_the_newest()?;
        }
        // The next run of either verb goes on with what was begun.
        scene.snapshot(["mail", "--min-open", "0", "--name", "next", "--", "true"]).assert_code(0);
        nothing_is_left(scene, &to)?;
        if !self.full {
            // Without a mark a record may stay whose data is gone, as if somebody had removed it.
            is_clean(scene, &to)?;
        }
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        only_the_newest()?;
        ensure(rows(scene).len() == 2, || format!("records are left: {:#?}", rows(scene)))?;
        is_clean(scene, &to)
    }
}

#[test]
fn of_pruning_copies() {
    strike_all("prune", &Pruning { taking: Taking { btrfs: None }, full: false });
}

#[test]
fn of_pruning_on_a_full_disk() {
    strike_all("prune, full", &Pruning { taking: Taking { btrfs: None }, full: true });
}

#[test]
fn of_pruning_subvolumes() {
    let Some(taking) = Taking::subvolume() else { return };
    strike_all("prune, btrfs", &Pruning { taking, full: false });
}
