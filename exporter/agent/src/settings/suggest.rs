//! The nearest right name for a wrong one.

/// Below this likeness a guess misleads more than it helps.
const LEAST_LIKENESS: f64 = 0.45;

/// The name nearest to `wrong`, where one is near: few letters have to change.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(wrong, name);
    let best = names.map(|name| (likeness(name), name)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= LEAST_LIKENESS).map(|(_, name)| name)
}

/// The end of a sentence on a name that is not known: the nearest, which is named even where it is far.
pub(super) fn hint<'a>(wrong: &str, prefix: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(wrong, names.clone()) {
        return format!("; did you mean {prefix}{name}?");
    }
    // Where nothing is a slip of the pen away, a common beginning (`web.port`) says most.
    let likeness = |name: &str| strsim::jaro_winkler(wrong, name);
    let farther = names.map(|name| (likeness(name), name)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    farther
        .map(|(_, name)| format!("; the nearest is {prefix}{name}, noether --help has all"))
        .unwrap_or_default()
}

/// The end of a sentence that names the nearest, or nothing.
pub(crate) fn clause<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
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
        assert_eq!(hint("workload.maks", "--", names()), "; did you mean --workload.max?");
        assert_eq!(hint("web.p", "", names()), "; the nearest is web.listen-address, noether --help has all");
        assert_eq!(hint("", "", std::iter::empty()), "");
    }
}
