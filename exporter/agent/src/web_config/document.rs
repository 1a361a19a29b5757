//! The YAML of a web configuration: a small tree in which every value knows its line.
//!
//! What is read is the plain heart of YAML, as in `--config.file`: mappings, lists and scalars. Anchors, aliases and tags
//! are refused and the depth is bounded, so that no file can exhaust memory or stack.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::Fault;

/// No key of the format lies deeper than three.
const DEEPEST: usize = 6;

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What stands behind a key or in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    /// A scalar is its text; only a plain one, without quotes, can be a number or a boolean.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<(usize, Value)>),
    Mapping(Vec<Entry>),
}

impl Value {
    /// How a message names its kind.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "no value",
            Self::Text { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

/// Reads a file's content: its keys, none where it is empty.
pub(super) fn read(content: &[u8]) -> Result<Vec<Entry>, Fault> {
    let text = str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or(content);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Fault::new(line, "", "is not UTF-8 here")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut walk = Walk { events: Parser::new_from_str(text) };
    walk.stream()
}

struct Walk<'input> {
    events: Parser<'input, StrInput<'input>>,
}

/// Where a node may begin or the one around it end.
enum Node {
    Begun(Value),
    End,
}

impl Walk<'_> {
    fn stream(&mut self) -> Result<Vec<Entry>, Fault> {
        let mut entries = None;
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(entries.unwrap_or_default()),
                (Event::DocumentStart(_), line) if entries.is_some() => {
                    return Err(Fault::new(line, "", "a second document begins here; keep to one"));
                }
                (Event::DocumentStart(_), _) => entries = Some(self.root()?),
                _ => {}
            }
        }
    }

    fn root(&mut self) -> Result<Vec<Entry>, Fault> {
        match self.node("", DEEPEST)? {
            (Node::Begun(Value::Mapping(entries)), _) => Ok(entries),
            (Node::Begun(Value::Null) | Node::End, _) => Ok(Vec::new()),
            (_, line) => {
                Err(Fault::new(line, "", "expected keys such as tls_server_config: or basic_auth_users:"))
            }
        }
    }

    /// The next node whole, or the end of the one around it; `name` is what it belongs to.
    fn node(&mut self, name: &str, depth: usize) -> Result<(Node, usize), Fault> {
        let (event, line) = self.event()?;
        let value = match event {
            Event::Scalar(text, style, 0, None) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && ["", "~", "null", "Null", "NULL"].contains(&&*text);
                if null { Value::Null } else { Value::Text { text: text.into_owned(), plain } }
            }
            Event::SequenceStart(0, None) => self.list(name, deeper(name, line, depth)?)?,
            Event::MappingStart(0, None) => self.mapping(name, deeper(name, line, depth)?)?,
            Event::SequenceEnd | Event::MappingEnd => return Ok((Node::End, line)),
            _ => {
                return Err(Fault::new(
                    line,
                    name,
                    "anchors, aliases and tags are not read; write the value out",
                ));
            }
        };
        Ok((Node::Begun(value), line))
    }

    fn list(&mut self, name: &str, depth: usize) -> Result<Value, Fault> {
        let mut items = Vec::new();
        while let (Node::Begun(item), line) = self.node(name, depth)? {
            items.push((line, item));
        }
        Ok(Value::List(items))
    }

    fn mapping(&mut self, section: &str, depth: usize) -> Result<Value, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (key, line) = match self.node(section, depth)? {
                (Node::Begun(Value::Text { text, .. }), line) => (text, line),
                (Node::End, _) => return Ok(Value::Mapping(entries)),
                (_, line) => return Err(Fault::new(line, section, "a key has to be a plain word")),
            };
            let name = dotted(section, &key);
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let complaint = format!("given twice, first in line {}; give it once", first.line);
                return Err(Fault::new(line, &name, &complaint));
            }
            let value = match self.node(&name, depth)? {
                (Node::Begun(value), _) => value,
                (Node::End, _) => Value::Null,
            };
            entries.push(Entry { key, line, value });
        }
    }

    fn event(&mut self) -> Result<(Event<'_>, usize), Fault> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => {
                Err(Fault::new(error.marker().line(), "", &format!("is not YAML: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }
}

fn deeper(name: &str, line: usize, depth: usize) -> Result<usize, Fault> {
    depth.checked_sub(1).ok_or_else(|| Fault::new(line, name, "is nested too deep"))
}

/// A key's full name.
pub(super) fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_know_their_lines() {
        let entries = read(b"a: 1\nb:\n  - 'x'\n  - ~\nc:\n  d: |\n    two\n    lines\n").unwrap();
        let text = |text: &str, plain| Value::Text { text: text.to_owned(), plain };
        let inner = Entry { key: "d".into(), line: 6, value: text("two\nlines\n", false) };
        assert_eq!(
            entries,
            [
                Entry { key: "a".into(), line: 1, value: text("1", true) },
                Entry {
                    key: "b".into(),
                    line: 2,
                    value: Value::List(vec![(3, text("x", false)), (4, Value::Null)])
                },
                Entry { key: "c".into(), line: 5, value: Value::Mapping(vec![inner]) },
            ]
        );
        assert_eq!(read(b""), Ok(Vec::new()));
        assert_eq!(read(b"# nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |open: &str, depth| read(open.repeat(depth).as_bytes()).unwrap_err();
        assert!(nested("{a: ", 20).complaint.contains("deep"));
        assert!(nested("{a: [", 10).complaint.contains("deep"));
        nested("{a: ", 100_000);
        nested("- ", 100_000);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in r"[a-c:\[\]{}&*!|>\-# \n'\x22]{0,60}|.{0,40}") {
            let _ = read(text.as_bytes());
        }
    }
}
