//! Quantities as types: the unit stands only in the name of a constructor or accessor.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign};
use core::time::Duration;

/// An amount of energy, in whole microjoules.
///
/// Sums saturate instead of wrapping: 2^64 µJ are 18 TJ, a megawatt node for seven months.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Energy(u64);

impl Energy {
    /// No energy.
    pub const ZERO: Self = Self(0);

    /// From whole microjoules (µJ).
    pub const fn from_microjoules(microjoules: u64) -> Self {
        Self(microjoules)
    }

    /// From joules (J); negative and non-finite values are zero.
    pub fn from_joules(joules: f64) -> Self {
        Self((joules * 1e6) as u64)
    }

    /// In microjoules (µJ).
    pub const fn microjoules(self) -> u64 {
        self.0
    }

    /// In joules (J), rounded to the nearest `f64`.
    pub fn joules(self) -> f64 {
        // Dividing keeps the nearest representable value; multiplying by 1e-6 would not.
        self.0 as f64 / 1e6
    }

    /// What is left after `other` is taken away, or `None` where `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The mean power over `time`; zero where no time passed.
    pub fn over(self, time: Duration) -> Power {
        let micros = time.as_micros();
        if micros == 0 {
            return Power::ZERO;
        }
        Power(u64::try_from(u128::from(self.0) * 1_000_000 / micros).unwrap_or(u64::MAX))
    }
}

impl Add for Energy {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Energy {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Energy {
    fn sum<I: Iterator<Item = Self>>(energies: I) -> Self {
        energies.fold(Self::ZERO, Add::add)
    }
}

/// Joules with exactly six decimals: what is exported, and exact.
impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Energy per time, in whole microwatts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Power(u64);

impl Power {
    /// No power.
    pub const ZERO: Self = Self(0);

    /// From whole microwatts (µW).
    pub const fn from_microwatts(microwatts: u64) -> Self {
        Self(microwatts)
    }

    /// From watts (W); negative and non-finite values are zero.
    pub fn from_watts(watts: f64) -> Self {
        Self((watts * 1e6) as u64)
    }

    /// In microwatts (µW).
    pub const fn microwatts(self) -> u64 {
        self.0
    }

    /// In watts (W).
    pub fn watts(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The energy of this power held for `time`, rounded down.
    pub fn during(self, time: Duration) -> Energy {
        let microjoules = u128::from(self.0) * time.as_nanos() / 1_000_000_000;
        Energy(u64::try_from(microjoules).unwrap_or(u64::MAX))
    }
}

/// Greenhouse gas, as the mass of carbon dioxide with the same effect (CO2eq): finite and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Carbon(f64);

impl Carbon {
    /// From grams of CO2eq; negative and non-finite values are zero.
    pub fn from_grams(grams: f64) -> Self {
        Self(if grams.is_finite() { grams.max(0.0) } else { 0.0 })
    }

    /// In grams of CO2eq.
    pub const fn grams(self) -> f64 {
        self.0
    }
}

/// Greenhouse gas per energy, in grams of CO2eq per kilowatt-hour: finite and not negative.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Intensity(f64);

impl Intensity {
    /// From grams of CO2eq per kilowatt-hour (g/kWh), which are kilograms per megawatt-hour. `None` where it is negative,
    /// infinite or no number: what no grid has.
    pub fn from_grams_per_kwh(grams: f64) -> Option<Self> {
        (grams.is_finite() && grams >= 0.0).then_some(Self(grams))
    }

    /// From pounds of CO2eq per megawatt-hour (lb/MWh), as the United States count. A pound is 0.45359237 kg exactly
    /// (NIST Handbook 44, appendix C).
    pub fn from_pounds_per_mwh(pounds: f64) -> Option<Self> {
        Self::from_grams_per_kwh(pounds * 0.453_592_37)
    }

    /// In grams of CO2eq per kilowatt-hour (g/kWh).
    pub const fn grams_per_kwh(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn joules_carry_six_decimals() {
        assert_eq!(Energy::from_microjoules(1).to_string(), "0.000001");
        assert_eq!(Energy::from_microjoules(262_143_328_850).to_string(), "262143.328850");
    }

    #[test]
    fn power_and_energy_are_inverse() {
        let second = Duration::from_secs(1);
        assert_eq!(Power::from_watts(35.0).during(second), Energy::from_joules(35.0));
        assert_eq!(Energy::from_joules(35.0).over(second), Power::from_watts(35.0));
        assert_eq!(Energy::from_joules(35.0).over(Duration::ZERO), Power::ZERO);
        assert_eq!(Power::from_watts(f64::NAN), Power::ZERO);
    }

    #[test]
    fn pounds_per_megawatt_hour() {
        let marginal = Intensity::from_pounds_per_mwh(412.5).unwrap();
        assert!((marginal.grams_per_kwh() - 187.106_852_625).abs() < 1e-9);
        for wrong in [-0.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Intensity::from_grams_per_kwh(wrong), None);
            assert_eq!(Carbon::from_grams(wrong), Carbon::default());
        }
    }
}
