//! What to do about a process that is not covered.

use super::library::{self, Library, VARIABLE};
use super::program::{self, Bar};
use super::servers;
use super::settings::Settings;
use crate::catalogue::cover::CoverRecord;
use crate::stilling::cover::Process;
use crate::words::waiting::who;

pub struct Adviser<'a> {
    pub library: Option<&'a Library>,
    pub settings: Option<&'a Settings>,
}

impl Adviser<'_> {
    /// In a line, that begins with the process.
    pub fn about(&self, writer: &CoverRecord) -> Option<String> {
        let process = Process(writer.pid);
        let why = match &writer.why {
            Some(why) => why.clone(),
            None => self.how_to_adopt(process, writer.unit.as_deref())?,
        };
        Some(format!("{}: {why}", who(writer.pid, &writer.comm, "")))
    }

    /// It does not have the library.
    fn how_to_adopt(&self, process: Process, unit: Option<&str>) -> Option<String> {
        let unit = unit.filter(|unit| unit.ends_with(".service"));
        let program = process.program()?;
        // By the link: the file may have another name by now.
        let image = process.file("exe");
        match program::bar(&image, self.library) {
            Some(Bar::Privileged) => {
                return Some(format!(
                    "{}; let {VARIABLE} name it without a slash, have the library in a folder of the system, and: chmod u+s {}",
                    Bar::Privileged.text(),
                    self.library
                        .map_or(library::NAME.into(), |library| library.path.display().to_string()),
                ));
            }
            Some(bar) => {
                let freeze =
                    unit.map_or("--freeze-cgroup".into(), |unit| format!("--freeze-unit {unit}"));
                return Some(format!("{}: cover it with {freeze}", bar.text()));
            }
            None => {}
        }
        if let Some(denied) = self.denied(process) {
            return Some(denied);
        }
        let has_it = |process: Process| {
            process.variable(VARIABLE).is_some_and(|value| library::is_in(&value))
        };
        if has_it(process) {
            return Some("it was started with the library in its environment and does not have it: start it again, and look for what ld.so says".into());
        }
        let setting = servers::setting(&program, self.library);
        let enable = unit.map(|unit| format!("stillpoint adopt enable {unit}, and restart it"));
        Some(match (process.ancestors().any(has_it), setting, enable) {
            (true, Some(setting), _) => setting,
            (true, None, _) => format!(
                "who started it has {VARIABLE}, and does not hand it on: let it keep that variable"
            ),
            (false, Some(setting), Some(enable)) => format!("{enable}; {setting}"),
            (false, _, Some(enable)) => enable,
            (false, Some(setting), None) => format!("start it by stillpoint adopt run; {setting}"),
            (false, None, None) => "start it by stillpoint adopt run".into(),
        })
    }

    /// Its user could not open the barrier.
    fn denied(&self, process: Process) -> Option<String> {
        let barrier = self.settings?.said.barrier.as_deref()?;
        let may = process.may_write(&std::fs::metadata(barrier).ok()?)?;
        (!may).then(|| {
            let barrier = barrier.display();
            format!("its user may not write to {barrier}: put him into the barrier's group, or give it the mode 0666; then adopt it")
        })
    }
}
