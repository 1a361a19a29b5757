//! A scrape, read exactly: families, samples, energies in whole microjoules; and the law that they must obey.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The sample's name: the family's, with `_bucket`, `_sum` or `_count` for histograms.
    pub name: String,
    /// The labels, unescaped, in the order of the text.
    pub labels: Vec<(String, String)>,
    /// The value as it was written.
    pub text: String,
}

impl Sample {
    /// The value of a label; empty where it is not there.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// The value.
    pub fn value(&self) -> f64 {
        number(&self.text).expect("checked when it was parsed")
    }

    /// The value in millionths, exactly.
    pub fn micro(&self) -> Result<i128, Violation> {
        micro(&self.text).ok_or_else(|| Violation(format!("{self}: not a number with exactly six decimals")))
    }

    fn series(&self) -> (String, BTreeSet<(String, String)>) {
        (self.name.clone(), self.labels.iter().cloned().collect())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> =
            self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{}{{{}}} {}", self.name, labels.join(","), self.text)
    }
}

/// A metric family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Its HELP.
    pub help: String,
    /// Its TYPE.
    pub kind: String,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// A whole scrape in the text format 0.0.4.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The families, in the order of the text.
    pub families: Vec<Family>,
    /// The text itself.
    pub text: String,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The families that the law sums: name, what the owner is called, and its labels.
const WORKLOADS: [(&str, &str, &[&str]); 4] = [
    ("noether_container_energy_joules_total", "container", &["namespace", "pod", "container"]),
    ("noether_job_energy_joules_total", "job", &["scheduler", "job_id"]),
    ("noether_unit_energy_joules_total", "unit", &["unit"]),
    ("noether_vm_energy_joules_total", "vm", &["vm"]),
];

/// The energies of one component, in microjoules, active and idle together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The node's.
    pub node: i128,
    /// What nobody caused.
    pub unattributed: i128,
    /// What is held back.
    pub pending: i128,
    /// What belongs to series no longer shown.
    pub retired: i128,
    /// What each owner caused; the owners as in [`crate::machine::truth::Owner`].
    pub owners: BTreeMap<String, i128>,
}

impl Account {
    /// What all owners caused.
    pub fn owned(&self) -> i128 {
        self.owners.values().sum()
    }
}

impl Scrape {
    /// Reads the text, and refuses whatever a careful reader of the format would refuse.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let mut families: Vec<Family> = Vec::new();
        if !text.ends_with('\n') {
            return Err(Violation("the text does not end with a newline".to_owned()));
        }
        for (index, line) in text.lines().enumerate() {
            take(&mut families, line)
                .map_err(|error| Violation(format!("line {}: {error}: {line}", index + 1)))?;
        }
        let scrape = Self { families, text: text.to_owned() };
        scrape.check()?;
        Ok(scrape)
    }

    /// A family; `None` where the scrape has none of that name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The samples of this name.
    pub fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples).filter(move |sample| sample.name == name)
    }

    /// The one value of this name whose labels include these.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| labels.iter().all(|(name, value)| sample.label(name) == *value);
        let mut found = self.samples(name).filter(fits);
        let value = found.next().map(Sample::value);
        assert!(found.next().is_none(), "{name}{labels:?} is no single series:\n{}", self.text);
        value
    }

    /// The components of the node's energy.
    pub fn components(&self) -> BTreeSet<String> {
        self.samples("noether_node_energy_joules_total").map(|s| s.label("component").to_owned()).collect()
    }

    /// The energies of a component.
    pub fn account(&self, component: &str) -> Result<Account, Violation> {
        let sum = |name: &str| -> Result<i128, Violation> {
            self.samples(name).filter(|s| s.label("component") == component).map(Sample::micro).sum()
        };
        let mut owners = BTreeMap::new();
        for (family, kind, labels) in WORKLOADS {
            for sample in self.samples(family).filter(|s| s.label("component") == component) {
                let identity: Vec<&str> = labels.iter().map(|label| sample.label(label)).collect();
                *owners.entry(format!("{kind}/{}", identity.join("/"))).or_default() += sample.micro()?;
            }
        }
        Ok(Account {
            node: sum("noether_node_energy_joules_total")?,
            unattributed: sum("noether_unattributed_energy_joules_total")?,
            pending: sum("noether_pending_energy_joules")?,
            retired: sum("noether_retired_energy_joules")?,
            owners,
        })
    }

    /// Joules of a component that `owner` caused, as far as they are shown.
    pub fn joules(&self, owner: &str, component: &str) -> f64 {
        let account = self.account(component).unwrap_or_else(|violation| panic!("{violation}"));
        account.owners.get(owner).map_or(0.0, |micro| *micro as f64 / 1e6)
    }

    /// When the shown tick was, as Unix time.
    pub fn ticked(&self) -> f64 {
        self.value("noether_last_tick_timestamp_seconds", &[]).unwrap_or(0.0)
    }

    fn check(&self) -> Result<(), Violation> {
        let mut seen = BTreeSet::new();
        for family in &self.families {
            let complain = |what: &str| Err(Violation(format!("{}: {what}", family.name)));
            if family.help.is_empty() || family.kind.is_empty() {
                return complain("no HELP or no TYPE");
            }
            if (family.kind == "counter") != family.name.ends_with("_total") {
                return complain("counters end in _total, and nothing else does");
            }
            if family.samples.is_empty() {
                return complain("a family without samples");
            }
            for sample in &family.samples {
                if !seen.insert(sample.series()) {
                    return Err(Violation(format!("{sample}: doubled series")));
                }
            }
        }
        Ok(())
    }
}

