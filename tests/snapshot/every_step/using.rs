//! Of `use`.

use std::process::Command;

use crate::common::{Done, names};
use crate::scene::Scene;

use super::judging::{fill, is_clean, nothing_is_half, settle};
use super::{Play, ensure, strike_all};

/// `use` of a snapshot that is then pruned.
struct Using;

impl Play for Using {
    fn scene(&self, _number: usize) -> Scene {
        let scene = Scene::new();
        fill(&scene.path("store"));
        scene.take("old");
        scene.take("good");
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        let mut command = scene.stillpoint();
        let read = r#"test -e "$STILLPOINT_SNAPSHOT_PATH/letter-0""#;
        command.args(["use", "old", "--", "sh", "-c", read]);
        command
    }

    fn judge(&self, scene: &Scene, _number: usize, _done: &Done) -> Result<(), String> {
        let to = scene.path("snapshots");
        settle(scene);
        ensure(names(&to) == ["good", "old"], || format!("{:?}", names(&to)))?;
        nothing_is_half(scene, &to)?;
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        ensure(names(&to) == ["good"], || format!("a pin was left behind: {:?}", names(&to)))?;
        is_clean(scene, &to)
    }
}

#[test]
fn of_using() {
    strike_all("use", &Using);
}
