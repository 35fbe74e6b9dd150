//! A page of the manual, as its author wrote it: mdoc(7), line by line.

use std::collections::BTreeSet;
use std::fs;

use crate::common::root;

pub struct Page {
    /// As `stillpoint-create.1`.
    pub file: String,
    text: String,
}

impl Page {
    pub fn read(file: &str) -> Page {
        let path = root().join("man").join(file);
        let text = fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page { file: file.to_owned(), text }
    }

    /// That of a verb.
    pub fn of(verb: &str) -> Page {
        Page::read(&format!("stillpoint-{}.1", verb.replace(' ', "-")))
    }

    pub fn all() -> Vec<Page> {
        let entries = fs::read_dir(root().join("man")).unwrap();
        let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let pages: Vec<Page> = files.map(|file| Page::read(&file)).collect();
        assert!(pages.len() > 20, "{}", pages.len());
        pages
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// What follows a macro, of each line that begins with it.
    pub fn after<'a>(&'a self, macro_and_space: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines().filter_map(move |line| line.strip_prefix(macro_and_space))
    }

    /// The titles of its sections, or of all that can be referred to.
    pub fn sections(&self) -> Vec<&str> {
        self.after(".Sh ").collect()
    }

    pub fn has_title(&self, title: &str) -> bool {
        self.after(".Sh ").chain(self.after(".Ss ")).any(|it| it == title)
    }

    pub fn section(&self, title: &str) -> Vec<&str> {
        let from = self.lines().skip_while(|line| line.strip_prefix(".Sh ") != Some(title));
        let lines: Vec<&str> = from.skip(1).take_while(|line| !line.starts_with(".Sh ")).collect();
        assert!(!lines.is_empty(), "{}: no {title}", self.file);
        lines
    }

    /// The flags that its description describes, each once.
    pub fn flags(&self) -> BTreeSet<String> {
        self.flags_among(&self.section("DESCRIPTION"))
    }

    /// The flags that these lines describe, each once.
    pub fn flags_among(&self, lines: &[&str]) -> BTreeSet<String> {
        let mut flags = BTreeSet::new();
        for names in lines.iter().filter_map(|line| line.strip_prefix(".It Fl ")) {
            let names =
                names.split_whitespace().take_while(|word| !["Ar", "Cm", "Op"].contains(word));
            for name in names.filter(|word| *word != "," && *word != "-") {
                assert!(flags.insert(format!("-{name}")), "{}: -{name} twice", self.file);
            }
        }
        flags
    }

    /// The exit statuses that it names.
    pub fn statuses(&self) -> BTreeSet<u8> {
        let lines = self.section("EXIT STATUS").into_iter();
        lines.filter_map(|line| line.strip_prefix(".It ")?.parse().ok()).collect()
    }
}
