//! Look-ups, near matches, and the tables against figures typed in from their sources.

use std::collections::BTreeSet;

use noether_core::carbon::Basis;

use super::table::{CLOUD_REGIONS, COUNTRIES, ELECTRICITY_MAPS_ZONES, TABLE, Table, US_STATES, rows_of};
use super::*;

fn grams(text: &str, basis: Basis) -> Option<f64> {
    find(text).unwrap().average(basis).map(|average| average.intensity.grams_per_kwh())
}

fn error(text: &str) -> String {
    find(text).unwrap_err().to_string()
}

fn found(words: &[&str]) -> Vec<&'static str> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    search(&words).iter().map(|hit| hit.zone.code).collect()
}

#[test]
fn zones_states_countries_and_cloud_regions_are_found() {
    let rows = [
        ("DE", "DE"),
        ("de", "DE"),
        (" US-CAL-CISO\n", "US-CAL-CISO"),
        ("us-cal-ciso", "US-CAL-CISO"),
        ("US-CA", "US-CA"),
        ("FR", "FR"),
        ("CL", "CL"),
        ("aws:eu-central-1", "DE"),
        ("AWS:EU-Central-1", "DE"),
        ("eu-central-1", "DE"),
        ("aws:us-west-2", "US-NW-PACW"),
        ("azure:westeurope", "NL"),
        ("WestEurope", "NL"),
        ("azure:northcentralus", "US-MIDA-PJM"),
        ("gcp:europe-west3", "DE"),
        ("gcp:us-central1", "US-MIDW-MISO"),
        ("oci:eu-frankfurt-1", "DE"),
        ("ovh:bhs", "CA-QC"),
        ("scaleway:fr-par", "FR"),
        ("hetzner:hel1", "FI"),
    ];
    for (text, code) in rows {
        assert_eq!(find(text).unwrap().code, code, "{text}");
    }
}

#[test]
fn what_is_not_there_is_an_error_that_says_what_is_near() {
    let rows = [
        ("Germany", "DE (Germany)"),
        ("germny", "DE (Germany)"),
        ("Québec", "CA-QC (Québec, Canada)"),
        ("quebec", "CA-QC (Québec, Canada)"),
        ("California", "US-CA (California, USA)"),
        ("United Kingdom", "GB (Great Britain)"),
        ("USA", "US (United States)"),
        ("DEU", "DE (Germany)"),
        ("US-CAL-CAISO", "US-CAL-CISO (CAISO (California ISO), USA)"),
        ("aws:eu-centrl-1", "aws:eu-central-1 (Europe (Frankfurt): DE)"),
        ("eu-centrall-1", "aws:eu-central-1 (Europe (Frankfurt): DE)"),
        ("Frankfurt", "aws:eu-central-1 (Europe (Frankfurt): DE)"),
    ];
    for (text, near) in rows {
        let error = find(text).unwrap_err();
        assert!(error.guesses().iter().any(|guess| guess == near), "{text}: {error}");
        assert!(error.guesses().len() <= 5);
    }
    assert!(error("Germany").starts_with("no grid zone is called \"Germany\"; did you mean DE (Germany)"));
    for text in ["", "world", "WORLD", "XX", "aws:", ":", "aws:DE", "the moon and back"] {
        assert!(find(text).is_err(), "{text}");
    }
    assert_eq!(error("qqqqqqqqq"), "no grid zone is called \"qqqqqqqqq\"; noether zones lists all");
}

#[test]
fn a_region_name_of_two_zones_has_to_say_whose() {
    let regions = rows_of("head\nalpha,north-1,Here,DE,place\nbeta,north-1,There,FR,place\n");
    let table = Table { zones: TABLE.zones.clone(), regions };
    let error = table.find("north-1").unwrap_err().to_string();
    assert!(error.contains("alpha:north-1 (DE), beta:north-1 (FR)"), "{error}");
    assert_eq!(table.find("beta:north-1").unwrap().code, "FR");
}

