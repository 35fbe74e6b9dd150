//! Mail servers, as they are on a host of their own: with spool and mailboxes, and processes that change their user.

use super::pause::{Closed, assert_untouched, contents, finishes_after_the_pause};
use super::{MESSAGE, Unpacked, is_missing};
use crate::common::{folder_in_memory, is_root, must, start, until};
use crate::harness::{Scene, library};
use nix::unistd::{Gid, Uid, User};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What Debian has on each machine, and nobody is.
fn user(name: &str) -> (Option<u32>, Option<u32>) {
    let user = User::from_name(name).unwrap().unwrap();
    (Some(Uid::as_raw(user.uid)), Some(Gid::as_raw(user.gid)))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder that is laid over one of the system's, for one process and its children. In memory, as a container may
/// lie on what cannot be laid over anything.
struct Overlay {
    over: &'static str,
    upper: PathBuf,
    work: PathBuf,
    _folder: TempDir,
}

impl Overlay {
    fn new(over: &'static str) -> Overlay {
        let folder = folder_in_memory();
        let [upper, work] = ["upper", "work"].map(|name| folder.path().join(name));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        Overlay { over, upper, work, _folder: folder }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.upper.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn mount(&self) -> String {
        let (upper, work) = (self.upper.display(), self.work.display());
        let options = format!("lowerdir={0},upperdir={upper},workdir={work}", self.over);
        format!("mount -t overlay -o '{options}' overlay {}\n", self.over)
    }
}

/// A script that finds them laid over.
fn under(scene: &Scene, overlays: &[&Overlay], script: &str) -> Command {
    let mut command = Command::new("unshare");
    let mounts: String = overlays.iter().map(|overlay| overlay.mount()).collect();
    command.args(["--mount", "sh", "-ec", &(mounts + script)]).current_dir(scene.file(""));
    command
}

/// It has more rights than whoever runs it: the library is in a folder of the system, and so are the settings.
#[test]
fn procmail_of_an_ordinary_user() {
    if is_missing("procmail") || !is_root() {
        return;
    }
    let scene = Scene::new();
    let home = scene.file("home");
    fs::create_dir(&home).unwrap();
    mode(scene.file("").as_path(), 0o755);
    mode(scene.barrier.path(), 0o666);
    let (nobody, group) = user("nobody");
    chown(&home, nobody, group).unwrap();
    let (rules, message) = (home.join("rules"), scene.elsewhere("message"));
    fs::write(&rules, format!("DEFAULT={}/mailbox\n", home.display())).unwrap();
    fs::write(&message, MESSAGE).unwrap();
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let folder = folders.into_iter().find(|folder| Path::new(folder).exists()).unwrap();
    let (libraries, etc) = (Overlay::new(folder), Overlay::new("/etc"));
    let installed = libraries.upper.join("libstillpoint_adopt.so");
    fs::copy(library(), &installed).unwrap();
    mode(&installed, 0o4755);
    etc.write("stillpoint/adopt.conf", &fs::read_to_string(scene.settings()).unwrap());
    let deliver = || {
        let script = "LD_PRELOAD=libstillpoint_adopt.so setpriv --reuid=nobody --regid=nogroup --clear-groups \
                      procmail -m \"$0\" < \"$1\" && echo delivered";
        let mut command = under(&scene, &[&libraries, &etc], script);
        command.arg(&rules).arg(&message);
        command
    };
    must(deliver());
    let data = home.join("mailbox");
    let said = finishes_after_the_pause(&scene, &mut deliver(), "procmail", &data);
    assert_eq!(said, "delivered");
}

/// The spool is protected as the mailboxes are. Each message is locked there by a parent while its child, of another
/// user, locks the mailbox.
#[test]
fn exim() {
    let Some(unpacked) = Unpacked::with("exim4-daemon-light", "usr/sbin/exim4") else { return };
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let (spool, folder, log) = (scene.file("spool"), scene.file("mail"), scene.elsewhere("log"));
    mode(scene.file("").as_path(), 0o755);
    mode(scene.barrier.path(), 0o666);
    let (mail, group) = user("mail");
    for folder in [&spool, &folder, &log] {
        fs::create_dir(folder).unwrap();
        chown(folder, mail, group).unwrap();
    }
    let program = unpacked.path("usr/sbin/exim4");
    let settings = format!(
        "exim_user = mail\nexim_group = mail\nexim_path = {}\n\
         keep_environment = LD_PRELOAD : STILLPOINT_ADOPT_CONFIG : LD_LIBRARY_PATH\n\
         spool_directory = {}\nlog_file_path = {}/%slog\n\
         primary_hostname = example.org\nqualify_domain = example.org\nlocal_interfaces = <; 127.0.0.1\n\
         begin routers\nall:\n driver = accept\n transport = file\n\
         begin transports\nfile:\n driver = appendfile\n file = {}/mailbox\n user = mail\n group = mail\n",
        program.display(),
        spool.display(),
        log.display(),
        folder.display(),
    );
    // It keeps its privileges with its own settings only, and has the name of a user built in.
    let etc = Overlay::new("/etc");
    etc.write("exim4/exim4.conf", &settings);
    for (name, line) in
        [("passwd", "Debian-exim:x:993:993::/:/bin/false\n"), ("group", "Debian-exim:x:993:\n")]
    {
        let known = fs::read_to_string(format!("/etc/{name}")).unwrap();
        etc.write(name, &(known + line));
    }
    let message = scene.elsewhere("message");
    fs::write(&message, MESSAGE).unwrap();
    let deliver = || {
        let script = "export LD_PRELOAD=$2; \"$0\" -odi b@example.org < \"$1\" && echo delivered";
        let mut command = under(&scene, &[&etc], script);
        command.arg(&program).arg(&message).arg(library());
        command.env("STILLPOINT_ADOPT_CONFIG", scene.settings());
        command.env("LD_LIBRARY_PATH", unpacked.libraries());
        command
    };
    must(deliver());
    let mailbox = folder.join("mailbox");
    let said = finishes_after_the_pause(&scene, &mut deliver(), "exim4", &mailbox);
    assert_eq!(said, "delivered");
    let found = fs::read_to_string(&mailbox).unwrap();
    assert_eq!(found.matches("Subject: s\n").count(), 2, "{found}");
}

/// Its queue is elsewhere, so that those who deliver are those who wait.
#[test]
fn postfix_local_and_virtual() {
    let Some(unpacked) = Unpacked::with("postfix", "usr/lib/postfix/sbin/master") else { return };
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let root = scene.elsewhere("postfix");
    let [settings, queue, data] = ["etc", "queue", "data"].map(|name| root.join(name));
    let [spool, boxes] = ["spool", "boxes"].map(|name| scene.file(name));
    mode(scene.file("").as_path(), 0o755);
    mode(scene.barrier.path(), 0o666);
    for folder in [&root, &settings, &queue, &data, &spool, &boxes] {
        fs::create_dir(folder).unwrap();
    }
    let (mail, group) = user("mail");
    chown(&data, mail, group).unwrap();
    mode(&spool, 0o1777);
    mode(&boxes, 0o1777);
    fs::copy(unpacked.path("etc/postfix/postfix-files"), settings.join("postfix-files")).unwrap();
    let environment = "MAIL_CONFIG MAIL_LOGTAG POSTLOG_SERVICE POSTLOG_HOSTNAME TZ LANG=C \
                       LD_PRELOAD STILLPOINT_ADOPT_CONFIG LD_LIBRARY_PATH";
    let text = format!(
        "compatibility_level = 3.6\ncommand_directory = {programs}\ndaemon_directory = {daemons}\n\
         shlib_directory = {libraries}\ndata_directory = {data}\nqueue_directory = {queue}\n\
         meta_directory = {settings}\nmail_owner = mail\nsetgid_group = games\ndefault_privs = nobody\n\
         import_environment = {environment}\nexport_environment = {environment}\n\
         myhostname = example.org\nmydestination = example.org\ninet_interfaces = loopback-only\n\
         maillog_file = {root}/log\nmaillog_file_prefixes = {root}\nalias_maps =\nlocal_recipient_maps =\n\
         mail_spool_directory = {spool}\nvirtual_mailbox_domains = virtual.example.org\n\
         virtual_mailbox_base = {boxes}\nvirtual_mailbox_maps = static:mailbox\n\
         virtual_uid_maps = static:{mail}\nvirtual_gid_maps = static:{group}\nvirtual_minimum_uid = 1\n",
        programs = unpacked.path("usr/sbin").display(),
        daemons = unpacked.path("usr/lib/postfix/sbin").display(),
        libraries = unpacked.path("usr/lib/postfix").display(),
        data = data.display(),
        queue = queue.display(),
        settings = settings.display(),
        root = root.display(),
        spool = spool.display(),
        boxes = boxes.display(),
        mail = mail.unwrap(),
        group = group.unwrap(),
    );
    fs::write(settings.join("main.cf"), text).unwrap();
    let services = "pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
                    rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
                    defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nlocal unix - n n - - local\n\
                    virtual unix - n n - - virtual\npostlog unix-dgram n - n - 1 postlogd\n";
    fs::write(settings.join("master.cf"), services).unwrap();
    let program = |name: &str| {
        let mut command = scene.adopted(unpacked.path(name));
        command.env("LD_LIBRARY_PATH", unpacked.libraries());
        command
    };
    must(program("usr/sbin/postfix").arg("-c").arg(&settings).arg("check"));
    let mut master = program("usr/lib/postfix/sbin/master");
    master.arg("-c").arg(&settings).arg("-d").stdout(Stdio::null()).stderr(Stdio::null());
    let master = start(master);
    until("Postfix listens", || queue.join("public/pickup").exists());
    let log = || fs::read_to_string(root.join("log")).unwrap_or_default();
    let send = |recipient: &str| {
        use std::io::Write;
        let mut command = program("usr/sbin/sendmail");
        let mut child =
            command.arg("-C").arg(&settings).arg(recipient).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(MESSAGE.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{}", log());
    };
    let count = |mailbox: &Path| {
        fs::read_to_string(mailbox).unwrap_or_default().matches("Subject: s\n").count()
    };
    for (agent, recipient, folder, mailbox) in [
        ("local", "games@example.org", &spool, spool.join("games")),
        ("virtual", "b@virtual.example.org", &boxes, boxes.join("mailbox")),
    ] {
        send(recipient);
        until(&format!("{agent} delivers: {}", log()), || count(&mailbox) == 1);
        let before = contents(folder);
        let closed = Closed::at(&scene);
        send(recipient);
        closed.until_it_waits(agent);
        assert_untouched(&before, folder);
        closed.open();
        until(&format!("{agent} delivers: {}", log()), || count(&mailbox) == 2);
    }
    drop(master);
}
