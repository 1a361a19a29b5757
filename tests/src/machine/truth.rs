//! The truth: what every owner has cost in joules, component by component, had it been measured continuously.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a simulated node's energy is partitioned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Processor packages.
    Cpu,
    /// Main memory.
    Dram,
    /// What the whole-node meter has beyond the others.
    Other,
}

impl Component {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Dram, Self::Other];

    /// The value of the `component` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Dram => "dram",
            Self::Other => "other",
        }
    }
}

/// Joules by component.
pub type Joules = [f64; Component::ALL.len()];

/// Who is charged: `container/<namespace>/<pod>/<container>`, `unit/<unit>`, `job/<scheduler>/<id>`, `vm/<vm>`.
pub type Owner = Arc<str>;

/// Everything spent since the machine began.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The node's energy.
    pub node: Joules,
    /// What no owner caused.
    pub unattributed: Joules,
    /// What each owner caused.
    pub owners: BTreeMap<Owner, Joules>,
}

impl Truth {
    /// Charges `joules` of a component to an owner, or to nobody.
    pub fn charge(&mut self, owner: Option<&Owner>, component: Component, joules: f64) {
        self.node[component as usize] += joules;
        let account = match owner {
            Some(owner) => self.owners.entry(Arc::clone(owner)).or_default(),
            None => &mut self.unattributed,
        };
        account[component as usize] += joules;
    }

    /// What `owner` has cost of a component.
    pub fn of(&self, owner: &str, component: Component) -> f64 {
        self.owners.get(owner).map_or(0.0, |joules| joules[component as usize])
    }

    /// What all owners have cost of a component.
    pub fn owned(&self, component: Component) -> f64 {
        self.owners.values().map(|joules| joules[component as usize]).sum()
    }

    /// The truth a part of the way from here to `later`.
    pub fn toward(&self, later: &Self, part: f64) -> Self {
        self.combine(later, |a, b| a + (b - a) * part)
    }

    /// What was spent since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        earlier.combine(self, |a, b| b - a)
    }

    fn combine(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let each = |a: &Joules, b: &Joules| std::array::from_fn(|i| f(a[i], b[i]));
        let zero = Joules::default();
        let owners = other.owners.iter().map(|(owner, joules)| {
            (Arc::clone(owner), each(self.owners.get(owner).unwrap_or(&zero), joules))
        });
        Self {
            node: each(&self.node, &other.node),
            unattributed: each(&self.unattributed, &other.unattributed),
            owners: owners.collect(),
        }
    }
}
