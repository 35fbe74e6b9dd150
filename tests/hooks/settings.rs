//! Settings, and what is missing where a hook runs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::calls::{HOSTS, each, of_nothing};
use crate::common::{Done, Mounted, is_root, must, root, run, skip};
use crate::host::{Call, Host, folder};

#[test]
fn settings_come_from_the_file_and_the_environment_goes_before() {
    each(|host, pre, post| {
        let settings = host.place.path("hooks.conf");
        host.write_job("my job", "barriers = 'mail'\n[limits]\nhold = 7\ndrain = 1\n");
        fs::write(&settings, "JOB='my job'\nWAIT=nothing\n").unwrap();
        let call = |call| {
            let mut command = host.command(call);
            command.env_remove("STILLPOINT_JOB").env("STILLPOINT_WAIT", "10");
            run(command)
        };
        let frozen = call(pre);
        assert_eq!(frozen.code(), 0, "{}: {frozen:?}", host.hook);
        assert_eq!(host.place.status()["holder"]["limit_ms"], 8000.0);
        assert_eq!(call(post).code(), 0, "{}", host.hook);

        fs::write(&settings, "JOB=nothing\n").unwrap();
        assert_eq!((host.call(pre).code(), host.call(post).code()), (0, 0), "{}", host.hook);
        let missing = call(pre);
        assert_eq!(missing.code(), 66, "{missing:?}");
        assert!(missing.stderr.contains("there is no job nothing; there are host, my job"));

        fs::remove_file(&settings).unwrap();
        let refused = host.call_with(pre, "STILLPOINT_JOB", "");
        assert_eq!(refused.code(), 64, "{refused:?}");
        assert!(refused.stderr.contains("no JOB; name one in "), "{refused:?}");
    });
}

/// Each would be a second place for what a job says. Whoever writes one is told where it goes.
#[test]
fn what_a_job_says_is_not_said_in_the_settings() {
    // All have it from their common part, in one shell or another.
    for (hook, pre, post) in HOSTS.into_iter().step_by(2) {
        let host = Host::new(hook);
        let settings = host.place.path("hooks.conf");
        for (name, value, key) in [
            ("BARRIERS", "  mail\tnews ", "barriers = [\"mail\", \"news\"] in "),
            ("BARRIERS", "mail", "barriers = [\"mail\"] in "),
            (
                "BARRIERS",
                "\"/srv/my mail\"",
                "barriers = [\"mail\", \"/srv/my mail/x.barrier\"] in ",
            ),
            ("HOLD", "7", "hold = 7 in [limits] in "),
            ("DRAIN", "0.5", "drain = 0.5 in [limits] in "),
            ("TAKE", "--btrfs %s --to /x", "each option is a key, "),
            ("KEEP", "3", "keep = 3 in [retention] in "),
        ] {
            let assert_told = |told: Done, place: &str, job: &str| {
                assert_eq!((told.code(), told.stderr.lines().count()), (64, 1), "{told:?}");
                let file = format!("/jobs.d/{job}.toml, and JOB={job} here");
                for part in [place, "leave it out", key, &file] {
                    assert!(told.stderr.contains(part), "{} {part}: {told:?}", host.hook);
                }
                assert!(!host.is_closed());
            };
            fs::write(&settings, format!("{name}='{value}'\nJOB=mine\n")).unwrap();
            assert_told(host.call_with(pre, "STILLPOINT_JOB", ""), "/hooks.conf", "mine");
            fs::write(&settings, format!("{name}='{value}'\n")).unwrap();
            assert_told(host.call_with(pre, "STILLPOINT_JOB", ""), "/hooks.conf", "NAME");
            fs::remove_file(&settings).unwrap();
            let by = format!("STILLPOINT_{name}");
            if name != "BARRIERS" {
                assert_told(host.call_with(pre, &by, value), &by, "host");
            }
        }
        // What was closed is ended all the same.
        assert_eq!(host.call(pre).code(), 0);
        fs::write(&settings, "KEEP=3\n").unwrap();
        assert_eq!(host.call_with(post, "STILLPOINT_TAKE", "x").code(), 0, "{hook}");
        assert!(!host.is_closed());
    }
}

