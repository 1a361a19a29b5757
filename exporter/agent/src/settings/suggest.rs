//! The nearest right name for a wrong one.

/// Below this likeness a guess misleads more than it helps.
const LEAST_LIKENESS: f64 = 0.45;

/// The name nearest to `wrong`, where one is near.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(wrong, name);
    let best = names.map(|name| (likeness(name), name)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= LEAST_LIKENESS).map(|(_, name)| name)
}

/// The end of a sentence that names the nearest, or nothing.
pub(super) fn clause<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    nearest(wrong, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = || ["web.listen-address", "sample.interval", "workload.max"].into_iter();
        assert_eq!(nearest("web.listen-adress", names()), Some("web.listen-address"));
        assert_eq!(nearest("listen-address", names()), Some("web.listen-address"));
        assert_eq!(nearest("interval", names()), Some("sample.interval"));
        assert_eq!(nearest("xyzzy", names()), None);
        assert_eq!(nearest("", names()), None);
        assert_eq!(clause("workload.maks", names()), "; did you mean workload.max?");
    }
}
