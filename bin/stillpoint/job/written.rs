//! What stands in a job's file, key by key, and on which line.
//!
//! All that is wrong with it is found in one go: who mends one line wants to hear of the next one too.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, Kind, SECTIONS, TOP};

/// A key with its value.
pub struct Entry {
    pub key: &'static Key,
    pub line: usize,
    pub value: Value,
}

/// A value, as options take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Switch(bool),
    /// One word.
    Word(String),
    /// A list of them.
    Words(Vec<String>),
}

impl Value {
    /// All its words.
    pub fn words(&self) -> &[String] {
        match self {
            Value::Switch(_) => &[],
            Value::Word(word) => std::slice::from_ref(word),
            Value::Words(words) => words,
        }
    }
}

/// What is wrong, a line each, in the order in which it stands in the file.
#[derive(Debug, Default)]
pub struct Mistakes(BTreeMap<(usize, usize), String>);

impl Mistakes {
    pub fn add(&mut self, line: usize, what: impl Into<String>) {
        self.0.insert((line, self.0.len()), what.into());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they are said of this file.
    pub fn lines(&self, path: &Path) -> Vec<String> {
        let path = path.display();
        let shown = |((line, _), what): (&(usize, usize), &String)| match line {
            0 => format!("{path}: {what}"),
            line => format!("{path}:{line}: {what}"),
        };
        self.0.iter().map(shown).collect()
    }
}

/// Reads a text; what cannot be understood is among the mistakes.
pub fn read(text: &str, mistakes: &mut Mistakes) -> Vec<Entry> {
    let line = |offset: usize| 1 + text[..offset].bytes().filter(|byte| *byte == b'\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| line(span.start.min(text.len())));
        mistakes.add(at, error.message().replace('\n', ", "));
    }
    // What stands behind a mistake in how it is written may mean anything.
    if !errors.is_empty() {
        return Vec::new();
    }
    let mut entries = Vec::new();
    let mut take = |section: &str, table: &DeTable<'_>, mistakes: &mut Mistakes| {
        for (name, value) in table {
            let at = line(name.span().start);
            let name = name.get_ref().as_ref();
            let Some(key) = Key::find(section, name) else {
                let place = if section == TOP { String::new() } else { format!(" in [{section}]") };
                let advice = Key::advice(section, name);
                mistakes.add(at, format!("{name}: there is no such key{place}; {advice}"));
                continue;
            };
            match understood(key, value.get_ref()) {
                Ok(value) => entries.push(Entry { key, line: at, value }),
                Err(expected) => mistakes.add(at, format!("{name}: {expected}")),
            }
        }
    };
    for (name, value) in table.get_ref() {
        let at = line(name.span().start);
        let name = name.get_ref().as_ref();
        match value.get_ref() {
            DeValue::Table(section) if SECTIONS.contains(&name) => take(name, section, mistakes),
            DeValue::Table(_) => {
                let advice = Key::section_advice(name);
                mistakes.add(at, format!("[{name}]: there is no such section; {advice}"));
            }
            _ if SECTIONS.contains(&name) => {
                let names: Vec<&str> =
                    KEYS.iter().filter(|key| key.section == name).map(|key| key.name).collect();
                mistakes.add(
                    at,
                    format!(
                        "{name}: is a section: write [{name}] and below it {}",
                        names.join(", ")
                    ),
                );
            }
            _ => {}
        }
    }
    let top: DeTable<'_> = table
        .into_inner()
        .into_iter()
        .filter(|(name, value)| {
            !matches!(value.get_ref(), DeValue::Table(_))
                && !SECTIONS.contains(&name.get_ref().as_ref())
        })
        .collect();
    take(TOP, &top, mistakes);
    entries.sort_by_key(|entry| entry.line);
    entries
}

/// A value of the kind that the key has, or what was expected.
fn understood(key: &Key, value: &DeValue<'_>) -> Result<Value, String> {
    let word = |value: &DeValue<'_>| match value {
        DeValue::String(text) if text.contains('\0') => None,
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    };
    let words = |value: &DeValue<'_>| match value {
        DeValue::Array(items) => items.iter().map(|item| word(item.get_ref())).collect(),
        _ => None,
    };
    let is_text = |value: &DeValue<'_>| matches!(value, DeValue::String(_));
    let texts = |value: &DeValue<'_>| match value {
        DeValue::Array(items) if items.iter().all(|item| is_text(item.get_ref())) => words(value),
        _ => None,
    };
    let text = |value: &DeValue<'_>| word(value).filter(|_| is_text(value));
    let (found, expected) = match key.kind {
        Kind::Option | Kind::Place => {
            let found = match value {
                DeValue::Boolean(switch) => Some(Value::Switch(*switch)),
                _ => word(value).map(Value::Word).or_else(|| words(value).map(Value::Words)),
            };
            (found, "a text, a number or a list of them")
        }
        Kind::Names | Kind::Texts => {
            let found = text(value).map(|text| vec![text]).or_else(|| texts(value));
            (found.map(Value::Words), "a text, or a list of texts, as [\"one\", \"two\"]")
        }
        Kind::Command => {
            let found = text(value).map(Value::Word).or_else(|| texts(value).map(Value::Words));
            (
                found,
                "a text for the shell, or a list of the program and its arguments, as [\"program\", \"argument\"]",
            )
        }
        Kind::Count => {
            let number = word(value).filter(|_| matches!(value, DeValue::Integer(_)));
            let number =
                number.filter(|number| number.parse::<u32>().is_ok_and(|number| number > 0));
            (number.map(Value::Word), "how many are kept, a number that is not 0")
        }
        Kind::Time => (word(value).map(Value::Word), "seconds, or a text with units, as \"1h\""),
        Kind::Span | Kind::Text => (text(value).map(Value::Word), "a text"),
        Kind::Switch => {
            let found = match value {
                DeValue::Boolean(switch) => Some(Value::Switch(*switch)),
                _ => None,
            };
            (found, "true or false")
        }
    };
    match found {
        Some(found) if found == Value::Words(Vec::new()) => {
            Err("the list is empty; leave the key out".to_owned())
        }
        Some(Value::Words(words)) if words[0].trim().is_empty() => {
            Err("the first text in the list is empty".to_owned())
        }
        Some(Value::Word(word)) if word.trim().is_empty() => {
            Err("the text is empty; leave the key out".to_owned())
        }
        Some(found) => Ok(found),
        None => Err(format!("expected {expected}")),
    }
}
