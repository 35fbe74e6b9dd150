//! Of `restore`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Done, names};
use crate::scene::Scene;

use super::judging::{fill, is_whole, settle};
use super::{Play, ensure, strike_all};

/// In the place of the store, which has changed meanwhile. To a new place it takes the same steps, and fewer.
struct Restoring;

/// What is there now, and was not when the snapshot was taken.
fn is_now(place: &Path) -> bool {
    is_whole(place) && place.join("now").exists()
}

fn is_then(place: &Path) -> bool {
    is_whole(place) && !place.join("now").exists()
}

fn is_left(scene: &Scene) -> bool {
    names(&scene.path("")).iter().any(|name| name.ends_with(".restoring"))
}

impl Restoring {
    /// Wherever it is: what the users have written is somewhere.
    fn live(scene: &Scene) -> Vec<PathBuf> {
        let all = names(&scene.path("")).into_iter().map(|name| scene.path(&name));
        all.flat_map(|path| [path.join("data"), path]).filter(|path| is_now(path)).collect()
    }
}

impl Play for Restoring {
    fn scene(&self, _number: usize) -> Scene {
        let scene = Scene::new();
        fill(&scene.path("store"));
        scene.take("good");
        fs::write(scene.path("store/now"), "").unwrap();
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        let mut command = scene.stillpoint();
        command.args(["restore", "--replace", "good"]);
        command
    }

    fn judge(&self, scene: &Scene, number: usize, done: &Done) -> Result<(), String> {
        let place = scene.path("store");
        settle(scene);
        scene.assert_writers_go_on();
        ensure(is_then(&scene.path("snapshots/good")), || "the snapshot is not whole".into())?;
        let right = is_then(&place) || is_now(&place);
        ensure(right, || format!("{:?} in {}", names(&scene.path("")), place.display()))?;
        ensure(done.code() != 0 || is_then(&place), || "it was not restored".into())?;
        ensure(Self::live(scene).len() == 1, || format!("live data: {:?}", Self::live(scene)))?;
        // Again: nothing stands in its way, and nothing is left.
        let again = crate::common::run(self.verb(scene, number));
        ensure(again.code() == 0 && is_then(&place), || format!("again: {again:#?}"))?;
        ensure(!is_left(scene), || format!("left: {:?}", names(&scene.path(""))))?;
        ensure(Self::live(scene).len() == 1, || format!("live data: {:?}", Self::live(scene)))?;
        Ok(())
    }
}

#[test]
fn of_restoring_in_the_place_of_the_store() {
    strike_all("restore --replace", &Restoring);
}
