//! A usage error on one line.
//!
//! On a terminal it takes several: what is wrong, with what, a hint, and how the verb is used. In the
//! journal each would be an entry of its own, so there the help is left out and the rest joined.

use clap::error::ErrorKind;

/// What is wrong, and the hint, if there is one, of this program.
pub fn line(program: &str, error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("a verb is missing; `{program} --help` lists them");
    }
    let text = error.to_string();
    let is_help = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more");
    let lines = text.lines().take_while(|line| !is_help(line)).map(str::trim);
    let mut joined = String::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let separator = match line {
            _ if joined.is_empty() => "",
            _ if line.starts_with("tip:") => "; ",
            _ if joined.ends_with(':') || line.starts_with('[') => " ",
            _ => ", ",
        };
        joined.push_str(separator);
        joined.push_str(line);
    }
    joined.trim_start_matches("error: ").to_string()
}
