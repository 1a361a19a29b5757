//! The budget that a pod's annotations carry.

use std::collections::BTreeMap;
use std::fmt;

use noether_core::budget::{Budget, Period};
use noether_core::units::{Carbon, Energy};

/// What may be used, in kWh.
pub(super) const ENERGY: &str = "noether.dev/energy-budget-kwh";
/// What may be emitted, in kg.
pub(super) const CARBON: &str = "noether.dev/carbon-budget-kg";
/// `lifetime`, `day` or `month`.
pub(super) const PERIOD: &str = "noether.dev/budget-period";

/// More than anybody means: 10 GWh, or 10 million tonnes.
const MOST: f64 = 1e10;

/// An annotation that says nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mistake {
    annotation: &'static str,
    value: String,
    mend: &'static str,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { annotation, value, mend } = self;
        write!(f, "annotation {annotation}: {value:?} {mend}")
    }
}

/// What the annotations allow, in a period. A mistake in one of the two amounts leaves the other; one in the period leaves
/// none, for nobody can tell what was meant.
pub(super) fn budget(
    annotations: &BTreeMap<String, String>,
    subject: Vec<(&'static str, std::sync::Arc<str>)>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Budget> {
    let mut amount = |annotation, mend| {
        let text = annotations.get(annotation)?;
        let amount = decimal(text);
        if amount.is_none() {
            mistakes.push(mistake(annotation, text, mend));
        }
        amount
    };
    let energy = amount(ENERGY, "is not an amount of kWh such as 1.5, above 0");
    let carbon = amount(CARBON, "is not an amount of kg such as 0.4, above 0");
    let period = match annotations.get(PERIOD) {
        None => Period::Lifetime,
        Some(text) => match Period::ALL.into_iter().find(|period| period.label() == text.trim()) {
            Some(period) => period,
            None => {
                mistakes.push(mistake(PERIOD, text, "is not one of lifetime, day, month"));
                return None;
            }
        },
    };
    (energy.is_some() || carbon.is_some()).then(|| Budget {
        subject,
        period,
        energy: energy.map(|kwh| Energy::from_joules(kwh * 3.6e6)),
        carbon: carbon.map(|kg| Carbon::from_grams(kg * 1e3)),
    })
}

fn mistake(annotation: &'static str, value: &str, mend: &'static str) -> Mistake {
    Mistake { annotation, value: value.chars().take(80).collect(), mend }
}

/// A plain number above 0.
fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>().ok().filter(|number| plain && *number > 0.0 && *number <= MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(annotations: &[(&str, &str)]) -> (Option<Budget>, Vec<String>) {
        let annotations = annotations.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut mistakes = Vec::new();
        let budget =
            budget(&annotations, vec![("namespace", "a".into()), ("pod", "b".into())], &mut mistakes);
        (budget, mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn amounts_and_periods() {
        assert_eq!(read(&[]), (None, vec![]));
        let (budget, mistakes) = read(&[(ENERGY, "1.5"), (CARBON, "0.4")]);
        let budget = budget.unwrap();
        assert_eq!(budget.energy, Some(Energy::from_joules(5.4e6)));
        assert_eq!(budget.carbon, Some(Carbon::from_grams(400.0)));
        assert_eq!((budget.period, mistakes.len()), (Period::Lifetime, 0));
        let (budget, _) = read(&[(CARBON, " 2 "), (PERIOD, "month")]);
        assert_eq!(budget.map(|budget| (budget.period, budget.energy)), Some((Period::Month, None)));
        assert_eq!(read(&[(PERIOD, "day")]), (None, vec![]), "a period of nothing");
    }

    #[test]
    fn a_mistake_names_annotation_value_and_mend() {
        for wrong in ["", "0", "-1", "1,5", "1e3", "NaN", "inf", "1.5 kWh", "99999999999", "1.5.1"] {
            let (budget, mistakes) = read(&[(ENERGY, wrong)]);
            assert_eq!(budget, None, "{wrong}");
            let expected =
                format!("annotation {ENERGY}: {wrong:?} is not an amount of kWh such as 1.5, above 0");
            assert_eq!(mistakes, [expected]);
        }
        let (budget, mistakes) = read(&[(ENERGY, "x"), (CARBON, "1")]);
        assert!(budget.is_some_and(|budget| budget.energy.is_none()) && mistakes.len() == 1);
        let (budget, mistakes) = read(&[(ENERGY, "1"), (PERIOD, "weekly")]);
        assert_eq!(budget, None);
        assert_eq!(mistakes, [format!("annotation {PERIOD}: \"weekly\" is not one of lifetime, day, month")]);
    }
}
