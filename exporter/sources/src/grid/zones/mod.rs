//! The shipped carbon intensities: a yearly average for each grid zone, and the zone that a cloud region draws from.
//!
//! `data/extract_grid_zones.py` and `data/extract_cloud_regions.py` make the tables. There is no average of the world
//! here: who asks for a zone that is not in the tables is told so, and what is near.

mod near;
mod search;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use noether_core::carbon::Basis;
use noether_core::units::Intensity;

pub use near::UnknownZone;
pub use search::{Hit, search};

use table::TABLE;

/// A region of the electricity grid that has one carbon intensity.
#[derive(Clone, Debug)]
pub struct Zone {
    /// As Electricity Maps writes it (`DE`, `US-CAL-CISO`); of a state, `US-` and its two letters.
    pub code: &'static str,
    /// Its name, and its country's where that is another.
    pub name: String,
    /// At most one for each basis, lifecycle first.
    pub averages: Vec<Average>,
    /// What another source calls it, where that differs.
    other_name: Option<&'static str>,
}

impl Zone {
    /// The average on `basis`, where one is shipped.
    pub fn average(&self, basis: Basis) -> Option<&Average> {
        self.averages.iter().find(|average| average.basis == basis)
    }
}

/// A zone's mean carbon intensity over a year.
#[derive(Clone, Debug)]
pub struct Average {
    /// Which emissions it counts.
    pub basis: Basis,
    /// The mean.
    pub intensity: Intensity,
    /// Of which year.
    pub year: u16,
    /// Whose figure it is.
    pub source: &'static Source,
}

/// Where figures come from, and on what terms.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Who publishes them.
    pub name: &'static str,
    /// Where.
    pub url: &'static str,
    /// Under which licence.
    pub licence: &'static str,
    /// What they count.
    pub note: &'static str,
}

/// Grid zones of the world. The licence asks to be named with the data.
pub static ELECTRICITY_MAPS: Source = Source {
    name: "Electricity Maps",
    url: "https://www.electricitymaps.com/data/methodology",
    licence: "ODbL-1.0",
    note: "lifecycle; of the power consumed, so with imports and without exports",
};

/// Countries. Lifecycle, as <https://ourworldindata.org/grapher/carbon-intensity-electricity> says.
pub static EMBER: Source = Source {
    name: "Ember (Our World in Data)",
    url: "https://ourworldindata.org/grapher/carbon-intensity-electricity",
    licence: "CC-BY-4.0",
    note: "lifecycle; of the power generated in the country, so without imports",
};

/// States of the USA: the field `STC2ERTA`, CO2 equivalent. A work of the US government.
pub static EGRID: Source = Source {
    name: "US EPA eGRID2023",
    url: "https://www.epa.gov/egrid",
    licence: "public domain",
    note: "direct: what leaves the stacks; of the power generated in the state, so without imports",
};

/// Where a cloud provider has machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloudRegion {
    /// `aws`, `azure`, `gcp`, …
    pub provider: &'static str,
    /// The region, as the provider writes it.
    pub name: &'static str,
    /// Where that is.
    pub place: &'static str,
    /// The code of the grid zone that serves the place.
    pub zone: &'static str,
}

/// As [`find`] takes it: `aws:eu-central-1`.
impl fmt::Display for CloudRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.name)
    }
}

/// All zones, by code.
pub fn all() -> &'static [Zone] {
    &TABLE.zones
}

/// The cloud regions that draw from a zone.
pub fn cloud_regions(zone: &Zone) -> impl Iterator<Item = &'static CloudRegion> {
    TABLE.regions.iter().filter(move |region| region.zone == zone.code)
}

/// The zone that `text` names: a zone (`DE`, `US-CAL-CISO`), a state of the USA (`US-CA`) or a cloud region
/// (`aws:eu-central-1`; `eu-central-1` where all of that name draw from one zone). Case does not matter.
///
/// # Errors
///
/// Where nothing has that name, or cloud regions in several zones have it.
pub fn find(text: &str) -> Result<&'static Zone, UnknownZone> {
    TABLE.find(text)
}
