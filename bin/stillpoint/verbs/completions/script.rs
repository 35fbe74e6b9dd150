//! The script for a shell: verbs and options stand in it, and what they are about is asked for when a word is to be
//! completed. Shared with `stillpoint-cluster`.

use clap_complete::Shell;

use super::place::options;

/// That of this program, whose arguments are these.
///
/// # Errors
/// The generator has made something that is no text.
pub fn script(
    shell: Shell,
    program: &str,
    cli: &mut clap::Command,
) -> Result<String, std::string::FromUtf8Error> {
    // Into memory first: the generators panic when the reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(shell, cli, program, &mut script);
    let script = String::from_utf8(script)?;
    let of = |text: &str| text.replace("@PROGRAM@", program);
    Ok(match shell {
        Shell::Bash => script + &of(include_str!("names.bash")),
        // What it ends with calls the function, which is to ask for names first.
        Shell::Zsh => {
            let (functions, ending) = script.split_at(script.rfind("\nif ").unwrap_or(0));
            let (whole, words) = (of("\n_@PROGRAM@() {"), of("\n_@PROGRAM@_words() {"));
            functions.replace(&whole, &words) + "\n" + &of(include_str!("names.zsh")) + ending
        }
        Shell::Fish => {
            let asked = options(cli).into_iter().map(|long| {
                of(&format!("complete -c @PROGRAM@ -l {long} -r -f -k -a '(__@PROGRAM@_names)'\n"))
            });
            script + &of(include_str!("names.fish")) + &asked.collect::<String>()
        }
        _ => script,
    })
}
