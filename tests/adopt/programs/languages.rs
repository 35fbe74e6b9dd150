//! What scripts lock by.

use super::is_missing;
use super::pause::finishes_after_the_pause;
use crate::harness::Scene;
use std::fs;

#[test]
fn flock_of_util_linux() {
    let scene = Scene::new();
    let data = scene.file("data");
    fs::write(&data, "").unwrap();
    let mut command = scene.adopted("flock");
    command.arg(scene.file("lock")).args(["sh", "-c", "echo done | tee data"]);
    assert_eq!(finishes_after_the_pause(&scene, &mut command, "flock", &data), "done");
    // The shell's idiom, where one process locks for another.
    let mut command = scene.adopted("bash");
    let script = "exec 9>lock; flock -x 9; echo inside | tee data; flock -n lock true || echo held";
    let said = finishes_after_the_pause(&scene, command.args(["-c", script]), "flock", &data);
    assert_eq!(said, "inside\nheld");
}

#[test]
fn python() {
    if is_missing("python3") {
        return;
    }
    let scene = Scene::new();
    for (name, call) in [
        ("a", "fcntl.lockf(f, fcntl.LOCK_EX)"),
        ("b", "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"),
        ("c", "os.lockf(f.fileno(), os.F_LOCK, 0)"),
    ] {
        let data = scene.file(name);
        fs::write(&data, "").unwrap();
        let script = format!(
            "import fcntl, os; f = open({name:?}, 'a'); {call}; f.write('x'); print('done')"
        );
        let mut command = scene.adopted("python3");
        let said =
            finishes_after_the_pause(&scene, command.args(["-c", &script]), "python3", &data);
        assert_eq!(said, "done");
        assert_eq!(fs::read_to_string(&data).unwrap(), "x");
    }
}

#[test]
fn perl() {
    if is_missing("perl") {
        return;
    }
    let scene = Scene::new();
    let data = scene.file("p");
    fs::write(&data, "").unwrap();
    let mut command = scene.adopted("perl");
    let script = "open F, '>>p'; flock(F, 2) or die; print F 'x'; close F; print \"done\\n\"";
    let said = finishes_after_the_pause(&scene, command.args(["-e", script]), "perl", &data);
    assert_eq!(said, "done");
    assert_eq!(fs::read_to_string(&data).unwrap(), "x");
}
