//! The command `zones`: the shipped carbon intensities, searched.

use std::io::{self, Write};
use std::process::ExitCode;

use noether_sources::grid::zones::{self, Average, Hit, Source};
use serde_json::json;

use crate::settings::Format;

const HEAD: [&str; 7] = ["zone", "name", "g/kWh", "basis", "year", "source", "cloud regions"];

/// Prints the zones that fit all `words`; fails where none does.
pub fn run(words: &[String], format: Format) -> ExitCode {
    let hits = zones::search(words);
    if hits.is_empty() {
        let _ = writeln!(io::stderr(), "noether: {}", nothing(words));
        return ExitCode::FAILURE;
    }
    let text = match format {
        Format::Text => text(&hits),
        Format::Json => format!("{:#}\n", as_json(&hits)),
    };
    // A closed pipe is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn nothing(words: &[String]) -> String {
    let words = words.join(" ");
    match zones::find(&words) {
        Err(unknown) => unknown.to_string(),
        Ok(zone) => format!("no grid zone fits {words:?}; {} has that name", zone.code),
    }
}

/// A line for each average, and below them whose figures these are.
fn text(hits: &[Hit]) -> String {
    let lines: Vec<[String; 7]> = hits.iter().flat_map(lines).collect();
    let head = HEAD.map(str::to_owned);
    let width = |column: usize| {
        let cells = lines.iter().chain([&head]).filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for line in [&head].into_iter().chain(&lines) {
        let cells = line.iter().zip(widths).zip(HEAD).map(|((cell, width), name)| match name {
            "g/kWh" => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for Source { name, url, licence, note } in sources(hits) {
        text.push_str(&format!("\n{name}: {note}\n  {url} ({licence})\n"));
    }
    text
}

fn lines(hit: &Hit) -> impl Iterator<Item = [String; 7]> {
    let regions: Vec<_> = hit.regions.iter().map(ToString::to_string).collect();
    let line = move |average: &Average| {
        [
            hit.zone.code.to_owned(),
            hit.zone.name.clone(),
            // As precise as the least precise source that has digits after the point.
            ((average.intensity.grams_per_kwh() * 100.0).round() / 100.0).to_string(),
            average.basis.label().to_owned(),
            average.year.to_string(),
            average.source.name.to_owned(),
            regions.join(" "),
        ]
    };
    hit.zone.averages.iter().map(line)
}

fn as_json(hits: &[Hit]) -> serde_json::Value {
    let zones: Vec<_> = hits.iter().map(zone).collect();
    let sources: Vec<_> = sources(hits)
        .into_iter()
        .map(|Source { name, url, licence, note }| json!({"name": name, "url": url, "licence": licence, "note": note}))
        .collect();
    json!({"zones": zones, "sources": sources})
}

fn zone(hit: &Hit) -> serde_json::Value {
    let average = |average: &Average| {
        json!({
            "grams_per_kwh": average.intensity.grams_per_kwh(),
            "basis": average.basis.label(),
            "year": average.year,
            "source": average.source.name,
        })
    };
    json!({
        "code": hit.zone.code,
        "name": hit.zone.name,
        "averages": hit.zone.averages.iter().map(average).collect::<Vec<_>>(),
        "cloud_regions": hit.regions.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Each source once: their licences ask to be named with the figures.
fn sources(hits: &[Hit]) -> Vec<&'static Source> {
    let mut sources: Vec<&'static Source> = Vec::new();
    for average in hits.iter().flat_map(|hit| &hit.zone.averages) {
        if !sources.contains(&average.source) {
            sources.push(average.source);
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(words: &[&str]) -> Vec<Hit> {
        zones::search(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_table_names_the_figures_and_their_sources() {
        let text = text(&search(&["US-CA"])[..1]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("zone   name"), "{text}");
        assert!(lines[1].contains("California, USA") && lines[1].contains("direct  2023"), "{text}");
        assert!(text.contains("\nUS EPA eGRID2023: direct"), "{text}");
        assert!(!text.contains("ODbL"));
    }

    #[test]
    fn the_united_states_have_an_average_on_each_basis() {
        let hits = search(&["US"]);
        let json = as_json(&hits[..1]);
        let bases: Vec<_> =
            json["zones"][0]["averages"].as_array().unwrap().iter().map(|one| one["basis"].clone()).collect();
        assert_eq!(bases, ["lifecycle", "direct"]);
        assert_eq!(json["zones"][0]["averages"][0]["grams_per_kwh"], 414.0);
        assert_eq!(json["sources"].as_array().unwrap().len(), 2);
        assert_eq!(json["sources"][0]["licence"], "ODbL-1.0");
    }

    #[test]
    fn the_regions_that_were_asked_for_are_listed() {
        let json = as_json(&search(&["aws", "frankfurt"]));
        assert_eq!(json["zones"][0]["code"], "DE");
        assert_eq!(json["zones"][0]["cloud_regions"], json!(["aws:eu-central-1"]));
    }

    #[test]
    fn nothing_found_names_what_is_near() {
        assert!(nothing(&["Germny".into()]).contains("did you mean DE (Germany)"));
        assert!(nothing(&["United".into(), "Kingdoms".into()]).contains("GB (Great Britain)"));
    }
}
