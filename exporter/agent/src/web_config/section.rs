//! A mapping of the web configuration, asked for its keys: unknown ones, and values of the wrong kind, are faults.

use super::Fault;
use super::document::{Entry, Value, dotted};
use crate::settings::suggest;

/// A section whose keys are all known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    name: &'a str,
    entries: &'a [Entry],
}

/// A text with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a str,
    pub(super) line: usize,
    pub(super) text: &'a str,
}

impl Spot<'_> {
    /// It is wrong as the complaint says.
    pub(super) fn fault(&self, complaint: &str) -> Fault {
        Fault::new(self.line, &dotted(self.name, self.key), complaint)
    }
}

impl<'a> Section<'a> {
    /// The whole file, as far as its keys are among `known`.
    pub(super) fn root(entries: &'a [Entry], known: &[&str]) -> Result<Self, Fault> {
        Self { name: "", entries }.checked(known)
    }

    fn checked(self, known: &[&str]) -> Result<Self, Fault> {
        for entry in self.entries {
            if !known.contains(&&*entry.key) {
                let nearest = suggest::clause(&entry.key, known.iter().copied());
                let complaint = format!("no such key{nearest}; there are {}", known.join(", "));
                return Err(self.fault(entry, &complaint));
            }
        }
        Ok(self)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key && entry.value != Value::Null)
    }

    /// `entry` is wrong as the complaint says.
    pub(super) fn fault(&self, entry: &Entry, complaint: &str) -> Fault {
        Fault::new(entry.line, &dotted(self.name, &entry.key), complaint)
    }

    /// The section below `key`, with no keys where there is none; `name` is its full name.
    pub(super) fn below(&self, key: &str, name: &'a str, known: &[&str]) -> Result<Self, Fault> {
        Section { name, entries: self.entries(key)? }.checked(known)
    }

    /// The keys below `key`, whatever they are.
    pub(super) fn entries(&self, key: &str) -> Result<&'a [Entry], Fault> {
        match self.entry(key) {
            None => Ok(&[]),
            Some(Entry { value: Value::Mapping(entries), .. }) => Ok(entries),
            Some(entry) => {
                let complaint = format!("is {} where a mapping belongs", entry.value.kind());
                Err(self.fault(entry, &complaint))
            }
        }
    }

    /// A text; an empty one is as good as none, as it is for the toolkit.
    pub(super) fn text(&self, key: &str) -> Result<Option<Spot<'a>>, Fault> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            Value::Text { text, .. } if text.is_empty() => Ok(None),
            Value::Text { text, .. } => {
                Ok(Some(Spot { name: self.name, key: &entry.key, line: entry.line, text }))
            }
            value => Err(self.fault(entry, &format!("is {} where a text belongs", value.kind()))),
        }
    }

    /// A plain scalar, for what is no text: a quoted number is none.
    pub(super) fn plain(&self, key: &str, what: &str) -> Result<Option<Spot<'a>>, Fault> {
        let quoted =
            |entry: &&Entry| matches!(&entry.value, Value::Text { plain, text } if !plain || text.is_empty());
        match self.entry(key).filter(quoted) {
            Some(entry) => {
                Err(self.fault(entry, &format!("is a text where {what} belongs; leave out the quotes")))
            }
            None => self.text(key),
        }
    }

    /// A boolean, in the words of YAML 1.1, which the toolkit reads.
    pub(super) fn boolean(&self, key: &str, preset: bool) -> Result<bool, Fault> {
        let Some(spot) = self.plain(key, "true or false")? else { return Ok(preset) };
        match spot.text {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "y" | "Y" | "on" | "On" | "ON" => Ok(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "n" | "N" | "off" | "Off" | "OFF" => Ok(false),
            other => Err(spot.fault(&format!("{other:?} is not true or false"))),
        }
    }

    /// A list of texts; `None` where there is none or an empty one.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<Spot<'a>>>, Fault> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let Value::List(items) = &entry.value else {
            let complaint = format!("is {} where a list belongs, such as [a, b]", entry.value.kind());
            return Err(self.fault(entry, &complaint));
        };
        let spot = |(line, item): &'a (usize, Value)| match item {
            Value::Text { text, .. } if !text.is_empty() => {
                Ok(Spot { name: self.name, key: &entry.key, line: *line, text })
            }
            _ => Err(Fault::new(*line, &dotted(self.name, key), "an item is no text")),
        };
        let texts: Vec<_> = items.iter().map(spot).collect::<Result<_, _>>()?;
        Ok((!texts.is_empty()).then_some(texts))
    }
}
