//! Of `job run`: its own steps, and those of the verbs that it does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::common::strace::Call;
use crate::common::{Done, STILLPOINT, names, run};
use crate::scene::Scene;

use super::blows::{Blow, Case};
use super::judging::{fill, is_clean, is_whole, nothing_is_half, settle};
use super::{Play, ensure, strike_all};

/// A job with all steps, which keeps one snapshot.
struct Running;

impl Running {
    fn job(scene: &Scene) -> Command {
        let mut command = Command::new("env");
        command
            .arg(format!("STILLPOINT_JOBS={}", scene.path("jobs").display()))
            .arg(format!("STILLPOINT_STATE_DIR={}", scene.path("state").display()))
            .args([STILLPOINT, "job", "run", "mail"]);
        command
    }

    fn again(scene: &Scene) -> Done {
        run(&mut scene.environment(Running::job(scene)))
    }

    fn record(scene: &Scene) -> Option<Value> {
        let text = fs::read(scene.path("state/jobs/mail.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("a record is whole"))
    }
}

impl Play for Running {
    fn begins_at(&self, scene: &Scene) -> PathBuf {
        scene.path("state")
    }

    /// By death at its own files, where it starts something, and where a name changes. The rest, and a full disk, is seen
    /// where its steps are struck themselves.
    fn can_be_struck(&self, case: &Case) -> bool {
        let Call { name, text, .. } = &case.call;
        let is_own = ["/state/", "/.stillpoint-"].iter().any(|place| text.contains(place));
        let changes = ["clone", "vfork", "rename", "unlink", "rmdir"];
        case.blow == Blow::Killed && (is_own || changes.iter().any(|change| name.contains(change)))
    }

    fn scene(&self, _number: usize) -> Scene {
        let scene = Scene::new();
        fill(&scene.path("store"));
        scene.take("good");
        scene.edit("good", |manifest| manifest["label"] = "mail".into());
        fs::create_dir(scene.path("jobs")).unwrap();
        let text = format!(
            "barriers = 'mail'\n[snapshot]\ncopy = '{}'\nto = '{}'\n[limits]\nhold = 9\nmin-open = 0\n\
             [hooks]\nbefore = ['true']\nafter = ['true']\n[verify]\ncommand = ['true']\n[retention]\nkeep = 1\n\
             [metrics]\ntextfile = '{}'\n",
            scene.path("store").display(),
            scene.path("snapshots").display(),
            scene.path("metrics.prom").display()
        );
        fs::write(scene.path("jobs/mail.toml"), text).unwrap();
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        Running::job(scene)
    }

    fn judge(&self, scene: &Scene, _number: usize, done: &Done) -> Result<(), String> {
        let to = scene.path("snapshots");
        settle(scene);
        scene.assert_writers_go_on();
        let named = scene.latest(&[]);
        let right = named.as_deref().is_some_and(|name| is_whole(&to.join(name)));
        ensure(right, || format!("latest names {named:?}"))?;
        nothing_is_half(scene, &to)?;
        let record = Running::record(scene);
        let was_cut = record.as_ref().is_some_and(|record| record["ended"].is_null());
        ensure(done.code() != 0 || !was_cut, || format!("the record says {record:?}"))?;

        let again = Running::again(scene);
        ensure(again.code() == 0, || format!("again: {again:#?}"))?;
        ensure(again.stderr.contains("was cut short") == was_cut, || format!("{again:#?}"))?;
        ensure(names(&to).len() == 1, || format!("left: {:?}", names(&to)))?;
        ensure(scene.latest(&["--verified"]).is_some(), || "it is not verified".into())?;
        let record = Running::record(scene).unwrap();
        ensure(record["exit"] == 0, || format!("{record:#}"))?;
        // Written aside, and never named.
        for folder in ["state/jobs", "jobs"] {
            let left = names(&scene.path(folder)).into_iter().find(|name| name.starts_with('.'));
            ensure(left.is_none(), || format!("left in {folder}: {left:?}"))?;
        }
        is_clean(scene, &to)
    }
}

#[test]
fn of_running_a_job() {
    strike_all("job run", &Running);
}