#[test]
fn words_search_codes_names_regions_and_places() {
    assert_eq!(found(&["germany"]), ["DE"]);
    assert_eq!(found(&["tokyo"]), ["JP-TK"]);
    assert_eq!(found(&["DE"]), ["DE", "BR-CS", "ES-CN-IG", "US-DE"], "Rio de Janeiro, Isla de la Gomera");
    assert_eq!(found(&["sweden"])[0], "SE");
    assert_eq!(found(&["aws", "frankfurt"]), ["DE"]);
    assert_eq!(found(&["azure:westeurope"]), ["NL"]);
    assert_eq!(found(&["united kingdom"]), ["GB"]);
    assert_eq!(found(&["California"]), ["US-CA", "US-CAL-BANC", "US-CAL-CISO"]);
    assert_eq!(found(&["texas"]), ["US-TEX-ERCO", "US-TX"]);
    assert!(found(&["germany", "tokyo"]).is_empty());
    assert_eq!(found(&[]).len(), all().len());
    let hit = &search(&["frankfurt".into(), "gcp".into()])[0];
    assert_eq!(hit.regions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gcp:europe-west3"]);
    let whole = &search(&["germany".into()])[0];
    assert_eq!(whole.regions.len(), cloud_regions(whole.zone).count());
}

/// Electricity Maps 2025 in @tgwf/co2 0.19.0; Ember 2022 to 2024 in carbontracker 2.4.7.
#[test]
fn published_lifecycle_averages() {
    let rows = [
        ("DE", 342.0, 2025, &ELECTRICITY_MAPS),
        ("FR", 31.0, 2025, &ELECTRICITY_MAPS),
        ("GB", 176.0, 2025, &ELECTRICITY_MAPS),
        ("SE", 21.0, 2025, &ELECTRICITY_MAPS),
        ("IN-WE", 653.0, 2025, &ELECTRICITY_MAPS),
        ("PL", 565.0, 2025, &ELECTRICITY_MAPS),
        ("IS", 28.0, 2025, &ELECTRICITY_MAPS),
        ("US", 414.0, 2025, &ELECTRICITY_MAPS),
        ("US-CAL-CISO", 208.0, 2025, &ELECTRICITY_MAPS),
        ("US-MIDA-PJM", 418.0, 2025, &ELECTRICITY_MAPS),
        ("ZA", 700.0, 2025, &ELECTRICITY_MAPS),
        ("CL", 265.516_48, 2024, &EMBER),
        ("RU", 449.195_92, 2024, &EMBER),
        ("UA", 256.210_08, 2022, &EMBER),
        ("BM", 640.625, 2023, &EMBER),
    ];
    for (code, grams, year, source) in rows {
        let average = find(code).unwrap().average(Basis::Lifecycle).unwrap();
        assert_eq!((average.intensity.grams_per_kwh(), average.year), (grams, year), "{code}");
        assert_eq!(average.source, source, "{code}");
    }
}

/// The lb/MWh of eGRID2023's STC2ERTA, converted by hand.
#[test]
fn published_direct_averages_of_the_states() {
    let rows = [
        ("US-AL", 323.85),
        ("US-AK", 369.43),
        ("US-AZ", 312.57),
        ("US-VA", 244.76),
        ("US-WA", 120.92),
        ("US-WV", 893.06),
        ("US-WY", 831.55),
        ("US-DC", 179.17),
        ("US", 349.67),
    ];
    for (code, published) in rows {
        let found = grams(code, Basis::Direct).unwrap();
        assert!((found - published).abs() < 0.01, "{code}: {found}");
        assert_eq!(find(code).unwrap().average(Basis::Direct).unwrap().year, 2023);
    }
    assert_eq!(grams("US-CA", Basis::Lifecycle), None);
    assert_eq!(grams("US-AK", Basis::Lifecycle), Some(469.0));
}

#[test]
fn every_row_is_read() {
    let rows = |table: &'static str| table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    for (table, columns) in [(ELECTRICITY_MAPS_ZONES, 5), (COUNTRIES, 4), (US_STATES, 4), (CLOUD_REGIONS, 5)]
    {
        assert!(rows(table).all(|fields| fields.len() == columns), "no field may have a comma");
    }
    let codes: BTreeSet<&str> =
        [ELECTRICITY_MAPS_ZONES, COUNTRIES, US_STATES].into_iter().flat_map(rows).map(|row| row[0]).collect();
    assert_eq!(all().iter().map(|zone| zone.code).collect::<Vec<_>>(), codes.into_iter().collect::<Vec<_>>());
    assert_eq!(rows(US_STATES).count(), 52, "50 states, the District of Columbia, and the whole");
    assert!(rows(US_STATES).all(|row| grams(row[0], Basis::Direct).is_some()));
    assert!(rows(COUNTRIES).all(|row| grams(row[0], Basis::Lifecycle).is_some()));
    assert_eq!(TABLE.regions.len(), rows(CLOUD_REGIONS).count());
}

#[test]
fn every_zone_is_whole() {
    for zone in all() {
        let bases: BTreeSet<_> = zone.averages.iter().map(|average| average.basis).collect();
        assert!(!bases.is_empty() && bases.len() == zone.averages.len(), "{zone:?}");
        assert!(zone.averages.is_sorted_by_key(|average| average.basis), "{zone:?}");
        assert!(!zone.name.is_empty() && zone.code == zone.code.to_uppercase(), "{zone:?}");
        for average in &zone.averages {
            assert!((1.0..=1500.0).contains(&average.intensity.grams_per_kwh()), "{zone:?}");
            assert!((2009..=2100).contains(&average.year), "{zone:?}");
        }
    }
}

#[test]
fn every_cloud_region_is_in_a_zone_of_the_table() {
    let mut seen = BTreeSet::new();
    for region in &TABLE.regions {
        let zone = TABLE.by_code(region.zone).unwrap_or_else(|| panic!("{region}: no zone {}", region.zone));
        assert!(zone.average(Basis::Lifecycle).is_some(), "{region}");
        assert!(seen.insert(region.to_string()), "{region} is there twice");
        assert_eq!(region.to_string(), region.to_string().to_lowercase());
        assert_eq!(find(&region.to_string()).unwrap().code, region.zone);
        assert!(find(region.name).is_ok(), "{region}: its name alone should do");
    }
    for (provider, least) in [("aws", 30), ("azure", 60), ("gcp", 40), ("oci", 50)] {
        let of = TABLE.regions.iter().filter(|region| region.provider == provider).count();
        assert!(of >= least, "{provider}: {of}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = find(&text).map_err(|error| error.to_string());
        let _ = search(&[text]);
    }
}
