//! What is told of the grid, of prices and of budgets: the rows beside the ledger's.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::budget::Budget;
use crate::carbon::{Observation, Provenance, Pue};

/// An intensity that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct IntensityRow {
    /// Where it comes from.
    pub provenance: Provenance,
    /// The value. `None` where a provider was asked and has none that is fresh: then only its timestamps are shown.
    pub observation: Option<Observation>,
    /// When the provider last answered rightly, in Unix time; `None` before, and for what is shipped.
    pub last_success: Option<Duration>,
}

/// What asking a provider came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRow {
    /// The provider's name.
    pub provider: &'static str,
    /// Requests sent so far.
    pub requests: u64,
    /// Of these, the failed ones, by reason; every reason is there from the start.
    pub failures: Vec<(&'static str, u64)>,
}

/// What the emission of a tonne of CO2eq costs society, by one estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct SocialCost {
    /// Whose cost: a country's ISO 3166-1 alpha-3 code, or `WLD` for the world.
    pub country: Arc<str>,
    /// The percentile of the estimate, as it was written: `50`.
    pub percentile: Arc<str>,
    /// US dollars per tonne of CO2eq.
    pub usd_per_tonne: f64,
}

/// All of it, at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// Where this node draws its power.
    pub node_zone: Option<Arc<str>>,
    /// The intensities, shipped and live, sorted by provenance.
    pub intensities: Vec<IntensityRow>,
    /// The providers that are asked.
    pub providers: Vec<ProviderRow>,
    /// `--pue`
    pub pue: Option<Pue>,
    /// `--energy.price`, in US dollars per kilowatt-hour.
    pub usd_per_kwh: Option<f64>,
    /// `--carbon.social-cost`
    pub social_costs: Vec<SocialCost>,
    /// `--budget`
    pub budgets: Arc<[Budget]>,
}
