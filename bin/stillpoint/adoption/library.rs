//! Where `libstillpoint_adopt.so` is, and how LD_PRELOAD names it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::words::exit::{Exit, Failure};

pub const NAME: &str = "libstillpoint_adopt.so";
pub const VARIABLE: &str = "LD_PRELOAD";

/// The library, where it was found.
#[derive(Debug)]
pub struct Library {
    pub path: PathBuf,
}

impl Library {
    /// Beside this command as it was installed, or built, or where the system has its libraries.
    pub fn find() -> Result<Library, Failure> {
        let places = places();
        let found = places.iter().map(|folder| folder.join(NAME)).find(|path| path.is_file());
        let path = found.ok_or_else(|| {
            let places: Vec<String> =
                places.iter().map(|folder| folder.display().to_string()).collect();
            let places = places.join(", ");
            Failure::new(
                Exit::UNAVAILABLE,
                format!("{NAME} was not found in {places}; install it with this command"),
            )
        })?;
        // They end a name in LD_PRELOAD.
        if path.as_os_str().as_bytes().iter().any(|byte| matches!(byte, b' ' | b':')) {
            let path = path.display();
            return Err(Failure::new(
                Exit::UNAVAILABLE,
                format!("{path}: LD_PRELOAD can name no path with a space or a colon in it"),
            ));
        }
        Ok(Library { path })
    }

    /// Without a slash where the dynamic linker finds it so: only then a set-user-ID program may get it.
    pub fn preloaded(&self) -> &OsStr {
        match self.path.parent() {
            Some(folder) if of_system().iter().any(|of_system| of_system == folder) => {
                OsStr::new(NAME)
            }
            _ => self.path.as_os_str(),
        }
    }

    /// Whether set-user-ID programs get it: ld.so(8).
    pub fn is_for_privileged(&self) -> bool {
        let mode = fs::metadata(&self.path).map_or(0, |found| found.permissions().mode());
        self.preloaded() == NAME && mode & 0o4000 != 0
    }

    /// The variable's value, before what stands in it.
    pub fn before(&self, standing: Option<&OsStr>) -> OsString {
        let mut value = self.preloaded().to_owned();
        for other in standing.into_iter().flat_map(names).filter(|name| !is_it(name)) {
            value.push(":");
            value.push(other);
        }
        value
    }
}

/// Whether a value of the variable names it, by whatever path.
pub fn is_in(value: &OsStr) -> bool {
    names(value).any(is_it)
}

fn names(value: &OsStr) -> impl Iterator<Item = &OsStr> {
    let names = value.as_bytes().split(|byte| matches!(byte, b' ' | b':'));
    names.filter(|name| !name.is_empty()).map(OsStr::from_bytes)
}

fn is_it(name: &OsStr) -> bool {
    Path::new(name).file_name() == Some(OsStr::new(NAME))
}

fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    let program = std::env::current_exe().ok();
    if let Some(folder) = program.as_deref().and_then(Path::parent) {
        if let (Some(prefix), true) = (folder.parent(), folder.ends_with("bin")) {
            places.push(prefix.join("lib"));
            places.extend(triplet().map(|triplet| prefix.join("lib").join(triplet)));
            places.push(prefix.join("lib64"));
        }
        places.push(folder.to_owned());
    }
    places.extend(of_system());
    places.dedup();
    places
}

/// Where the dynamic linker looks without being told: Debian's folders, and those of others.
fn of_system() -> Vec<PathBuf> {
    let with_triplet = triplet().into_iter().flat_map(|triplet| {
        [Path::new("/usr/lib").join(&triplet), Path::new("/lib").join(&triplet)]
    });
    let plain = ["/usr/lib64", "/usr/lib", "/lib64", "/lib"].map(PathBuf::from);
    with_triplet.chain(plain).collect()
}

fn triplet() -> Option<String> {
    let system = match cfg!(target_env = "gnu") {
        true => "linux-gnu",
        false => return None,
    };
    Some(format!("{}-{system}", std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_preloaded_already_is_kept_and_it_comes_first() {
        let library = Library { path: "/opt/lib/libstillpoint_adopt.so".into() };
        let value = |standing: Option<&str>| {
            library.before(standing.map(OsStr::new)).into_string().unwrap()
        };
        assert_eq!(value(None), "/opt/lib/libstillpoint_adopt.so");
        assert_eq!(value(Some("a.so b.so:")), "/opt/lib/libstillpoint_adopt.so:a.so:b.so");
        assert_eq!(
            value(Some("libstillpoint_adopt.so:c.so")),
            "/opt/lib/libstillpoint_adopt.so:c.so"
        );
        let of_system = Library { path: of_system()[0].join(NAME) };
        assert_eq!(of_system.preloaded(), NAME);
    }
}
