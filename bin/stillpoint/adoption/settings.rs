//! What stands in `/etc/stillpoint/adopt.conf`, for who uses or checks it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::words::adoption::{Adoption, FILE};
use crate::words::exit::{Exit, Failure, reason};

/// The settings, and what is wrong with them.
#[derive(Debug)]
pub struct Settings {
    pub file: PathBuf,
    pub said: Adoption,
    pub faults: Vec<String>,
}

impl Settings {
    /// An error: they cannot be read.
    pub fn read(file: Option<&Path>) -> Result<Settings, Failure> {
        let file = file.unwrap_or_else(|| Path::new(FILE)).to_owned();
        let text = fs::read(&file).map_err(|error| {
            let message = format!(
                "{}: {}; it says what programs are adopted to: see stillpoint-adopt(8)",
                file.display(),
                reason(&error)
            );
            Failure::new(Exit::MISSING, message)
        })?;
        let mut faults = Vec::new();
        let said = Adoption::parse(&text, |number, line| {
            faults.push(format!("{}:{number}: not understood: {line}", file.display()));
        });
        if said.barrier.is_none() {
            faults.push(format!("{}: names no barrier: nothing is adopted", file.display()));
        }
        if said.protected.is_empty() {
            faults.push(format!("{}: protects nothing: nothing is adopted", file.display()));
        }
        Ok(Settings { file, said, faults })
    }

    /// With which a program can be adopted.
    pub fn usable(file: Option<&Path>) -> Result<Settings, Failure> {
        let settings = Settings::read(file)?;
        match settings.faults.first() {
            None => Ok(settings),
            Some(fault) => Err(Failure::new(Exit::DATA, fault.clone())),
        }
    }
}
