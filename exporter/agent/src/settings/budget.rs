//! Budgets: `namespace=ml energy-kwh=500 carbon-kg=100 period=month`.

use std::sync::Arc;

use noether_core::budget::{Budget, Period, SUBJECTS};
use noether_core::units::{Carbon, Energy};

use super::given::Layers;
use super::value::decimal;
use super::{Misuse, suggest};

/// The keys that say how much, and how often anew.
const LIMITS: [&str; 3] = ["energy-kwh", "carbon-kg", "period"];

/// All of them, each subject and period at most once.
pub(super) fn budgets(layers: &Layers) -> Result<Vec<Budget>, Misuse> {
    let name = "budget";
    let budgets = layers.list(name, budget)?;
    for (index, one) in budgets.iter().enumerate() {
        let again = |other: &&Budget| other.subject == one.subject && other.period == one.period;
        if budgets.iter().skip(index + 1).any(|other| again(&other)) {
            let period = one.period.label();
            let complaint = format!("{} has two for one {period}; give it one", subject_text(one));
            return Err(Misuse::at(&layers.origin(name), name, &complaint));
        }
    }
    Ok(budgets)
}

fn subject_text(budget: &Budget) -> String {
    let pairs: Vec<_> = budget.subject.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

/// Reads one budget. The error is the rest of a sentence that begins with the text.
fn budget(text: &str) -> Result<Budget, String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for word in text.split_whitespace() {
        let pair = word.split_once('=').filter(|(_, value)| !value.is_empty());
        let (key, value) = pair.ok_or_else(|| format!("has {word:?}, which is not KEY=VALUE"))?;
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(format!("has {key} twice; give it once"));
        }
        pairs.push((known_key(key)?, value));
    }
    let one = |key: &str| pairs.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let energy = one("energy-kwh").map(|kwh| amount("energy-kwh", kwh)).transpose()?;
    let carbon = one("carbon-kg").map(|kilograms| amount("carbon-kg", kilograms)).transpose()?;
    if energy.is_none() && carbon.is_none() {
        return Err("has neither energy-kwh nor carbon-kg; give it one".into());
    }
    let subject = subject(&pairs)?;
    let period = one("period").map_or_else(|| Ok(usual_period(&subject)), period)?;
    Ok(Budget {
        subject,
        period,
        energy: energy.map(|kwh| Energy::from_joules(kwh * 3.6e6)),
        carbon: carbon.map(|kilograms| Carbon::from_grams(kilograms * 1e3)),
    })
}

fn known_key(key: &str) -> Result<&'static str, String> {
    let known = || SUBJECTS.iter().copied().flatten().copied().chain(LIMITS);
    known()
        .find(|name| *name == key)
        .ok_or_else(|| format!("has no such key as {key}{}", suggest::clause(key, known())))
}

fn amount(key: &str, text: &str) -> Result<f64, String> {
    let amount = decimal(text).filter(|amount| *amount > 0.0 && *amount < 1e9);
    amount.ok_or_else(|| format!("has {key}={text}, which is not a number above 0"))
}

/// The labels of who carries it, in the order of [`SUBJECTS`].
fn subject(pairs: &[(&'static str, &str)]) -> Result<Vec<(&'static str, Arc<str>)>, String> {
    let named: Vec<_> = pairs.iter().filter(|(key, _)| !LIMITS.contains(key)).collect();
    let mut labels: Vec<&str> = named.iter().map(|(key, _)| *key).collect();
    // What can be meant by a job id alone, or by a pod that is known by its uid.
    if labels == ["job_id"] {
        return Ok(vec![("scheduler", "slurm".into()), ("job_id", value(pairs, "job_id"))]);
    }
    if labels == ["pod"] {
        return Ok(vec![("namespace", "".into()), ("pod", value(pairs, "pod"))]);
    }
    labels.sort_unstable();
    let fits = |subject: &&&[&str]| {
        let mut wanted = subject.to_vec();
        wanted.sort_unstable();
        wanted == labels
    };
    let subject = SUBJECTS.iter().find(fits).ok_or_else(|| {
        let all: Vec<String> = SUBJECTS.iter().map(|subject| subject.join(" and ")).collect();
        format!("is for {}; it has to be for one of: {}", said(&labels), all.join("; "))
    })?;
    Ok(subject.iter().map(|label| (*label, value(pairs, label))).collect())
}

fn said(labels: &[&str]) -> String {
    if labels.is_empty() { "nobody".into() } else { labels.join(" and ") }
}

fn value(pairs: &[(&'static str, &str)], key: &str) -> Arc<str> {
    pairs.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value).into()
}

fn period(text: &str) -> Result<Period, String> {
    let names = || Period::ALL.map(Period::label).into_iter();
    Period::ALL.into_iter().find(|period| period.label() == text).ok_or_else(|| {
        let all = names().collect::<Vec<_>>().join(", ");
        format!("has period={text}, which is not one of {all}{}", suggest::clause(text, names()))
    })
}

/// What lives once has one budget for its life; what stays has one for each month.
fn usual_period(subject: &[(&'static str, Arc<str>)]) -> Period {
    match subject.last() {
        Some(("pod" | "job_id" | "vm", _)) => Period::Lifetime,
        _ => Period::Month,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_a_month_and_a_job_its_life() {
        let ml = budget("namespace=ml energy-kwh=500 carbon-kg=100").unwrap();
        assert_eq!((ml.period, ml.energy), (Period::Month, Some(Energy::from_joules(1.8e9))));
        assert_eq!(ml.carbon.map(Carbon::grams), Some(1e5));
        let job = budget("job_id=42 energy-kwh=0.5").unwrap();
        assert_eq!(
            (job.period, job.subject.first()),
            (Period::Lifetime, Some(&("scheduler", "slurm".into())))
        );
        let workload =
            budget("workload=train workload_kind=Job namespace=ml carbon-kg=1 period=day").unwrap();
        assert_eq!(subject_text(&workload), "namespace=ml workload_kind=Job workload=train");
        assert_eq!(workload.period, Period::Day);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_mend() {
        for (wrong, part) in [
            ("", "neither energy-kwh nor carbon-kg"),
            ("energy-kwh=1", "for nobody"),
            ("namespace=ml", "neither"),
            ("namespace=ml energy-kwh", "KEY=VALUE"),
            ("namespace=ml energy-kwh=", "KEY=VALUE"),
            ("namespace=ml energy-kwh=0", "above 0"),
            ("namespace=ml energy-kwh=-1", "above 0"),
            ("namespace=ml energy-kwh=NaN", "above 0"),
            ("namespace=ml energy_kwh=1", "did you mean energy-kwh?"),
            ("namspace=ml energy-kwh=1", "did you mean namespace?"),
            ("namespace=ml namespace=b energy-kwh=1", "twice"),
            ("namespace=ml period=moth energy-kwh=1", "did you mean month?"),
            ("unit=a vm=b energy-kwh=1", "one of: namespace;"),
        ] {
            let complaint = budget(wrong).expect_err(wrong);
            assert!(complaint.contains(part), "{wrong:?}: {complaint}");
        }
    }
}