/// The law: for each component, what is charged, unattributed, pending and retired is the node's energy, to the microjoule.
pub fn law(scrape: &Scrape) -> Result<(), Violation> {
    let families = WORKLOADS.iter().map(|(family, ..)| *family).chain([
        "noether_node_energy_joules_total",
        "noether_unattributed_energy_joules_total",
        "noether_pending_energy_joules",
        "noether_retired_energy_joules",
    ]);
    let components: BTreeSet<&str> =
        families.flat_map(|family| scrape.samples(family)).map(|sample| sample.label("component")).collect();
    for component in components {
        let account = scrape.account(component)?;
        let parts = account.owned() + account.unattributed + account.pending + account.retired;
        if parts != account.node {
            return Err(Violation(format!(
                "{component}: the parts are {parts} µJ, the node has {} µJ: {} µJ apart; {account:?}",
                account.node,
                account.node - parts
            )));
        }
        let all = [account.node, account.unattributed, account.pending, account.retired];
        if all.iter().chain(account.owners.values()).any(|micro| *micro < 0) {
            return Err(Violation(format!("{component}: negative energy: {account:?}")));
        }
    }
    Ok(())
}

/// No counter falls from one scrape of a running exporter to the next. A series may end, and a label set that comes back
/// starts at 0: that is for the caller to leave out.
pub fn monotone(before: &Scrape, after: &Scrape) -> Result<(), Violation> {
    let values = |scrape: &Scrape| -> BTreeMap<_, f64> {
        let rising = scrape.families.iter().filter(|f| f.kind == "counter" || f.kind == "histogram");
        let samples = rising.flat_map(|family| &family.samples);
        samples.filter(|s| !s.name.ends_with("_sum")).map(|s| (s.series(), s.value())).collect()
    };
    let earlier = values(before);
    for (series, value) in values(after) {
        if let Some(old) = earlier.get(&series).filter(|old| **old > value) {
            return Err(Violation(format!("{series:?} fell from {old} to {value}")));
        }
    }
    Ok(())
}

/// Adds a line to the family that is being read.
fn take(families: &mut Vec<Family>, line: &str) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("# HELP ") {
        let (name, help) = rest.split_once(' ').ok_or("HELP without text")?;
        if families.iter().any(|family| family.name == name) {
            return Err("a second HELP, or a family in pieces".to_owned());
        }
        families.push(Family { name: name.to_owned(), help: help.to_owned(), ..Family::default() });
        return Ok(());
    }
    let family = families.last_mut().ok_or("a line before the first HELP")?;
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        let (name, kind) = rest.split_once(' ').ok_or("TYPE without a type")?;
        if name != family.name || !family.kind.is_empty() || !family.samples.is_empty() {
            return Err("TYPE does not follow its HELP".to_owned());
        }
        if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
            return Err("no type of this format".to_owned());
        }
        kind.clone_into(&mut family.kind);
        return Ok(());
    }
    if line.is_empty() || line.starts_with('#') {
        return Err("neither HELP, TYPE nor a sample".to_owned());
    }
    let sample = sample(line)?;
    let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    let suffix = sample.name.strip_prefix(family.name.as_str());
    if !suffix.is_some_and(|suffix| suffixes.contains(&suffix)) {
        return Err(format!("a sample among those of {}", family.name));
    }
    family.samples.push(sample);
    Ok(())
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err("not a metric name".to_owned());
    }
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        (labels, rest) = label_set(inside)?;
    }
    let text = rest.strip_prefix(' ').ok_or("no single space before the value")?;
    if text.contains(' ') {
        return Err("an explicit timestamp, or a second space".to_owned());
    }
    number(text).ok_or("not a number")?;
    Ok(Sample { name: name.to_owned(), labels, text: text.to_owned() })
}

/// Labels, the rest of the line after the closing brace.
type Labels<'a> = (Vec<(String, String)>, &'a str);

fn label_set(mut rest: &str) -> Result<Labels<'_>, String> {
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once("=\"").ok_or("a label without a quoted value")?;
        if !is_name(name) || name.contains(':') {
            return Err(format!("{name:?} is no label name"));
        }
        if labels.iter().any(|(other, _)| other == name) {
            return Err(format!("label {name} twice"));
        }
        let (value, after) = quoted(after)?;
        labels.push((name.to_owned(), value));
        rest = match after.strip_prefix(',') {
            Some(more) => more,
            None if after.starts_with('}') => after,
            None => return Err("labels are parted by commas".to_owned()),
        };
    }
}