/// Also those that only one hook has.
#[test]
fn the_environment_goes_before_for_every_setting() {
    let host = Host::new("snapper");
    let in_file = host.place.path("in-file");
    fs::write(host.place.path("hooks.conf"), format!("RECORD={}\n", in_file.display())).unwrap();
    let post = Call::with_arguments(&["create-snapshot-post", "/", "btrfs", "1"]);
    host.call(post);
    assert!(host.place.path("record").exists() && !in_file.exists());
    let mut command = host.command(post);
    command.env_remove("STILLPOINT_RECORD");
    run(command);
    assert!(in_file.exists());
}

/// Names as short as those are everybody's.
#[test]
fn without_their_prefix_they_are_not_ours() {
    each(|host, pre, post| {
        for call in [pre, post] {
            let mut command = host.command(call);
            for (name, value) in
                [("JOB", "nothing"), ("WAIT", "soon"), ("BARRIERS", "x"), ("HOLD", "9")]
            {
                command.env(name, value);
            }
            let done = run(command);
            assert_eq!(done.code(), 0, "{}: {done:?}", host.hook);
        }
    });
}

/// The marks that its editors leave are not part of a name.
#[test]
fn a_file_that_was_written_on_windows() {
    each(|host, pre, post| {
        let text = "\u{feff}JOB=host\r\n\r\n# A comment\r\nWAIT='1.5'\r\n";
        fs::write(host.place.path("hooks.conf"), text).unwrap();
        for (call, closed) in [(pre, true), (post, false)] {
            let mut command = host.command(call);
            command.env_remove("STILLPOINT_JOB").env_remove("STILLPOINT_WAIT");
            let done = run(command);
            assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{}: {done:?}", host.hook);
            assert_eq!(host.is_closed(), closed);
        }
    });
}

#[test]
fn a_barrier_with_a_space_in_its_path() {
    each(|host, pre, post| {
        let barrier = host.place.path("my mail.barrier");
        assert_eq!(host.place.run([OsStr::new("create"), barrier.as_os_str()]).code(), 0);
        let gate = || {
            let report =
                host.place.run([OsStr::new("status"), "--json".as_ref(), barrier.as_os_str()]);
            serde_json::from_str::<serde_json::Value>(&report.stdout).unwrap()["gate"].clone()
        };
        host.freezes(&format!("'{}', 'mail'", barrier.display()), "");
        for (call, state) in [(pre, "closed"), (post, "open")] {
            let done = host.call(call);
            assert_eq!(done.code(), 0, "{}: {done:?}", host.hook);
            assert_eq!((gate(), host.is_closed()), (state.into(), state == "closed"));
        }
    });
}

/// What cannot be kept for the second call must not stay until its limit.
#[test]
fn a_token_that_cannot_be_kept_ends_the_pause_at_once() {
    if !is_root() {
        return;
    }
    each(|host, pre, post| {
        let (folder, barrier) = (host.place.path("memory"), host.place.barrier());
        for options in ["size=4k", "nr_inodes=1", "ro"] {
            let _memory = Mounted::new("tmpfs", options, &folder);
            let _ = fs::write(folder.join("full"), [0; 4096]);
            host.freezes(&format!("'{}'", barrier.display()), "");
            let call = |call| {
                let mut command = host.command(call);
                command.env("STILLPOINT_DIR", &folder);
                run(command)
            };
            let refused = call(pre);
            assert_eq!(refused.code(), 73, "{} {options}: {refused:?}", host.hook);
            assert!(refused.stderr.contains("so nothing stays frozen"), "{refused:?}");
            host.place.assert_writers_go_on();
            assert_eq!(call(post).code(), of_nothing(host), "{} {options}", host.hook);
        }
    });
}

