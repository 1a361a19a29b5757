//! Energy becomes carbon: `grams = joules / 3.6e6 · PUE · intensity`, and where an intensity comes from.
//!
//! Prometheus does this sum for what the exporter serves, at the time the energy was used; here it is for commands that
//! print, and for tests. Henderson et al. 2020, section 4.1.3: <https://arxiv.org/abs/2002.05651>

use alloc::sync::Arc;
use core::time::Duration;

use crate::units::{Carbon, Energy, Intensity};

/// Which plants an intensity speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// All that feed the grid, by what they feed.
    Average,
    /// Those that would feed one kilowatt-hour more.
    Marginal,
}

impl Signal {
    /// The value of the `signal` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Marginal => "marginal",
        }
    }
}

/// Which of a plant's emissions an intensity counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// From the building of the plant and its fuel to its end.
    Lifecycle,
    /// From the plant's operation alone.
    Direct,
}

impl Basis {
    /// The value of the `basis` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Direct => "direct",
        }
    }
}

/// Where an intensity comes from: what tells its series apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Provenance {
    /// The grid zone.
    pub zone: Arc<str>,
    /// `shipped`, or the provider's name as in `--grid.provider`.
    pub provider: &'static str,
    /// Which plants.
    pub signal: Signal,
    /// Which emissions.
    pub basis: Basis,
}

/// One value of a grid zone's intensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// The intensity.
    pub intensity: Intensity,
    /// Whether the provider says that it is estimated rather than measured.
    pub estimated: bool,
    /// The begin of the period that it holds for, in Unix time.
    pub at: Duration,
}

/// Power usage effectiveness: what a data centre draws per what its machines draw; 1 or more.
///
/// <https://www.thegreengrid.org/en/resources/library-and-tools/20-PUE>
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Pue(f64);

impl Pue {
    /// From the ratio; `None` below 1 and where it is not finite.
    pub fn from_ratio(ratio: f64) -> Option<Self> {
        (ratio.is_finite() && ratio >= 1.0).then_some(Self(ratio))
    }

    /// The ratio.
    pub const fn ratio(self) -> f64 {
        self.0
    }
}

/// What `energy` at the meter caused at the plants.
pub fn emissions(energy: Energy, pue: Pue, intensity: Intensity) -> Carbon {
    Carbon::from_grams(energy.joules() / 3.6e6 * pue.ratio() * intensity.grams_per_kwh())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example() {
        let pue = Pue::from_ratio(1.58).unwrap();
        let intensity = Intensity::from_grams_per_kwh(250.7334).unwrap();
        // 1860 J at the meter are 2938.8 J at the plants: 8.16333e-4 kWh.
        let carbon = emissions(Energy::from_joules(1860.0), pue, intensity);
        assert!((carbon.grams() - 0.204_682).abs() < 5e-7, "{carbon:?}");
    }

    #[test]
    fn a_data_centre_draws_no_less_than_its_machines() {
        for wrong in [0.99, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Pue::from_ratio(wrong), None);
        }
    }
}
