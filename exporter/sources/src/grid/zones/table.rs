//! The tables of grid zones and cloud regions, read once from the files in `data/`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use noether_core::carbon::Basis;
use noether_core::units::Intensity;

use super::{Average, CloudRegion, EGRID, ELECTRICITY_MAPS, EMBER, UnknownZone, Zone};

// ODbL: `data/electricity_maps_zones.NOTICE`.
pub(super) const ELECTRICITY_MAPS_ZONES: &str = include_str!("../../../data/electricity_maps_zones.csv");
pub(super) const COUNTRIES: &str = include_str!("../../../data/countries.csv");
pub(super) const US_STATES: &str = include_str!("../../../data/us_states.csv");
pub(super) const CLOUD_REGIONS: &str = include_str!("../../../data/cloud_regions.csv");

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(Table::shipped);

/// What can be looked up.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Sorted by code.
    pub(super) zones: Vec<Zone>,
    /// Sorted by provider and name.
    pub(super) regions: Vec<CloudRegion>,
}

impl Table {
    fn shipped() -> Self {
        let mut zones = BTreeMap::new();
        // The first that has a basis keeps it: Electricity Maps' years are later, and count imports.
        let rows = rows(ELECTRICITY_MAPS_ZONES, electricity_maps_zone)
            .chain(rows(COUNTRIES, country))
            .chain(rows(US_STATES, us_state));
        rows.for_each(|zone| add(&mut zones, zone));
        Self { zones: zones.into_values().collect(), regions: rows_of(CLOUD_REGIONS) }
    }

    pub(super) fn find(&self, text: &str) -> Result<&Zone, UnknownZone> {
        let text = text.trim();
        if let Some(zone) = self.by_code(&text.to_ascii_uppercase()) {
            return Ok(zone);
        }
        let regions = self.regions_called(&text.to_ascii_lowercase());
        match regions.as_slice() {
            [] => Err(UnknownZone::near(text, self)),
            [first, rest @ ..] if rest.iter().any(|region| region.zone != first.zone) => {
                Err(UnknownZone::ambiguous(text, &regions))
            }
            [first, ..] => self.by_code(first.zone).ok_or_else(|| UnknownZone::near(text, self)),
        }
    }

    pub(super) fn by_code(&self, code: &str) -> Option<&Zone> {
        let found = self.zones.binary_search_by(|zone| zone.code.cmp(code)).ok()?;
        self.zones.get(found)
    }

    /// All regions of that name, or the one where the provider is named too.
    fn regions_called(&self, text: &str) -> Vec<&CloudRegion> {
        let (provider, name) = match text.split_once(':') {
            Some((provider, name)) => (Some(provider), name),
            None => (None, text),
        };
        let called = |region: &&CloudRegion| {
            region.name == name && provider.is_none_or(|provider| provider == region.provider)
        };
        self.regions.iter().filter(called).collect()
    }
}

fn add(zones: &mut BTreeMap<&'static str, Zone>, new: Zone) {
    let Some(zone) = zones.get_mut(new.code) else {
        zones.insert(new.code, new);
        return;
    };
    zone.other_name = zone.other_name.or(new.other_name).filter(|other| *other != zone.name);
    for average in new.averages {
        if zone.average(average.basis).is_none() {
            zone.averages.push(average);
        }
    }
}

/// The rows of a table that can be read; a test sees that these are all. No field has a comma.
fn rows<T>(
    table: &'static str,
    row: impl Fn(&mut dyn Iterator<Item = &'static str>) -> Option<T>,
) -> impl Iterator<Item = T> {
    table.lines().skip(1).filter_map(move |line| row(&mut line.split(',')))
}

type Fields<'a> = &'a mut dyn Iterator<Item = &'static str>;

fn electricity_maps_zone(fields: Fields<'_>) -> Option<Zone> {
    let (code, name, country) = (fields.next()?, fields.next()?, fields.next()?);
    let name = if country.is_empty() { name.to_owned() } else { format!("{name}, {country}") };
    let (year, grams) = figures(fields)?;
    let intensity = Intensity::from_grams_per_kwh(grams)?;
    let average = Average { basis: Basis::Lifecycle, intensity, year, source: &ELECTRICITY_MAPS };
    Some(Zone { code, name, averages: vec![average], other_name: None })
}

fn country(fields: Fields<'_>) -> Option<Zone> {
    let (code, name) = (fields.next()?, fields.next()?);
    let (year, grams) = figures(fields)?;
    let intensity = Intensity::from_grams_per_kwh(grams)?;
    let average = Average { basis: Basis::Lifecycle, intensity, year, source: &EMBER };
    Some(Zone { code, name: name.to_owned(), averages: vec![average], other_name: Some(name) })
}

fn us_state(fields: Fields<'_>) -> Option<Zone> {
    let (code, name) = (fields.next()?, fields.next()?);
    let (year, pounds) = figures(fields)?;
    let intensity = Intensity::from_pounds_per_mwh(pounds)?;
    let average = Average { basis: Basis::Direct, intensity, year, source: &EGRID };
    Some(Zone { code, name: format!("{name}, USA"), averages: vec![average], other_name: None })
}

fn figures(fields: Fields<'_>) -> Option<(u16, f64)> {
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The cloud regions of a table: provider, name, place, zone, and how the zone was found.
pub(super) fn rows_of(table: &'static str) -> Vec<CloudRegion> {
    let region = |fields: Fields<'_>| {
        let (provider, name) = (fields.next()?, fields.next()?);
        Some(CloudRegion { provider, name, place: fields.next()?, zone: fields.next()? })
    };
    rows(table, region).collect()
}
