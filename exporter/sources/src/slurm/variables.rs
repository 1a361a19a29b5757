//! Assignments to variables, as `env` and `environ` have them: those of them that are of use here.

use std::collections::BTreeMap;

/// So much of an environment is read.
pub(super) const LONGEST_ENVIRONMENT: u64 = 1 << 20;

/// So many components has a heterogeneous job at most.
///
/// <https://github.com/SchedMD/slurm/blob/master/slurm/slurm.h.in> (`MAX_HET_JOB_COMPS`)
pub(super) const MOST_COMPONENTS: usize = 128;

const OF_COMPONENT: &str = "_HET_GROUP_";

/// Names that are of use, also with a component's place behind them.
const WANTED: [&str; 14] = [
    "SLURMD_NODENAME",
    "SLURM_HET_JOB_OFFSET",
    "SLURM_JOB_ACCOUNT",
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_SLUID",
    "SLURM_JOB_UID",
    "SLURM_JOB_USER",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_STEP_ID",
    "SLURM_STEP_NUM_TASKS",
];

/// The variable that has a component's own value.
pub(super) fn of_component(variable: &str, place: usize) -> String {
    format!("{variable}{OF_COMPONENT}{place}")
}

/// Variables with their values. No more than are of use, however many a process has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, Vec<u8>>);

impl Variables {
    /// Lines; or, where there is a zero byte, what zero bytes end (`env -0`), so that values may have several lines.
    pub(crate) fn of_file(content: &[u8]) -> Self {
        let separator = if content.contains(&0) { 0 } else { b'\n' };
        Self::parsed(content, separator)
    }

    /// What `environ` has.
    pub(crate) fn of_process(content: &[u8]) -> Self {
        if (content.len() as u64) < LONGEST_ENVIRONMENT {
            return Self::parsed(content, 0);
        }
        // Where the end was cut off, the last one is no whole one.
        let whole = content.iter().rposition(|byte| *byte == 0).and_then(|end| content.get(..end));
        Self::parsed(whole.unwrap_or_default(), 0)
    }

    fn parsed(content: &[u8], separator: u8) -> Self {
        let mut values = BTreeMap::new();
        for entry in content.split(|byte| *byte == separator) {
            let mut parts = entry.splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
            if let Some(name) = str::from_utf8(name).ok().filter(|name| is_wanted(name)) {
                // What was said first counts, so that a line that somebody smuggled in behind counts for nothing.
                values.entry(name.to_owned()).or_insert_with(|| value.trim_ascii().to_vec());
            }
        }
        Self(values)
    }

    /// Its value.
    pub(super) fn of(&self, variable: &str) -> Option<&[u8]> {
        self.0.get(variable).map(Vec::as_slice)
    }

    /// Its value, where that is text.
    pub(super) fn text(&self, variable: &str) -> Option<&str> {
        str::from_utf8(self.of(variable)?).ok()
    }

    /// Its value, where that is a whole number.
    pub(super) fn number(&self, variable: &str) -> Option<u64> {
        crate::file::number(self.of(variable)?)
    }

    /// The same as the component at this place has them: its own values where there are any.
    #[must_use]
    pub(super) fn narrowed_to(mut self, place: usize) -> Self {
        // Only the leader's is without a place.
        if place > 0 {
            self.0.remove("SLURM_JOB_SLUID");
        }
        for variable in WANTED {
            if let Some(own) = self.0.get(&of_component(variable, place)).cloned() {
                self.0.insert(variable.to_owned(), own);
            }
        }
        self
    }
}

fn is_wanted(name: &str) -> bool {
    let base = match name.split_once(OF_COMPONENT) {
        Some((base, place)) if place.parse().is_ok_and(|place: usize| place < MOST_COMPONENTS) => base,
        Some(_) => return false,
        None => name,
    };
    WANTED.binary_search(&base).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_first_counts() {
        let lines = Variables::of_file(b"X=1\nSLURM_JOB_USER=ada\nSLURM_JOB_NAME=x\nSLURM_JOB_USER=eve");
        assert_eq!(lines.of("SLURM_JOB_USER"), Some(&b"ada"[..]));
        let zeros = Variables::of_file(b"SLURM_JOB_NAME=x\nSLURM_JOB_USER=eve\0SLURM_JOB_USER=ada\0");
        assert_eq!(zeros.of("SLURM_JOB_USER"), Some(&b"ada"[..]));
        assert_eq!((zeros.of("SLURM_JOB"), zeros.of("")), (None, None));
        let mut long = b"SLURM_JOB_ID=42\0SLURM_JOB_USER=".to_vec();
        long.resize(LONGEST_ENVIRONMENT as usize, b'a');
        let long = Variables::of_process(&long);
        assert_eq!((long.of("SLURM_JOB_ID"), long.of("SLURM_JOB_USER")), (Some(&b"42"[..]), None));
    }

    #[test]
    fn no_more_is_kept_than_can_be_of_use() {
        assert!(WANTED.is_sorted());
        let mut content = Vec::new();
        for place in 0..40_000 {
            content.extend(format!("SLURM_JOB_NAME_HET_GROUP_{place}=x\0SLURM_{place}=x\0").into_bytes());
        }
        let variables = Variables::of_process(&content);
        assert_eq!(variables.0.len(), MOST_COMPONENTS);
        let odd = b"SLURM_JOB_ID_HET_GROUP_=1\0SLURM_JOB_ID_HET_GROUP_-1=1\0SLURM_JOB_ID_HET_GROUP_1x=1";
        assert!(Variables::of_process(odd).0.is_empty());
    }

    #[test]
    fn a_component_has_its_own_values_and_shares_the_rest() {
        let content = "SLURM_JOB_ID=1\0SLURM_JOB_ID_HET_GROUP_1=2\0SLURM_JOB_NAME=a\0\
                       SLURM_JOB_NAME_HET_GROUP_0=a\0SLURM_JOB_NAME_HET_GROUP_1=b\0SLURM_JOB_USER=ada\0\
                       SLURM_JOB_SLUID=s5K1KKYAYG5D00";
        let all = Variables::of_process(content.as_bytes());
        let of = |place: usize| {
            let own = all.clone().narrowed_to(place);
            ["SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_USER", "SLURM_JOB_SLUID"]
                .map(|variable| own.text(variable).unwrap_or("").to_owned())
        };
        assert_eq!(of(0), ["1", "a", "ada", "s5K1KKYAYG5D00"]);
        assert_eq!(of(1), ["2", "b", "ada", ""]);
    }
}