/// As daemons start what they call.
#[test]
fn descriptors_that_are_closed() {
    each(|host, pre, post| {
        for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
            for (call, is_closed) in [(pre, true), (post, false)] {
                let hook = host.command(call);
                let mut shell = host.place.program("/bin/sh");
                shell.args(["-c", &format!(r#"exec "$@" {closed}"#), "sh"]);
                shell.arg(hook.get_program()).args(hook.get_args());
                for (name, value) in hook.get_envs() {
                    shell.env(name, value.unwrap_or_default());
                }
                assert_eq!(run(shell).code(), 0, "{} {closed}", host.hook);
                assert_eq!(host.is_closed(), is_closed, "{} {closed}", host.hook);
            }
        }
    });
}

#[test]
fn settings_that_make_no_sense() {
    each(|host, pre, _| {
        for wait in ["20s", "-1", "soon", "1,5", "1.2.3", "."] {
            let refused = host.call_with(pre, "STILLPOINT_WAIT", wait);
            assert_eq!(refused.code(), 64, "{}: {refused:?}", host.hook);
            assert!(refused.stderr.contains(&format!("WAIT={wait}: expected seconds")));
        }
        fs::write(host.place.path("hooks.conf"), "JOB=(mail\n").unwrap();
        let refused = host.call(pre);
        assert_eq!(refused.code(), 65, "{}: {refused:?}", host.hook);
        assert!(refused.stderr.contains("hooks.conf: cannot be read"), "{refused:?}");
        assert!(!host.is_closed());
    });
}

/// Writers of other users shall find their barriers there, whatever the umask of a host is.
#[test]
fn a_folder_that_was_missing_is_open_to_all_and_a_token_is_not() {
    each(|host, pre, post| {
        let tokens = host.place.path("run/stillpoint");
        host.freezes(&format!("'{}'", host.place.barrier().display()), "");
        let call = |call| {
            let hook = host.command(call);
            let mut masked = host.place.program("/bin/sh");
            masked.args(["-c", r#"umask "$0" && exec "$@""#, "0077"]);
            masked.arg(hook.get_program()).args(hook.get_args());
            for (name, value) in hook.get_envs() {
                masked.env(name, value.unwrap_or_default());
            }
            masked.env("STILLPOINT_DIR", &tokens);
            run(masked).code()
        };
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(call(pre), 0, "{}", host.hook);
        assert_eq!(mode(&tokens), 0o755, "{}", host.hook);
        let token = fs::read_dir(&tokens).unwrap().next().unwrap().unwrap().path();
        assert_eq!(mode(&token), 0o600, "{}", host.hook);
        assert_eq!(call(post), 0);
    });
}

fn is_installed(what: &str) -> bool {
    ["/usr/local", "/usr"].iter().any(|prefix| Path::new(prefix).join(what).exists())
}

/// Hosts run their hooks with next to no PATH.
#[test]
fn a_hook_without_its_program_says_so() {
    if is_installed("bin/stillpoint") {
        return skip("stillpoint is installed here");
    }
    each(|host, pre, post| {
        for call in [pre, post] {
            let refused = host.call_with(call, "PATH", "/nowhere");
            assert_eq!(refused.code(), 127, "{}: {refused:?}", host.hook);
            assert!(refused.stderr.contains("stillpoint was not found in /nowhere:"));
        }
    });
}

/// A copy of a hook, as some hosts want it, on a machine from which the rest is gone.
#[test]
fn a_hook_without_its_other_half_says_so() {
    if is_installed("share/stillpoint/hooks") {
        return skip("hooks are installed here");
    }
    for (hook, pre, _) in HOSTS {
        let host = Host::new(hook);
        let copy = host.place.path("copy");
        must(Command::new("cp").arg(root().join("scripts/hooks").join(hook)).arg(&copy));
        let mut command = host.program(&copy);
        command.args(pre.arguments).envs(pre.variables.iter().copied());
        let refused = run(command);
        assert_eq!(refused.code(), 127, "{hook}: {refused:?}");
        assert!(refused.stderr.contains("/usr/share/stillpoint/hooks/hook.sh"), "{refused:?}");
    }
}

/// Wherever it is, with the strictest mode: Azure's extension runs nothing that others could even read.
#[test]
fn a_copy_for_root_alone_works() {
    let host = Host::new("azure");
    let copies = host.place.path("copies");
    fs::create_dir(&copies).unwrap();
    let mut install = Command::new("install");
    install.args(["-m", "0700"]).arg(folder().join("azure")).arg(&copies);
    assert!(install.status().unwrap().success());
    for (word, closed) in [("pre", true), ("post", false)] {
        let hook = host.command(Call::with_arguments(&[]));
        let mut copy = host.program(&copies.join("azure"));
        for (name, value) in hook.get_envs() {
            copy.env(name, value.unwrap_or_default());
        }
        let done = run({
            copy.arg(word);
            copy
        });
        assert_eq!(done.code(), 0, "{done:?}");
        assert_eq!(host.is_closed(), closed);
    }
}

/// Nobody may write at the other end of it, and the host waits.
#[test]
fn settings_in_a_pipe_are_refused() {
    each(|host, pre, post| {
        let settings = host.place.path("hooks.conf");
        nix::unistd::mkfifo(&settings, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let refused = host.call(pre);
        assert_eq!(refused.code(), 65, "{}: {refused:?}", host.hook);
        assert!(refused.stderr.contains("hooks.conf: is no regular file"), "{refused:?}");
        for call in [pre, post] {
            let none = host.call_with(call, "STILLPOINT_HOOKS_CONF", "/dev/null");
            assert_eq!(none.code(), 0, "{}: {none:?}", host.hook);
        }
    });
}

/// They are run, as root for the most part.
#[test]
fn settings_that_others_may_write_are_not_run() {
    each(|host, pre, post| {
        let settings = host.place.path("hooks.conf");
        let mark = host.place.path("mark");
        let run_it = format!("JOB=host\n: >{}\n", mark.display());
        for mode in [0o666, 0o664] {
            fs::write(&settings, &run_it).unwrap();
            fs::set_permissions(&settings, fs::Permissions::from_mode(mode)).unwrap();
            let refused = host.call(pre);
            assert_eq!(refused.code(), 77, "{}: {refused:?}", host.hook);
            assert!(refused.stderr.contains("others could write it"), "{refused:?}");
            host.call(post);
            assert!(!mark.exists(), "{}", host.hook);
        }
        fs::set_permissions(&settings, fs::Permissions::from_mode(0o640)).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&settings, Some(65534), None).unwrap();
            assert_eq!(host.call(pre).code(), 77, "{}: of another user", host.hook);
            std::os::unix::fs::chown(&settings, Some(0), None).unwrap();
        }
        assert!(!mark.exists());
        assert_eq!(host.call(pre).code(), 0, "{}", host.hook);
        assert!(mark.exists());
        assert_eq!(host.call(post).code(), 0);
    });
}

/// Whoever edits them while a host has its snapshot taken keeps no pause from its end, nor from being found out.
#[test]
fn what_was_closed_is_ended_whatever_the_settings_say_by_now() {
    each(|host, pre, post| {
        let settings = host.place.path("hooks.conf");
        let call = |call: Call| {
            let mut command = host.command(call);
            command.env_remove("STILLPOINT_JOB").env("STILLPOINT_WAIT", "10");
            run(command).code()
        };
        for later in ["JOB=nightly\n", "BARRIERS='mail news'\n", "JOB='mail\n", ""] {
            fs::write(&settings, "JOB=host\n").unwrap();
            assert_eq!(call(pre), 0, "{}", host.hook);
            fs::write(&settings, later).unwrap();
            assert_eq!(call(post), 0, "{} {later}", host.hook);
            assert!(!host.is_closed(), "{} {later}", host.hook);
        }
        fs::write(&settings, "JOB=host\n").unwrap();
        host.freezes("'mail'", "hold = 0.01");
        assert_eq!(call(pre), 0, "{}", host.hook);
        crate::common::until("its limit", || !host.is_closed());
        fs::write(&settings, "JOB=nothing\n").unwrap();
        assert_ne!(call(post), 0, "{}: it was over", host.hook);
    });
}
