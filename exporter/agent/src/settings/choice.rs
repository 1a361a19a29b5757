//! Settings that are one of a few words.

pub use noether_core::attribution::IdlePolicy;
use noether_core::carbon::Basis;
pub use noether_sources::kubernetes::Choice as NameSource;

use super::suggest;

/// A type whose values are words in a setting.
pub(super) trait Choice: Copy + 'static {
    /// Every word, with what it means.
    const ALL: &'static [(&'static str, Self)];
}

/// The words of a choice.
pub(super) fn names<T: Choice>() -> Vec<&'static str> {
    T::ALL.iter().map(|(name, _)| *name).collect()
}

/// Reads a word.
pub(super) fn choice<T: Choice>(text: &str) -> Result<T, String> {
    let meant = T::ALL.iter().find(|(name, _)| *name == text);
    meant.map(|(_, value)| *value).ok_or_else(|| {
        let names = names::<T>();
        format!("is not one of {}{}", names.join(", "), suggest::clause(text, names.iter().copied()))
    })
}

/// Whether something is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Where it is found, and of use.
    Auto,
    /// In any case.
    On,
    /// In no case.
    Off,
}

impl Choice for Switch {
    const ALL: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)];
}

/// Yes or no.
impl Choice for bool {
    const ALL: &'static [(&'static str, Self)] = &[("true", true), ("false", false)];
}

impl Choice for IdlePolicy {
    const ALL: &'static [(&'static str, Self)] =
        &[("usage", Self::Usage), ("requests", Self::Requests), ("none", Self::None)];
}

impl Choice for NameSource {
    const ALL: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("pods-api", Self::PodsApi),
        ("kubelet", Self::Kubelet),
        ("api", Self::Api),
        ("off", Self::Off),
    ];
}

/// How something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Choice for Format {
    const ALL: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// The severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something is amiss.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Every step.
    Trace,
}

impl Choice for LogLevel {
    const ALL: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// Which emissions the served intensities count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bases {
    /// Of both bases.
    All,
    /// Of this one alone.
    Only(Basis),
}

impl Bases {
    /// Whether `basis` is among them.
    pub fn contain(self, basis: Basis) -> bool {
        self == Self::All || self == Self::Only(basis)
    }
}

impl Choice for Bases {
    const ALL: &'static [(&'static str, Self)] = &[
        ("all", Self::All),
        ("lifecycle", Self::Only(Basis::Lifecycle)),
        ("direct", Self::Only(Basis::Direct)),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_means_itself_and_only_so() {
        assert_eq!(choice("off"), Ok(Switch::Off));
        assert_eq!(choice("trace"), Ok(LogLevel::Trace));
        for wrong in ["", "Off", "true", "off ", "o"] {
            let complaint = choice::<Switch>(wrong).unwrap_err();
            assert!(complaint.starts_with("is not one of auto, on, off"), "{complaint}");
        }
        assert!(choice::<IdlePolicy>("request").unwrap_err().ends_with("did you mean requests?"));
    }
}
