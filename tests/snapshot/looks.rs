//! What a look at all who write costs: each file of /proc takes the kernel a while to make up.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{run, skip, start, strace};
use crate::scene::Scene;

/// Threads of the kernel have no files open, and are as many as a machine has processors and devices. Of all others it is
/// asked how a descriptor was opened, without opening anything, before more is asked.
#[test]
fn nothing_is_opened_that_need_not_be() {
    if !strace::works() {
        return skip("strace does not work here");
    }
    let Ok(of_kernel) = fs::read_to_string("/proc/2/task/2/children") else {
        return skip("this kernel does not list children");
    };
    if !fs::read_to_string("/proc/2/stat").unwrap_or_default().starts_with("2 (kthreadd)") {
        return skip("threads of the kernel are not to be seen");
    }
    let scene = Scene::new();
    let file = scene.path("beside");
    fs::write(&file, "").unwrap();
    let reads = || OwnedFd::from(File::open(&file).unwrap());
    let mut command = Command::new("sleep");
    let it = start(command.arg("600").stdin(reads()).stdout(Stdio::null()).stderr(reads()));
    let opened = opened(&scene);
    let touched = |number: &str| {
        let folder = format!("/proc/{number}/");
        opened.iter().filter(|path| path.starts_with(&folder)).cloned().collect::<BTreeSet<_>>()
    };
    for number in of_kernel.split_whitespace() {
        assert_eq!(touched(number), BTreeSet::new(), "of a thread of the kernel");
    }
    let of_it = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| format!("/proc/{}/{name}", it.pid)).collect()
    };
    // Only its output may be written to.
    let fd = format!("task/{}/fd", it.pid);
    assert_eq!(touched(&it.pid.to_string()), of_it(&["maps", &fd, &format!("{fd}info/1")]));
}

/// What a snapshot opens below /proc.
fn opened(scene: &Scene) -> Vec<String> {
    let trace = scene.path("trace");
    let mut command = scene.environment(Command::new("strace"));
    strace::options(&mut command, &trace, None);
    let verb = scene.copy(&["--hold", "10", "--min-open", "0"]);
    run(command
        .args(["-e", "trace=openat", "-s", "200"])
        .arg(verb.get_program())
        .args(verb.get_args()))
    .assert_code(0);
    let path = |text: &str| Some(text.split('"').nth(1)?.to_owned());
    let calls = strace::read(&trace);
    let paths = calls.iter().filter_map(|call| path(&call.text));
    paths.filter(|path| Path::new(path).starts_with("/proc")).collect()
}
