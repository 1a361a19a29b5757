//! What was meant by a grid zone that is not in the tables.

use std::fmt;

use super::search::{folded, holds};
use super::table::Table;
use super::{CloudRegion, Zone};

/// Below this likeness a guess misleads more than it helps.
const LEAST_LIKENESS: f64 = 0.6;
const MOST_GUESSES: usize = 5;

/// A text that names no grid zone, and what may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownZone {
    text: String,
    near: Vec<String>,
    /// Whether `near` are cloud regions of that very name.
    is_ambiguous: bool,
}

impl UnknownZone {
    pub(super) fn near(text: &str, table: &Table) -> Self {
        let wanted = folded(text);
        let zones = table.zones.iter().map(|zone| (likeness_of_zone(&wanted, zone), named(zone)));
        let regions = table.regions.iter().map(|region| {
            (likeness_of_region(&wanted, region), format!("{region} ({}: {})", region.place, region.zone))
        });
        let mut guesses: Vec<_> = zones.chain(regions).filter(|guess| guess.0 >= LEAST_LIKENESS).collect();
        guesses.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let near = guesses.into_iter().take(MOST_GUESSES).map(|(_, name)| name).collect();
        Self { text: text.to_owned(), near, is_ambiguous: false }
    }

    pub(super) fn ambiguous(text: &str, regions: &[&CloudRegion]) -> Self {
        let near = regions.iter().map(|region| format!("{region} ({})", region.zone)).collect();
        Self { text: text.to_owned(), near, is_ambiguous: true }
    }

    /// What may have been meant, the likeliest first.
    pub fn guesses(&self) -> &[String] {
        &self.near
    }
}

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, near) = (&self.text, self.near.join(", "));
        match (self.is_ambiguous, near.is_empty()) {
            (true, _) => write!(f, "several cloud regions in several grid zones are called {text:?}: {near}"),
            (false, true) => write!(f, "no grid zone is called {text:?}; noether zones lists all"),
            (false, false) => write!(f, "no grid zone is called {text:?}; did you mean {near}?"),
        }
    }
}

impl std::error::Error for UnknownZone {}

fn named(zone: &Zone) -> String {
    format!("{} ({})", zone.code, zone.name)
}

/// From 0 to 1. The country after a name counts for nothing: `USA` ends fifty of them.
fn likeness_of_zone(wanted: &str, zone: &Zone) -> f64 {
    let code = zone.code.to_lowercase();
    // A slip of the pen, or three letters for a country in place of two: `DEU`.
    let by_code = strsim::normalized_damerau_levenshtein(wanted, &code)
        .max(if wanted.starts_with(&code) && wanted.len() == 3 { 0.9 } else { 0.0 });
    let names = zone.names().map(|name| folded(name.split(',').next().unwrap_or(name)));
    let by_name = names.map(|name| likeness_of_name(wanted, &name)).fold(0.0, f64::max);
    by_code.max(by_name)
}

fn likeness_of_name(wanted: &str, name: &str) -> f64 {
    let initials: String = name.split(' ').filter_map(|word| word.chars().next()).collect();
    if name == wanted {
        1.0
    } else if initials.len() > 1 && initials == wanted {
        0.95
    } else if wanted.len() > 2 && holds(name, wanted) {
        0.8
    } else {
        strsim::normalized_damerau_levenshtein(wanted, name)
    }
}

fn likeness_of_region(wanted: &str, region: &CloudRegion) -> f64 {
    let alike = |name: &str| strsim::normalized_damerau_levenshtein(wanted, name);
    let place = folded(region.place);
    let by_place = if wanted.len() > 2 && holds(&place, wanted) { 0.7 } else { 0.0 };
    let by_name = if wanted.contains(':') { alike(&region.to_string()) } else { alike(region.name) };
    by_name.max(by_place)
}
