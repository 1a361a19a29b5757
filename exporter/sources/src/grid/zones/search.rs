//! Searching the tables by words: what `noether zones` lists.

use super::table::{TABLE, Table};
use super::{CloudRegion, Zone};

/// A zone that was found, and those of its cloud regions that were asked for.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The zone.
    pub zone: &'static Zone,
    /// All of its cloud regions where the zone itself fits the words, else those that do.
    pub regions: Vec<&'static CloudRegion>,
}

/// The zones that fit all words, by code; where the words are a code or a name, that zone comes first.
///
/// A word fits where a word of the code, of a name, or of a cloud region or its place begins with it, or, where it has
/// two letters, is it. Case and accents do not matter.
pub fn search(words: &[String]) -> Vec<Hit> {
    search_in(&TABLE, words)
}

fn search_in(table: &'static Table, words: &[String]) -> Vec<Hit> {
    let words: Vec<String> = words.iter().flat_map(|word| word.split_whitespace()).map(folded).collect();
    let fits = |text: &str| words.iter().all(|word| holds(text, word));
    let hit = |zone: &'static Zone| {
        let own = own_text(zone);
        let of_zone = table.regions.iter().filter(|region| region.zone == zone.code);
        if fits(&own) {
            return Some(Hit { zone, regions: of_zone.collect() });
        }
        let regions: Vec<_> =
            of_zone.filter(|region| fits(&format!("{} {own}", region_text(region)))).collect();
        (!regions.is_empty()).then_some(Hit { zone, regions })
    };
    let mut hits: Vec<Hit> = table.zones.iter().filter_map(hit).collect();
    let wanted = words.join(" ");
    hits.sort_by_key(|hit| {
        hit.zone.code.to_lowercase() != wanted && !hit.zone.names().any(|name| folded(name) == wanted)
    });
    hits
}

impl Zone {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.other_name)
    }
}

fn own_text(zone: &Zone) -> String {
    let names: Vec<String> = zone.names().map(folded).collect();
    format!("{} {}", zone.code.to_lowercase(), names.join(" "))
}

fn region_text(region: &CloudRegion) -> String {
    folded(&format!("{region} {}", region.place))
}

/// Whether `word` stands in `text` where a word begins; one of two letters, which begins too many, only as a whole.
pub(super) fn holds(text: &str, word: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let stands = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !is_letter(before) && (word.len() > 2 || !is_letter(after))
    };
    word.is_empty() || text.match_indices(word).any(|(at, _)| stands(at))
}

/// In lower case and without the accents that occur in the tables.
pub(super) fn folded(text: &str) -> String {
    let letter = |letter: char| match letter {
        'á' | 'ã' | 'å' => 'a',
        'ç' => 'c',
        'é' => 'e',
        'í' => 'i',
        'ñ' => 'n',
        'ó' | 'ô' | 'ō' => 'o',
        'ū' => 'u',
        _ => letter,
    };
    text.chars().flat_map(char::to_lowercase).map(letter).collect()
}
