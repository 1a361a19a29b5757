//! What was typed: raw values with where they stood, before anyone asks what they mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Misuse;
use super::flags::{FLAGS, Flag, Preset, find};

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// On the command line.
    CommandLine,
    /// In the environment.
    Environment,
    /// In the file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// In the flag table.
    Default,
}

impl Origin {
    /// How messages name `key`, a setting's dotted name, as it was written there.
    pub(super) fn place(&self, key: &str) -> String {
        match self {
            Self::CommandLine => format!("--{key}"),
            Self::Environment => find(key).map_or_else(|| key.to_owned(), Flag::environment),
            Self::File { path, line } => format!("{}:{line}: {key}", path.display()),
            Self::Default => format!("default of {key}"),
        }
    }
}

/// One value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    /// Its text.
    pub text: String,
    /// Where it stood.
    pub origin: Origin,
}

/// All that one source says of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Where the setting stood.
    pub origin: Origin,
    /// Its values: exactly one where it is no list.
    pub values: Vec<Raw>,
}

impl Given {
    /// One value.
    pub(super) fn one(text: impl Into<String>, origin: Origin) -> Self {
        Self { values: vec![Raw { text: text.into(), origin: origin.clone() }], origin }
    }
}

/// What one source says, by the settings' names.
pub(super) type Layer = BTreeMap<&'static str, Given>;

/// What all sources say.
#[derive(Debug)]
pub(super) struct Layers {
    /// The strongest first.
    typed: Vec<Layer>,
    defaults: Layer,
}

impl Layers {
    /// These sources, the strongest first, above the defaults of the flag table.
    pub(super) fn above_defaults(typed: Vec<Layer>) -> Self {
        Self { typed, defaults: FLAGS.iter().filter_map(default).collect() }
    }

    /// The same with the file, which is weaker than the rest but for the defaults.
    pub(super) fn with_file(mut self, file: Layer) -> Self {
        self.typed.push(file);
        self
    }

    /// All that is said of one setting, the strongest first.
    fn all(&self, name: &str) -> impl Iterator<Item = &Given> {
        self.typed.iter().chain([&self.defaults]).filter_map(move |layer| layer.get(name))
    }

    /// The values of a list. What a weaker source says does not count, but has to be right as well: a wrong line
    /// would else wait for the day on which the flag that hides it is taken away.
    pub(super) fn list<T>(&self, name: &str, read: fn(&str) -> Result<T, String>) -> Result<Vec<T>, Misuse> {
        let meant: Vec<_> =
            self.all(name).map(|given| meaning(name, given, read)).collect::<Result<_, _>>()?;
        Ok(meant.into_iter().next().unwrap_or_default())
    }

    /// The value of a setting that may be absent.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Misuse> {
        self.list(name, read).map(|values| values.into_iter().next())
    }

    /// The value of a setting that has a default.
    pub(super) fn one<T>(&self, name: &str, read: fn(&str) -> Result<T, String>) -> Result<T, Misuse> {
        self.optional(name, read)?
            .ok_or_else(|| Misuse::at(&self.origin(name), name, "has no value and no default; give it one"))
    }

    /// Where the setting that counts was written.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.all(name).next().map_or(Origin::Default, |given| given.origin.clone())
    }
}

fn default(flag: &'static Flag) -> Option<(&'static str, Given)> {
    match flag.preset {
        Preset::Value(text) => Some((&flag.name, Given::one(text, Origin::Default))),
        Preset::Derived(_) => None,
    }
}

fn meaning<T>(name: &str, given: &Given, read: fn(&str) -> Result<T, String>) -> Result<Vec<T>, Misuse> {
    let value = |raw: &Raw| {
        read(&raw.text)
            .map_err(|complaint| Misuse::at(&raw.origin, name, &format!("{:?} {complaint}", raw.text)))
    };
    given.values.iter().map(value).collect()
}
