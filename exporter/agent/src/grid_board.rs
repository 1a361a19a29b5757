//! What is told of the grid, as the settings want it: shipped averages, live intensities, prices, budgets.

use std::sync::Arc;
use std::time::Duration;

use noether_core::carbon::{Observation, Provenance, Signal};
use noether_core::grid::{Grid, IntensityRow};
use noether_sources::grid::{Error, Live, zones};

use crate::serve::Trouble;
use crate::settings::{Bases, Command, GridZone, Settings};

/// Everything that is told of the grid, but for the time.
pub struct GridBoard {
    /// What does not change.
    still: Grid,
    live: Option<Arc<Live>>,
    bases: Bases,
}

impl GridBoard {
    /// The board of these settings; `command` tells whether it is a node's, which lies in a zone, or a cluster's.
    pub fn new(settings: &Settings, command: Command) -> Result<Self, Trouble> {
        let zones = &settings.grid.zones;
        warn_of_unserved(settings);
        let node_zone =
            zones.first().filter(|_| command == Command::Node).map(|zone| zone.code.as_str().into());
        let budgets = if command == Command::Grid { settings.budgets.clone() } else { Vec::new() };
        let bases = settings.grid.bases;
        let shipped = zones.iter().flat_map(shipped).filter(|row| bases.contain(row.provenance.basis));
        let still = Grid {
            node_zone,
            intensities: shipped.collect(),
            pue: settings.pue,
            usd_per_kwh: settings.usd_per_kwh,
            social_costs: settings.social_costs.clone(),
            budgets: budgets.into(),
            ..Grid::default()
        };
        Ok(Self { still, live: live(settings)?, bases })
    }

    /// Writes what is known at `now`, in Unix time.
    pub fn tell(&self, now: Duration, grid: &mut Grid) {
        grid.clone_from(&self.still);
        let Some(live) = &self.live else { return };
        let (rows, providers) = live.rows(now);
        grid.intensities.extend(rows.into_iter().filter(|row| self.bases.contain(row.provenance.basis)));
        grid.intensities.sort_by(|one, other| one.provenance.cmp(&other.provenance));
        grid.providers = providers;
    }

    /// Asks the providers, for ever.
    pub async fn run(self: Arc<Self>) {
        if let Some(live) = &self.live {
            Arc::clone(live).run().await;
        }
    }
}

/// A zone that is misspelt leaves a node without carbon, but not without energy.
fn warn_of_unserved(settings: &Settings) {
    for zone in settings.grid.unserved() {
        if let Err(unknown) = zones::find(&zone.code) {
            tracing::warn!(
                "--grid.zone: {unknown} No provider is known to serve it either: there is no carbon until a noether grid serves it from a file"
            );
        }
    }
}

fn live(settings: &Settings) -> Result<Option<Arc<Live>>, Trouble> {
    let live = settings.grid.plan().map(Live::new).transpose().map_err(|error| match error {
        Error::Misuse { .. } => Trouble::Misuse(error.to_string()),
        Error::Client(_) => Trouble::Failure(error.into()),
    })?;
    if let Some(live) = &live {
        for zone in live.uncovered() {
            tracing::warn!(
                "no provider of --grid.provider covers {zone}: only the shipped average is served"
            );
        }
    }
    Ok(live.map(Arc::new))
}

/// The rows of what is shipped of a zone.
fn shipped(zone: &GridZone) -> impl Iterator<Item = IntensityRow> {
    let averages = zone.shipped.map(|zone| zone.averages.as_slice()).unwrap_or_default();
    averages.iter().map(|average| IntensityRow {
        provenance: Provenance {
            zone: zone.code.as_str().into(),
            provider: "shipped",
            signal: Signal::Average,
            basis: average.basis,
        },
        observation: Some(Observation {
            intensity: average.intensity,
            estimated: false,
            at: begin_of(average.year),
        }),
        last_success: None,
    })
}

/// The first second of a year, in Unix time.
fn begin_of(year: u16) -> Duration {
    let years = u64::from(year.max(1970)) - 1970;
    // Since 1970, a leap year has ended each four years; 2100 is none.
    let leap_days = (years + 1) / 4 - u64::from(year > 2100);
    Duration::from_secs((years * 365 + leap_days) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_begin() {
        for (year, seconds) in
            [(1970, 0), (1972, 63_072_000), (1973, 94_694_400), (2024, 1_704_067_200), (2025, 1_735_689_600)]
        {
            assert_eq!(begin_of(year).as_secs(), seconds, "{year}");
        }
    }
}
