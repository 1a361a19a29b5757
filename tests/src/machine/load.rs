//! One load on a simulated machine: who works where, how hard, and for how long.

use std::sync::Arc;

use super::truth::Owner;

/// Work in a cgroup, from its birth to its death. Times are seconds since the machine began.
#[derive(Clone, Debug)]
pub struct Load {
    /// The cgroup's path below the root, without a leading slash; empty for the root itself.
    pub path: String,
    /// Who is to be charged; `None` where no pattern recognises the path.
    pub owner: Option<Owner>,
    /// Busy processors, by socket.
    pub cpu: Vec<f64>,
    /// Bytes of its working set.
    pub memory: u64,
    /// Bytes of page cache that it does not use (`inactive_file`).
    pub cache: u64,
    /// When its cgroup is made.
    pub born: f64,
    /// When its last process ends; its cgroup goes a little later.
    pub dies: Option<f64>,
    /// It works only during the first `.1` seconds of every `.0` seconds of its life.
    pub duty: Option<(f64, f64)>,
    /// The sockets that its cpuset allows; `None` for all.
    pub sockets: Option<Vec<usize>>,
    /// `cpu.max` in processors.
    pub cpu_limit: Option<f64>,
    /// `memory.max` in bytes.
    pub memory_limit: Option<u64>,
    /// On a hybrid host, whether it has a cgroup in the unified tree alone.
    pub unified_only: bool,
}

impl Load {
    /// A load at `path` that nobody owns, there from the beginning, idle.
    pub fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            owner: None,
            cpu: Vec::new(),
            memory: 0,
            cache: 0,
            born: 0.0,
            dies: None,
            duty: None,
            sockets: None,
            cpu_limit: None,
            memory_limit: None,
            unified_only: false,
        }
    }

    /// A Docker container on a host with the cgroupfs driver; `seed` makes its id.
    pub fn docker(seed: u32) -> Self {
        let id = container_id(seed);
        Self::at(&format!("docker/{id}")).owner(&format!("container///{}", &id[..12]))
    }

    /// A container of a burstable pod whose names are not known; `pod` and `seed` make the ids.
    pub fn pod(pod: u32, seed: u32) -> Self {
        let (uid, id) = (pod_uid(pod), container_id(seed));
        let path = format!("kubepods/burstable/pod{uid}/{id}");
        Self::at(&path).owner(&format!("container//{uid}/{}", &id[..12]))
    }

    /// A systemd service.
    pub fn service(name: &str) -> Self {
        Self::at(&format!("system.slice/{name}.service")).owner(&format!("unit/{name}.service"))
    }

    /// The owner, as [`Owner`] spells it.
    pub fn owner(mut self, owner: &str) -> Self {
        self.owner = Some(Arc::from(owner));
        self
    }

    /// The busy processors, by socket.
    pub fn cpu(mut self, by_socket: &[f64]) -> Self {
        self.cpu = by_socket.to_vec();
        self
    }

    /// The working set, in GiB.
    pub fn memory(mut self, gib: f64) -> Self {
        self.memory = (gib * f64::from(1 << 30)) as u64;
        self
    }

    /// Idle page cache, in GiB.
    pub fn cache(mut self, gib: f64) -> Self {
        self.cache = (gib * f64::from(1 << 30)) as u64;
        self
    }

    /// Its life.
    pub fn lives(mut self, from: f64, until: f64) -> Self {
        (self.born, self.dies) = (from, Some(until));
        self
    }

    /// Born at `from`, and there to stay.
    pub fn from(mut self, from: f64) -> Self {
        self.born = from;
        self
    }

    /// It works only during the first `on` seconds of every `period`.
    pub fn duty(mut self, period: f64, on: f64) -> Self {
        self.duty = Some((period, on));
        self
    }

    /// Its cpuset.
    pub fn sockets(mut self, sockets: &[usize]) -> Self {
        self.sockets = Some(sockets.to_vec());
        self
    }

    /// What its limits reserve: processors, and GiB of memory.
    pub fn limits(mut self, cpus: f64, gib: f64) -> Self {
        (self.cpu_limit, self.memory_limit) = (Some(cpus), Some((gib * f64::from(1 << 30)) as u64));
        self
    }

    /// A cgroup in the unified tree alone.
    pub fn unified_only(mut self) -> Self {
        self.unified_only = true;
        self
    }

    /// How many processors of `socket` it keeps busy at `moment`, while it lives.
    pub fn busy(&self, socket: usize, moment: f64) -> f64 {
        let rate = self.cpu.get(socket).copied().unwrap_or(0.0);
        let on = self.duty.is_none_or(|(period, on)| (moment - self.born).rem_euclid(period) < on);
        if on { rate } else { 0.0 }
    }

    /// When within its life, after `moment`, it next starts or stops working.
    pub fn next_switch(&self, moment: f64) -> Option<f64> {
        let (period, on) = self.duty?;
        let age = moment - self.born;
        // A moment that is a switch itself may have been rounded to just before it.
        let start = ((age + 1e-6) / period).floor() * period;
        [start + on, start + period].into_iter().map(|at| self.born + at).find(|at| *at > moment + 1e-6)
    }
}

/// 64 hexadecimal digits whose first twelve already tell seeds apart.
pub fn container_id(seed: u32) -> String {
    format!("{seed:08x}c0ffee{:050x}", u128::from(seed) * 0x9e37_79b9_7f4a_7c15)
}

/// A pod's uid.
pub fn pod_uid(seed: u32) -> String {
    format!("{seed:08x}-1b2c-4d3e-8f90-{:012x}", u64::from(seed) + 0xabc)
}
