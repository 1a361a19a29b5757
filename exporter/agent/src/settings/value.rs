//! What the text of a value means, where it is neither a word, a duration nor an address.
//!
//! Each reader's error is the rest of a sentence that begins with the value.

use std::path::PathBuf;
use std::time::Duration;

use noether_core::carbon::Pue;
use noether_core::granularity::{Granularity, SHORTEST_INTERVAL};
use noether_core::grid::SocialCost;
use noether_core::reading::Component;
use noether_core::units::{Energy, Power};

use super::duration::duration;
use super::suggest;

/// A coarser step than this would hide a whole machine's minute.
const COARSEST: u64 = 1_000_000_000;

/// No use of the figures needs fewer than one an hour; the meters' own limits, mostly a minute or two, are kept besides.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);

/// More than any machine draws: what is beyond is a slip of the unit.
const MOST_WATTS: f64 = 1e6;

/// No data centre wastes nine of ten: what is beyond is a slip of the decimal point.
const MOST_PUE: f64 = 10.0;

/// Reads the step in which energy is shown: `1mJ`.
pub(super) fn granularity(text: &str) -> Result<Granularity, String> {
    let units = [("uJ", 1), ("mJ", 1000), ("J", 1_000_000)];
    let found = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let step = found.and_then(|(digits, size)| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain)?.checked_mul(size)
    });
    step.filter(|step| *step <= COARSEST)
        .and_then(|step| Granularity::new(Energy::from_microjoules(step)))
        .ok_or_else(|| {
            "is not a step of energy such as 1mJ (a whole number of uJ, mJ or J, up to 1000J)".into()
        })
}

/// Reads the time between two ticks. It is measured against [`SHORTEST_INTERVAL`]: reading energy counters faster is a
/// side channel (<https://platypusattack.com/>).
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval > LONGEST_INTERVAL {
        return Err("is above 1h, the most that is allowed: counters of energy wrap within minutes, and what happens in \
                    a longer interval cannot be charged to whoever did it"
            .into());
    }
    if interval >= SHORTEST_INTERVAL {
        return Ok(interval);
    }
    Err("is below 100ms, the least that is allowed: energy read faster than that betrays what programs compute, keys \
         included (PLATYPUS, CVE-2020-8694)"
        .into())
}

/// Reads a whole number.
pub(super) fn number(text: &str) -> Result<usize, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let small = text.parse::<u32>().ok().and_then(|number| usize::try_from(number).ok());
    small.filter(|_| digits).ok_or_else(|| format!("is not a whole number from 0 to {}", u32::MAX))
}

/// Reads a whole number above 0.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    let positive = number(text).ok().filter(|number| *number > 0);
    positive.ok_or_else(|| format!("is not a whole number from 1 to {}", u32::MAX))
}

/// Reads a path in the file system.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    let fit = !text.is_empty() && !text.contains('\0');
    fit.then(|| PathBuf::from(text)).ok_or_else(|| "is not a path such as /proc".into())
}

/// Reads a path in a URL; `/` and what is below `/-/` are taken.
pub(super) fn url_path(text: &str) -> Result<String, String> {
    let plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%' | b'"' | b'<' | b'>');
    if !text.starts_with('/') || !text.bytes().all(plain) {
        return Err("is not a path such as /metrics".into());
    }
    if text == "/" || text == "/-" || text.starts_with("/-/") {
        return Err("is taken by the landing page and the health checks; use a path such as /metrics".into());
    }
    Ok(text.into())
}

/// Reads a server's URL, without a slash at its end.
pub(super) fn url(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let plain =
        host.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'@'));
    let fit = !host.is_empty() && !host.starts_with('/') && plain;
    fit.then(|| text.into()).ok_or_else(|| "is not a URL such as https://10.0.0.1:10250".into())
}

/// Reads the name of a label or annotation of Kubernetes.
pub(super) fn label(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let fit = (1..=317).contains(&text.len()) && text.bytes().all(plain);
    fit.then(|| text.into()).ok_or_else(|| "is not a name such as app.kubernetes.io/name".into())
}

/// Reads a name.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fit = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
    fit.then(|| text.into()).ok_or_else(|| "is not a name such as node-1".into())
}

/// Reads a component's power: `cpu=35`.
pub(super) fn component_watts(text: &str) -> Result<(Component, Power), String> {
    let wrong = || {
        "is not a component with its watts such as cpu=35 (components: cpu, dram, gpu, other; 0 to 1000000)"
            .to_owned()
    };
    let (label, watts) = text.split_once('=').ok_or_else(wrong)?;
    let Some(component) = Component::ALL.into_iter().find(|component| component.label() == label) else {
        return Err(wrong() + &suggest::clause(label, Component::ALL.into_iter().map(Component::label)));
    };
    let decimal = watts.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let watts = watts.parse::<f64>().ok().filter(|watts| decimal && (0.0..=MOST_WATTS).contains(watts));
    Ok((component, Power::from_watts(watts.ok_or_else(wrong)?)))
}

/// Reads a number of plain digits, with or without a decimal point.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>().ok().filter(|number| plain && number.is_finite())
}

