//! The levels that the rules record: each container, pod, workload, namespace, job, user, account, unit, VM and node.

use std::collections::BTreeMap;
use std::sync::Arc;

use noether_core::workload::{Family, Info};

use crate::draw::{Draw, Parts, add};
use crate::grid::{USD_PER_KWH, USD_PER_TONNE};
use crate::world::World;

pub(crate) const CLUSTER: &str = "lab";
pub(crate) const COMPONENTS: [&str; 4] = ["cpu", "dram", "gpu", "other"];

/// What was used in some time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amount {
    /// At the meter.
    pub(crate) joules: Parts,
    /// Times PUE.
    pub(crate) facility: f64,
    pub(crate) grams: f64,
}

impl Amount {
    /// Adds another.
    pub(crate) fn add(&mut self, other: &Self) {
        add(&mut self.joules, &other.joules);
        self.facility += other.facility;
        self.grams += other.grams;
    }

    /// US dollars, of the energy and of its emissions.
    pub(crate) fn dollars(&self) -> [f64; 2] {
        [self.facility / 3.6e6 * USD_PER_KWH, self.grams / 1e6 * USD_PER_TONNE]
    }
}

/// One series' worth of a level.
#[derive(Debug)]
pub(crate) struct Level {
    /// As in the names of the rules; `unattributed` is none of them.
    pub(crate) name: &'static str,
    pub(crate) labels: Vec<(&'static str, Arc<str>)>,
    /// Which components it has.
    pub(crate) has: [bool; 4],
}

impl Level {
    /// `{cluster="…",namespace="…"` without the end, for labels that follow.
    pub(crate) fn head(&self) -> String {
        let filled = self.labels.iter().filter(|(_, value)| !value.is_empty());
        let labels = filled.map(|(name, value)| format!(",{name}=\"{value}\""));
        format!("{{cluster=\"{CLUSTER}\"{}", labels.collect::<String>())
    }
}

/// All levels of a world, and to which of them each draw adds.
#[derive(Debug)]
pub(crate) struct Levels {
    pub(crate) list: Vec<Level>,
    pub(crate) of_draw: Vec<Vec<usize>>,
    places: BTreeMap<Name, usize>,
}

impl Levels {
    /// Of everything that ever lives there.
    pub(crate) fn new(world: &World) -> Self {
        let mut levels = Self { list: Vec::new(), of_draw: Vec::new(), places: BTreeMap::new() };
        let owners = owners(world);
        for draw in &world.draws {
            let has = world.nodes[draw.node].has;
            let mine = names(world, draw, &owners)
                .into_iter()
                .map(|(name, labels)| levels.place(name, labels, has))
                .collect();
            levels.of_draw.push(mine);
        }
        levels
    }

    /// Where a level of these labels stands.
    pub(crate) fn find(&self, name: &'static str, labels: &[(&'static str, Arc<str>)]) -> Option<usize> {
        self.places.get(&(name, labels.to_vec())).copied()
    }

    fn place(&mut self, name: &'static str, labels: Vec<(&'static str, Arc<str>)>, has: [bool; 4]) -> usize {
        let next = self.list.len();
        let place = *self.places.entry((name, labels.clone())).or_insert(next);
        if place == next {
            self.list.push(Level { name, labels, has });
        } else {
            self.list[place].has.iter_mut().zip(has).for_each(|(all, one)| *all |= one);
        }
        place
    }
}

type Owners = BTreeMap<(Arc<str>, Arc<str>), [Arc<str>; 2]>;

/// Kind and name of each pod's workload.
fn owners(world: &World) -> Owners {
    let mut owners = Owners::new();
    for draw in &world.draws {
        let Some(key) = draw.key.as_ref().filter(|key| key.family == Family::Container) else { continue };
        if let Some(kind) = value(&draw.info, "workload_kind") {
            let workload = value(&draw.info, "workload").expect("a kind has a name");
            owners.insert((Arc::clone(&key.values[0]), Arc::clone(&key.values[1])), [kind, workload]);
        }
    }
    owners
}

fn value(info: &Info, name: &str) -> Option<Arc<str>> {
    info.iter().find(|(label, _)| *label == name).map(|(_, value)| Arc::clone(value))
}

type Name = (&'static str, Vec<(&'static str, Arc<str>)>);

fn names(world: &World, draw: &Draw, owners: &Owners) -> Vec<Name> {
    let node = ("node", Arc::from(world.nodes[draw.node].name.as_str()));
    let mut names: Vec<Name> = vec![("node", vec![node.clone()]), ("cluster", Vec::new())];
    let Some(key) = &draw.key else {
        names.push(("unattributed", vec![node]));
        return names;
    };
    let own = key.family.labels().iter().copied().zip(key.values.iter().cloned());
    let own: Vec<_> = own.collect();
    let on_node: Vec<_> = [node].into_iter().chain(own.clone()).collect();
    match key.family {
        Family::Container => {
            names.push(("container", on_node));
            let (namespace, pod) = (own[0].clone(), own[1].clone());
            if pod.1.is_empty() {
                return names;
            }
            if let Some([kind, workload]) = owners.get(&(Arc::clone(&namespace.1), Arc::clone(&pod.1))) {
                let labels = [("workload_kind", Arc::clone(kind)), ("workload", Arc::clone(workload))];
                names.push(("workload", [namespace.clone()].into_iter().chain(labels).collect()));
            }
            names.push(("pod", vec![namespace.clone(), pod]));
            names.push(("namespace", vec![namespace]));
        }
        Family::Job => {
            names.push(("job_node", on_node));
            names.push(("job", own));
            if let Some(user) = value(&draw.info, "user").or_else(|| value(&draw.info, "user_id")) {
                names.push(("user", vec![("user", user)]));
            }
            if let Some(account) = value(&draw.info, "account") {
                names.push(("account", vec![("account", account)]));
            }
        }
        Family::Unit => names.push(("unit", on_node)),
        Family::Vm => names.push(("vm", on_node)),
    }
    names
}
