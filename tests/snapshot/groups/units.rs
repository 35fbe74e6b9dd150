//! Units of systemd, by the groups that it makes for them.

use std::path::PathBuf;

use super::{STANDS, Ticking};
use crate::common::{Group, run};

/// Where nobody answers for systemd its rules say where the group is.
#[test]
fn a_unit_has_its_group_where_systemd_puts_it() {
    for other in Group::each() {
        let name = Group::name();
        let template = name.replace('-', "\\x2d");
        let slice = format!("{name}-b");
        for (unit, path) in [
            (name.clone(), format!("system.slice/{name}.service")),
            (format!("{name}@1"), format!("system.slice/system-{template}.slice/{name}@1.service")),
            (format!("{slice}.slice"), slices(&slice)),
        ] {
            let group = Group::at(path.as_ref(), other.version()).unwrap();
            let ticking = Ticking::in_group(group, None);
            // systemctl is there, and there is nobody that it could ask.
            ticking.scene.stand_in(
                "systemctl",
                "echo 'System has not been booted with systemd' >&2; exit 1",
            );
            let mut command = ticking.scene.stillpoint();
            command.args([
                "snapshot",
                "mail",
                "--freeze-unit",
                &unit,
                "--",
                "sh",
                "-c",
                STANDS,
                "sh",
            ]);
            run(command.arg(ticking.file())).assert_code(0);
            ticking.assert_nothing_left();
        }
    }
}

fn slices(slice: &str) -> String {
    let ends = slice.match_indices('-').map(|(at, _)| at).chain([slice.len()]);
    let path: PathBuf = ends.map(|end| format!("{}.slice", &slice[..end])).collect();
    path.to_str().unwrap().to_owned()
}

/// Where systemd answers, it says where.
#[test]
fn systemd_is_asked() {
    let Some(ticking) = Ticking::any() else { return };
    let asked = ticking.scene.path("asked");
    let answer = |said: &str| {
        let script = format!("printf '%s ' \"$@\" > '{}'; echo '{said}'", asked.display());
        ticking.scene.stand_in("systemctl", &script);
    };
    answer(ticking.group.path().to_str().unwrap());
    let taken = |unit: &str| {
        let mut command = ticking.scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--freeze-unit", unit]);
        run(command.args(["--", "sh", "-c", STANDS, "sh"]).arg(ticking.file()))
    };
    taken("mariadb:now").assert_code(0);
    let words = std::fs::read_to_string(&asked).unwrap();
    assert_eq!(words, "show --property=ControlGroup --value -- mariadb.service ");
    answer("");
    taken("mariadb").assert_refused(66, "mariadb.service: has no control group");
    answer("/nowhere.slice/mariadb.service");
    taken("mariadb").assert_refused(66, "/nowhere.slice/mariadb.service is in no hierarchy");
    ticking.assert_nothing_left();
}