/// Reads a power usage effectiveness.
pub(super) fn pue(text: &str) -> Result<Pue, String> {
    let ratio = decimal(text).filter(|ratio| *ratio <= MOST_PUE);
    ratio
        .and_then(Pue::from_ratio)
        .ok_or_else(|| format!("is not a ratio from 1 to {MOST_PUE}, such as 1.58"))
}

/// Reads an amount of US dollars.
pub(super) fn usd(text: &str) -> Result<f64, String> {
    decimal(text).ok_or_else(|| "is not an amount of US dollars such as 0.25".into())
}

/// Reads a social cost of carbon: `USA:50=190`.
pub(super) fn social_cost(text: &str) -> Result<SocialCost, String> {
    let wrong =
        || "is not COUNTRY:PERCENTILE=USD with a country's three letters, such as USA:50=190".to_owned();
    let (whose, usd) = text.split_once('=').ok_or_else(wrong)?;
    let (country, percentile) = whose.split_once(':').ok_or_else(wrong)?;
    let is_country = country.len() == 3 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_percentile = decimal(percentile).is_some_and(|percent| (0.0..=100.0).contains(&percent));
    let usd_per_tonne = decimal(usd).filter(|_| is_country && is_percentile).ok_or_else(wrong)?;
    Ok(SocialCost { country: country.into(), percentile: percentile.into(), usd_per_tonne })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_and_costs() {
        assert_eq!(pue("1.58").map(Pue::ratio), Ok(1.58));
        for wrong in ["0.9", "1e1", "-1", "inf", "", "11", "158%"] {
            assert!(pue(wrong).unwrap_err().contains("1.58"), "{wrong:?}");
        }
        let cost = social_cost("USA:16.7=0.5").unwrap();
        assert_eq!((&*cost.country, &*cost.percentile, cost.usd_per_tonne), ("USA", "16.7", 0.5));
        for wrong in ["USA=5", "USA:50", "US:50=5", "usa:50=5", "USA:500=5", "USA:50=-5", "USA:50=5$"] {
            assert!(social_cost(wrong).unwrap_err().contains("USA:50=190"), "{wrong:?}");
        }
    }

    #[test]
    fn intervals_below_the_least_are_refused_with_the_reason() {
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        for short in ["99ms", "0", "0s"] {
            let complaint = interval(short).unwrap_err();
            assert!(complaint.contains("PLATYPUS") && complaint.contains("CVE-2020-8694"), "{complaint}");
        }
        assert!(interval("soon").unwrap_err().contains("1m30s"));
    }

    #[test]
    fn steps_of_energy() {
        let microjoules = |text: &str| granularity(text).map(|step| step.step().microjoules());
        for (text, expected) in
            [("1uJ", 1), ("1mJ", 1000), ("250mJ", 250_000), ("1J", 1_000_000), ("1000J", COARSEST)]
        {
            assert_eq!(microjoules(text), Ok(expected), "{text}");
        }
        for wrong in [
            "",
            "0J",
            "0uJ",
            "J",
            "1",
            "1 mJ",
            "1.5mJ",
            "-1J",
            "+1J",
            "1001J",
            "1kJ",
            "1MJ",
            "1nJ",
            "99999999999999999999J",
        ] {
            assert!(microjoules(wrong).unwrap_err().contains("1mJ"), "{wrong:?}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number("5000"), Ok(5000));
        assert_eq!((number("0"), positive("1")), (Ok(0), Ok(1)));
        for wrong in ["", "+1", "-1", "1.0", "1e3", "many", "4294967296", " 1", "0x10"] {
            assert!(number(wrong).is_err() && positive(wrong).is_err(), "{wrong:?}");
        }
        assert!(positive("0").is_err());
    }

    #[test]
    fn paths() {
        assert_eq!(path("fixtures/proc"), Ok(PathBuf::from("fixtures/proc")));
        assert!(path("").is_err() && path("a\0b").is_err());
        assert_eq!(url_path("/a/metrics"), Ok("/a/metrics".into()));
        for wrong in ["", "metrics", "/", "/-/healthy", "/-", "/a b", "/a?b", "/é"] {
            assert!(url_path(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(url("https://[::1]:10250/"), Ok("https://[::1]:10250".into()));
        for wrong in ["", "https://", "10.0.0.1:10250", "https:///x", "https://a b", "https://user@a"] {
            assert!(url(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(label("app.kubernetes.io/name"), Ok("app.kubernetes.io/name".into()));
        assert!(label("").is_err() && label("*").is_err() && label("a b").is_err());
        assert_eq!(name("Knoten 1"), Ok("Knoten 1".into()));
        assert!(name("").is_err() && name(" a").is_err() && name("a\nb").is_err());
    }

    #[test]
    fn watts() {
        assert_eq!(component_watts("cpu=35"), Ok((Component::Cpu, Power::from_watts(35.0))));
        assert_eq!(component_watts("dram=2.5"), Ok((Component::Dram, Power::from_watts(2.5))));
        for wrong in
            ["", "cpu", "cpu=", "=35", "cpu=-1", "cpu=NaN", "cpu=inf", "cpu=1e3", "cpu=35W", "cpu=1000001"]
        {
            assert!(component_watts(wrong).unwrap_err().contains("cpu=35"), "{wrong:?}");
        }
        assert!(component_watts("dam=1").unwrap_err().ends_with("did you mean dram?"));
    }
}