/// The unescaped value up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => return Err(format!("{other:?} after a backslash")),
            }),
            c => value.push(c),
        }
    }
    Err("no closing quote".to_owned())
}

fn is_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(start) && name.chars().all(|c| start(c) || c.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
        _ => None,
    }
}

fn micro(text: &str) -> Option<i128> {
    let (whole, decimals) = text.split_once('.')?;
    (decimals.len() == 6).then(|| format!("{whole}{decimals}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(container: &str, pending: &str) -> String {
        format!(
            "# HELP noether_node_energy_joules_total Energy.\n\
             # TYPE noether_node_energy_joules_total counter\n\
             noether_node_energy_joules_total{{component=\"cpu\",mode=\"active\"}} 262143.328850\n\
             noether_node_energy_joules_total{{component=\"cpu\",mode=\"idle\"}} 0.000001\n\
             # HELP noether_container_energy_joules_total Energy.\n\
             # TYPE noether_container_energy_joules_total counter\n\
             noether_container_energy_joules_total{{namespace=\"\",pod=\"\",container=\"a\\\\\\\"\\n\",component=\"cpu\",mode=\"active\"}} {container}\n\
             # HELP noether_pending_energy_joules Held.\n\
             # TYPE noether_pending_energy_joules gauge\n\
             noether_pending_energy_joules{{component=\"cpu\"}} {pending}\n"
        )
    }

    #[test]
    fn the_law_is_exact() {
        let lawful = Scrape::parse(&text("262143.328850", "0.000001")).unwrap();
        assert_eq!(law(&lawful), Ok(()));
        assert_eq!(lawful.account("cpu").unwrap().owners["container///a\\\"\n"], 262_143_328_850);
        let broken = Scrape::parse(&text("262143.328850", "0.000002")).unwrap();
        assert!(law(&broken).unwrap_err().0.contains("-1 µJ apart"), "{:?}", law(&broken));
        let rounded = Scrape::parse(&text("262143.3288", "0.000001")).unwrap();
        assert!(law(&rounded).unwrap_err().0.contains("six decimals"));
        let negative = Scrape::parse(&text("262143.328852", "-0.000001")).unwrap();
        assert!(law(&negative).unwrap_err().0.contains("negative"));
    }

    #[test]
    fn counters_do_not_fall() {
        let scrapes = ["1.000000", "2.000000"].map(|value| Scrape::parse(&text(value, "0.000000")).unwrap());
        assert_eq!(monotone(&scrapes[0], &scrapes[1]), Ok(()));
        assert!(monotone(&scrapes[1], &scrapes[0]).unwrap_err().0.contains("fell from 2 to 1"));
    }

    #[test]
    fn malformed_texts() {
        let head = "# HELP a_total A.\n# TYPE a_total counter\n";
        let cases = [
            ("a_total 1\na_total 1\n", "doubled"),
            ("a_total{x=\"1\",y=\"2\"} 1\na_total{y=\"2\",x=\"1\"} 1\n", "doubled"),
            ("a_total{x=\"1\",x=\"2\"} 1\n", "twice"),
            ("b_total 1\n", "among those of a_total"),
            ("a_total 1 1700000000\n", "timestamp"),
            ("a_total one\n", "not a number"),
            ("a_total{x=\"\\t\"} 1\n", "backslash"),
            ("a_total{x=\"1} 1\n", "quote"),
            ("\n", "neither"),
            ("", "without samples"),
            ("a_total 1", "newline"),
            ("a_total 1\n# TYPE a_total counter\n", "TYPE does not follow"),
            ("a_total 1\n# HELP b B.\n# TYPE b counter\nb 1\n", "_total"),
            ("a_total 1\n# HELP b_total B.\n# TYPE b_total gauge\nb_total 1\n", "_total"),
            ("a_total 1\n# HELP b B.\nb 1\n", "no TYPE"),
            ("a_total 1\n# HELP b B.\n# TYPE b gauge\nb 1\n# HELP a_total A.\n", "in pieces"),
        ];
        for (body, expected) in cases {
            let error = Scrape::parse(&format!("{head}{body}")).unwrap_err();
            assert!(error.0.contains(expected), "{body:?}: {error}");
        }
        assert!(Scrape::parse(&format!("{head}a_total{{x=\"1\",}} 1e3\n")).is_ok());
    }

    #[test]
    fn histograms_are_one_family() {
        let text = "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.5\nh_count 2\n";
        let scrape = Scrape::parse(text).unwrap();
        assert_eq!(scrape.value("h_count", &[]), Some(2.0));
        assert!(Scrape::parse(&text.replace("h_sum", "h")).is_err());
    }
}
