//! The electricity that the cluster draws: zones, their intensity over time, prices and budgets.

use std::sync::Arc;
use std::time::Duration;

use noether_core::budget::{Budget, Period};
use noether_core::carbon::{Basis, Observation, Provenance, Pue, Signal};
use noether_core::grid::{Grid, IntensityRow, ProviderRow, SocialCost};
use noether_core::units::{Carbon, Energy, Intensity};
use noether_sources::grid::zones;

use crate::draw::random;

pub(crate) const USD_PER_KWH: f64 = 0.24;
pub(crate) const USD_PER_TONNE: f64 = 190.0;
const HOUR: i64 = 3600;

/// Zones of which somebody publishes the intensity live, with their mean and how far it swings over a day.
const LIVE: [(&str, f64, f64); 7] = [
    ("DE", 340.0, 150.0),
    ("FR", 34.0, 12.0),
    ("ES", 130.0, 60.0),
    ("PL", 640.0, 90.0),
    ("SE-SE3", 22.0, 6.0),
    ("US-CAL-CISO", 250.0, 130.0),
    ("GB", 180.0, 80.0),
];
/// Zones of which only the shipped average is served.
const SHIPPED: [&str; 6] = ["NO-NO1", "EE", "CA-QC", "US-MIDA-PJM", "IN-WE", "AU-NSW"];

/// Where and when intensity is how high.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Market {
    /// The end of all that is told.
    pub(crate) end: i64,
}

impl Market {
    /// Whether the live provider is silent: for two hours within the last day, and once a week before.
    pub(crate) const fn silent(&self, at: i64) -> bool {
        let before = self.end - at;
        (before > 7 * HOUR && before <= 9 * HOUR) || (before > 150 * HOUR && before <= 155 * HOUR)
    }

    /// The live intensity of a zone, constant within an hour.
    pub(crate) fn live(&self, zone: &str, at: i64) -> Option<f64> {
        let (_, mean, swing) = LIVE.iter().find(|(name, ..)| *name == zone)?;
        let hour = (at - 1).div_euclid(HOUR);
        let phase = (hour.rem_euclid(24) as f64 - 19.0) / 24.0 * std::f64::consts::TAU;
        let noise = random(hash(zone), hour as u64) - 0.5;
        (!self.silent(at)).then_some(mean + swing * (phase.cos() + 0.4 * noise))
    }

    /// What the rules choose: live before shipped.
    pub(crate) fn selected(&self, zone: &str, at: i64) -> f64 {
        self.live(zone, at).unwrap_or_else(|| shipped(zone))
    }

    /// The zones that the grid exporter tells of.
    pub(crate) fn zones() -> impl Iterator<Item = &'static str> {
        LIVE.iter().map(|(name, ..)| *name).chain(SHIPPED)
    }

    /// What the exporter of the grid serves at an instant.
    pub(crate) fn served(&self, at: i64, begin: i64, budgets: &Arc<[Budget]>) -> Grid {
        let mut intensities = Vec::new();
        for zone in Self::zones() {
            intensities.push(row(zone, "shipped", Basis::Lifecycle, Some(shipped(zone)), at, at));
            let live = self.live(zone, at);
            if LIVE.iter().any(|(name, ..)| *name == zone) {
                intensities.push(row(
                    zone,
                    "electricitymaps",
                    Basis::Lifecycle,
                    live,
                    at,
                    self.last_success(at),
                ));
            }
        }
        intensities.push(row("GB", "uk", Basis::Direct, Some(self.selected("GB", at) * 0.9), at, at));
        let marginal = 420.0 + 60.0 * random(7, at.div_euclid(SLOT_OF_MARGINAL) as u64);
        let mut moer = row("US-CAL-CISO", "watttime", Basis::Direct, Some(marginal), at, at);
        moer.provenance.signal = Signal::Marginal;
        intensities.push(moer);
        Grid {
            node_zone: None,
            intensities,
            providers: self.providers(at, begin),
            pue: Pue::from_ratio(1.25),
            usd_per_kwh: Some(USD_PER_KWH),
            social_costs: [("16.7", 75.0), ("50", USD_PER_TONNE), ("83.3", 420.0)]
                .map(|(percentile, usd_per_tonne)| SocialCost {
                    country: "USA".into(),
                    percentile: percentile.into(),
                    usd_per_tonne,
                })
                .into(),
            budgets: Arc::clone(budgets),
        }
    }

    fn last_success(&self, at: i64) -> i64 {
        let mut last = at;
        while self.silent(last) {
            last -= 300;
        }
        last
    }

    fn providers(&self, at: i64, begin: i64) -> Vec<ProviderRow> {
        let requests = ((at - begin) / 300).max(0) as u64;
        let silent = (begin / 300..at / 300).filter(|slot| self.silent(slot * 300)).count() as u64;
        let row = |provider, requests, failed| ProviderRow {
            provider,
            requests,
            failures: vec![("server", failed)],
        };
        vec![
            row("electricitymaps", requests * 7, silent * 7),
            row("uk", requests / 6, 0),
            row("watttime", requests, 2),
        ]
    }
}

const SLOT_OF_MARGINAL: i64 = 300;

/// A zone's shipped average.
pub(crate) fn shipped(zone: &str) -> f64 {
    let zone = zones::find(zone).expect("a zone of the shipped table");
    zone.average(Basis::Lifecycle).expect("a lifecycle average").intensity.grams_per_kwh()
}

/// A row of intensity; absent where there is no value.
pub(crate) fn row(
    zone: &str,
    provider: &'static str,
    basis: Basis,
    grams: Option<f64>,
    at: i64,
    success: i64,
) -> IntensityRow {
    let unix = |at: i64| Duration::from_secs(at.max(0) as u64);
    IntensityRow {
        provenance: Provenance { zone: zone.into(), provider, signal: Signal::Average, basis },
        observation: grams.and_then(Intensity::from_grams_per_kwh).map(|intensity| Observation {
            intensity,
            estimated: false,
            at: unix(at.div_euclid(HOUR) * HOUR),
        }),
        last_success: (provider != "shipped").then(|| unix(success)),
    }
}

/// Budgets of namespaces, a workload, a user and an account: some hold, one is exceeded.
pub(crate) fn budgets() -> Arc<[Budget]> {
    let budget = |subject: &[(&'static str, &str)], period, kwh: Option<f64>, kg: Option<f64>| Budget {
        subject: subject.iter().map(|(name, value)| (*name, Arc::from(*value))).collect(),
        period,
        energy: kwh.map(|kwh| Energy::from_joules(kwh * 3.6e6)),
        carbon: kg.map(|kg| Carbon::from_grams(kg * 1e3)),
    };
    let training = [("namespace", "research"), ("workload_kind", "StatefulSet"), ("workload", "notebook")];
    [
        budget(&[("namespace", "shop")], Period::Day, Some(4.0), Some(1.5)),
        budget(&[("namespace", "shop")], Period::Month, Some(90.0), Some(30.0)),
        budget(&[("namespace", "research")], Period::Day, Some(6.0), Some(2.0)),
        budget(&[("namespace", "research")], Period::Month, Some(200.0), Some(60.0)),
        budget(&[("namespace", "serving")], Period::Day, Some(3.0), None),
        budget(&[("namespace", "ci")], Period::Month, None, Some(4.0)),
        budget(&training, Period::Day, Some(5.0), Some(1.6)),
        budget(&[("user", "alice")], Period::Month, Some(40.0), Some(2.0)),
        budget(&[("account", "physics")], Period::Month, Some(60.0), None),
    ]
    .into()
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
