//! `static`: values that the operator states, such as the contract with a supplier or the exporter's own plant.

use std::time::Duration;

use noether_core::carbon::{Basis, Signal};
use noether_core::units::Intensity;

use super::failure::{Failure, Reason};
use super::provider::{Access, Need, Provider};

/// The provider.
pub(super) const PROVIDER: Provider = Provider {
    name: "static",
    summary: "Values given as --grid.url ZONE=GRAMS_PER_KWH,…",
    url: "",
    signal: Signal::Average,
    basis: Basis::Lifecycle,
    // Never asked.
    cadence: Duration::from_secs(3600),
    need: Need::Nothing,
    covers,
    access: Access::Fixed { parse },
};

/// Any zone may be given; which of them were, the values say.
fn covers(zone: &str) -> Option<String> {
    Some(zone.to_owned())
}

/// The value of `zone` in `FR=56,DE=380.5`. All of them are checked.
fn parse(values: &str, zone: &str) -> Result<Option<Intensity>, Failure> {
    let mut wanted = None;
    for value in values.split(',').map(str::trim).filter(|value| !value.is_empty()) {
        let pair = value.split_once('=').and_then(|(name, grams)| {
            Some((name.trim(), Intensity::from_grams_per_kwh(grams.trim().parse().ok()?)?))
        });
        let Some((name, intensity)) = pair.filter(|(name, _)| !name.is_empty()) else {
            let text = format!("expected ZONE=GRAMS_PER_KWH, found {value:?}");
            return Err(Failure::new(Reason::Malformed, text));
        };
        if name == zone && wanted.replace(intensity).is_some() {
            let text = format!("expected each zone once, found {zone} twice");
            return Err(Failure::new(Reason::Malformed, text));
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_zone() {
        let grams = |zone| parse("FR=56, DE=380.5,", zone).unwrap().map(Intensity::grams_per_kwh);
        assert_eq!((grams("FR"), grams("DE"), grams("ES")), (Some(56.0), Some(380.5), None));
        for wrong in ["FR", "FR=", "FR=-1", "FR=x", "=5", "FR=NaN", "FR=1,FR=2", "DE=1,ES"] {
            assert!(parse(wrong, "FR").is_err(), "{wrong}");
        }
    }
}
