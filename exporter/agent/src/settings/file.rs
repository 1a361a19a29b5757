//! The file of `--config.file`: YAML, nested along the dots of the flags' names.
//!
//! What is read is the plain heart of YAML: mappings, lists and scalars. The parser's events are walked along the flag
//! table, so every message has its line; a scalar is its text, so `systemd: {units: off}` is no boolean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::flags::{FLAGS, Flag, Kind, find_key};
use super::given::{Given, Layer, Origin, Raw};
use super::{Misuse, suggest};

/// Reads the content of the file at `path`.
pub(super) fn read(path: &Path, content: &[u8]) -> Result<Layer, Misuse> {
    let text = str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or(content);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(path, line, "is not UTF-8 here")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let events = Parser::new_from_str(text);
    let mut walk = Walk { path: path.into(), events, seen: BTreeMap::new(), layer: Layer::new() };
    walk.stream()?;
    Ok(walk.layer)
}

/// The way through the events of a file.
struct Walk<'input> {
    path: Arc<Path>,
    events: Parser<'input, StrInput<'input>>,
    /// The keys so far, flags and sections alike, with their lines.
    seen: BTreeMap<String, usize>,
    layer: Layer,
}

/// An event that a node may begin or end with: the rest of YAML is refused before.
enum Node {
    Scalar { text: String, null: bool },
    List,
    Mapping,
    End,
}

