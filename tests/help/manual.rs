//! The pages of the manual, among themselves: each has what its readers look for where they look for it, and
//! leads nowhere that is not.

use std::process::Command;

use super::page::Page;
use super::verbs;
use crate::common::{has, must, root};

/// What the pages of verbs have, in this order, beside what is theirs alone.
const OF_A_VERB: [&str; 6] =
    ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];

#[test]
fn every_verb_has_a_page_and_every_page_of_a_command_a_verb() {
    let mut pages: Vec<String> = verbs()
        .iter()
        .map(|verb| Page::of(verb).file)
        .chain([Page::read("stillpoint.1").file])
        .collect();
    let all = Page::all();
    let mut of_commands: Vec<&str> =
        all.iter().map(|page| page.file.as_str()).filter(|file| file.ends_with(".1")).collect();
    pages.sort();
    of_commands.sort_unstable();
    assert_eq!(of_commands, pages);
}

#[test]
fn pages_of_verbs_have_the_same_shape() {
    for verb in verbs() {
        let page = Page::of(&verb);
        let (name, file) = (page.file.strip_suffix(".1").unwrap(), &page.file);
        assert!(page.after(".Nm ").next() == Some(name), "{file}: another name");
        let mut sections = page.sections();
        sections.retain(|title| OF_A_VERB.contains(title));
        assert_eq!(sections, OF_A_VERB, "{file}");
        let synopsis = page.section("SYNOPSIS");
        let named = format!(".Nm stillpoint {verb}");
        assert!(synopsis.iter().any(|line| *line == named), "{file}: no {named}");
        let examples = page.section("EXAMPLES");
        assert!(examples.iter().any(|line| line.starts_with(".Dl ") || *line == ".Ed"), "{file}");
        let see = page.section("SEE ALSO");
        assert!(see.iter().any(|line| line.starts_with(".Xr stillpoint 1")), "{file}");
        // It would be taken for the name of the page.
        let bare = page.lines().filter(|line| *line == ".Nm").count();
        assert_eq!(bare, 0, "{file}: .Nm without a name");
    }
}

/// What is said of a verb where verbs are listed, and where its manual is.
#[test]
fn the_overview_leads_to_every_page_of_a_verb() {
    let overview = Page::read("stillpoint.1");
    let (synopsis, list) = (overview.section("SYNOPSIS"), overview.section("VERBS"));
    for verb in verbs() {
        let named = format!(".Cm {verb}");
        let times = synopsis.iter().filter(|line| **line == named).count();
        assert_eq!(times, 1, "{verb} in the synopsis");
        let item = format!(".It Xr stillpoint-{} 1", verb.replace(' ', "-"));
        assert!(list.contains(&item.as_str()), "no {verb} in the list");
    }
}

#[test]
fn references_lead_to_pages_and_titles_that_are_there() {
    let pages = Page::all();
    let find = |name: &str, section: &str| {
        pages.iter().find(|page| page.file == format!("{name}.{section}"))
    };
    let mut followed = 0;
    for page in &pages {
        let lines: Vec<&str> = page.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            for (word, next) in words.iter().zip(words.iter().skip(1)) {
                if !["Xr", ".Xr"].contains(word) || !next.contains("stillpoint") {
                    continue;
                }
                let place = words.iter().position(|it| it == next).unwrap();
                let section = words.get(place + 1).copied().unwrap_or("none");
                assert!(find(next, section).is_some(), "{}: {next}({section})", page.file);
                followed += 1;
            }
            let Some(title) = line.strip_prefix(".Sx ") else { continue };
            let title = title.trim_end_matches([' ', '.', ',', ':', ';']);
            // "see TITLE in stillpoint(1)".
            let there = match (lines.get(at + 1), lines.get(at + 2)) {
                (Some(&"in"), Some(next)) => {
                    let words: Vec<&str> = next.split_whitespace().collect();
                    find(words[1], words[2]).unwrap_or(page)
                }
                _ => page,
            };
            assert!(there.has_title(title), "{}: {title} in {}", page.file, there.file);
        }
    }
    assert!(followed > 100, "{followed}");
}

#[test]
fn the_pages_are_well_formed() {
    if has(&["mandoc"]) {
        let files = Page::all().into_iter().map(|page| root().join("man").join(page.file));
        must(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(files));
    }
}