impl Walk<'_> {
    fn stream(&mut self) -> Result<(), Misuse> {
        let mut documents = 0;
        loop {
            let (event, line) = self.event()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) if documents > 0 => {
                    return Err(wrong(&self.path, line, "a second document begins here; keep to one"));
                }
                Event::DocumentStart(_) => {
                    documents += 1;
                    self.root()?;
                }
                _ => {}
            }
        }
    }

    fn root(&mut self) -> Result<(), Misuse> {
        match self.node("the file")? {
            (Node::Mapping, _) => self.mapping(""),
            (Node::Scalar { null: true, .. }, _) => Ok(()),
            (_, line) => Err(wrong(&self.path, line, "expected keys with values, such as web: or sample:")),
        }
    }

    /// The keys of a mapping that has begun; `section` is empty at the top.
    fn mapping(&mut self, section: &str) -> Result<(), Misuse> {
        loop {
            let (key, line) = match self.node(if section.is_empty() { "a key" } else { section })? {
                (Node::Scalar { text, .. }, line) => (text, line),
                (Node::End, _) => return Ok(()),
                (_, line) => return Err(wrong(&self.path, line, "a key has to be a plain word")),
            };
            let name = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
            self.known(&key, &name, line)?;
            self.value(&name, line)?;
        }
    }

    /// Refuses a key that is not right, or not for the first time.
    fn known(&mut self, key: &str, name: &str, line: usize) -> Result<(), Misuse> {
        if key.contains('.') {
            let nested = key.replace('.', ": {") + ": …" + &"}".repeat(key.matches('.').count());
            return Err(self.at(line, name, &format!("is one key with dots; nest it: {nested}")));
        }
        if name == "config.file" {
            return Err(self.at(line, name, "cannot be set by the file itself"));
        }
        if find_key(name).is_none() && !is_section(name) {
            let sections =
                FLAGS.iter().filter_map(|flag| flag.name.split_once('.')).map(|(section, _)| section);
            let names = FLAGS.iter().map(|flag| &*flag.name).filter(|name| *name != "config.file");
            let nearest = suggest::hint(name, "", names.chain(sections));
            return Err(self.at(line, name, &format!("no such key{nearest}")));
        }
        match self.seen.insert(name.to_owned(), line) {
            Some(first) => {
                Err(self.at(line, name, &format!("given twice, first in line {first}; give it once")))
            }
            None => Ok(()),
        }
    }

    /// What stands behind a key that is known.
    fn value(&mut self, name: &str, key_line: usize) -> Result<(), Misuse> {
        match (self.node(name)?, find_key(name)) {
            ((Node::Mapping, _), _) if is_section(name) => self.mapping(name),
            // A section of which every key is commented out.
            ((Node::Scalar { null: true, .. }, _), _) if is_section(name) => Ok(()),
            ((Node::Scalar { null: true, .. }, _), None) => Ok(()),
            ((Node::Scalar { null: true, .. }, _), Some(flag)) => {
                Err(self.at(key_line, name, &format!("has no value; give it {}", shape(flag))))
            }
            ((Node::Scalar { text, .. }, line), Some(flag)) if !flag.repeatable => {
                self.layer.insert(&flag.name, Given::one(text, self.origin(line)));
                Ok(())
            }
            ((Node::List, _), Some(flag)) if flag.repeatable => self.list(flag, key_line),
            ((Node::Scalar { text, .. }, line), _) => {
                Err(self.at(line, name, &format!("{text:?} is {}", expected(name))))
            }
            ((Node::List, line), _) => Err(self.at(line, name, &format!("a list is {}", expected(name)))),
            ((_, line), _) => Err(self.at(line, name, &format!("a mapping is {}", expected(name)))),
        }
    }

    /// The items of a list that has begun.
    fn list(&mut self, flag: &'static Flag, key_line: usize) -> Result<(), Misuse> {
        let mut values = Vec::new();
        loop {
            match self.node(&flag.name)? {
                (Node::Scalar { text, null: false }, line) => {
                    values.push(Raw { text, origin: self.origin(line) });
                }
                (Node::End, _) => break,
                (Node::Mapping, line) if matches!(flag.kind, Kind::Pairs) => {
                    values.push(Raw { text: self.pairs(flag)?, origin: self.origin(line) });
                }
                (Node::Scalar { .. }, line) => return Err(self.at(line, &flag.name, "an item has no value")),
                (_, line) => return Err(self.at(line, &flag.name, "an item is more than a plain value")),
            }
        }
        self.layer.insert(&flag.name, Given { origin: self.origin(key_line), values });
        Ok(())
    }

    /// A mapping that has begun, as the line of pairs that a flag would hold.
    fn pairs(&mut self, flag: &'static Flag) -> Result<String, Misuse> {
        let mut pairs: Vec<String> = Vec::new();
        loop {
            let (key, line) = match self.node(&flag.name)? {
                (Node::Scalar { text, null: false }, line) => (text, line),
                (Node::End, _) => return Ok(pairs.join(" ")),
                (_, line) => return Err(self.at(line, &flag.name, "a key has to be a plain word")),
            };
            match self.node(&flag.name)? {
                (Node::Scalar { text, null: false }, _) if !text.contains(char::is_whitespace) => {
                    pairs.push(format!("{key}={text}"));
                }
                _ => {
                    let complaint = format!("{key} has to have one plain value, without spaces");
                    return Err(self.at(line, &flag.name, &complaint));
                }
            }
        }
    }

    /// The next node's beginning, or the end of the one that it would lie in; `name` is what it belongs to.
    fn node(&mut self, name: &str) -> Result<(Node, usize), Misuse> {
        let (event, line) = self.event()?;
        let node = match event {
            Event::Scalar(text, style, 0, None) => {
                let null = style == ScalarStyle::Plain && ["", "~", "null", "Null", "NULL"].contains(&&*text);
                Node::Scalar { text: text.into_owned(), null }
            }
            Event::SequenceStart(0, None) => Node::List,
            Event::MappingStart(0, None) => Node::Mapping,
            Event::SequenceEnd | Event::MappingEnd => Node::End,
            _ => {
                return Err(self.at(
                    line,
                    name,
                    "anchors, aliases and tags are not read; write the value out",
                ));
            }
        };
        Ok((node, line))
    }

    fn event(&mut self) -> Result<(Event<'_>, usize), Misuse> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(malformed(&self.path, &error)),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { path: Arc::clone(&self.path), line }
    }

    fn at(&self, line: usize, name: &str, complaint: &str) -> Misuse {
        Misuse::at(&self.origin(line), name, complaint)
    }
}

fn is_section(name: &str) -> bool {
    FLAGS.iter().any(|flag| flag.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// What a value of the flag looks like in the file.
fn shape(flag: &Flag) -> String {
    let value = flag.kind.placeholder();
    if flag.repeatable { format!("[{value}, …]") } else { value }
}

/// The end of a sentence on a value of the wrong kind.
fn expected(name: &str) -> String {
    match find_key(name) {
        Some(flag) if flag.repeatable => format!("no list; give it {}", shape(flag)),
        Some(flag) => format!("no single value; give it {}", shape(flag)),
        None => {
            let keys = FLAGS.iter().filter_map(|flag| flag.name.strip_prefix(name)?.strip_prefix('.'));
            format!("no section; below it stand the keys {}", keys.collect::<Vec<_>>().join(", "))
        }
    }
}

fn malformed(path: &Path, error: &ScanError) -> Misuse {
    wrong(path, error.marker().line(), &format!("is not YAML: {}", error.info()))
}

fn wrong(path: &Path, line: usize, complaint: &str) -> Misuse {
    Misuse::Wrong(format!("{}:{line}: {complaint}", path.display()))
}
