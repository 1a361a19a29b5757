//! Accelerators: what one look at a device gave besides its energy, and by what its energy is split.

mod claims;
mod engines;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use claims::{Claims, Devices};

use crate::granularity::Granularity;
use crate::reading::{Domain, Moment};
use crate::units::Power;
use crate::workload::Workload;

/// What a device is, as it does not change: the labels of its info series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The domain of its energy.
    pub domain: Arc<Domain>,
    /// The `gpu` label: its number, or the name of its folder.
    pub gpu: Arc<str>,
    /// Its place among the devices of its meter at present.
    pub index: u32,
    /// The id that stays with it wherever it is plugged in, where it has one; else its PCI address.
    pub uuid: Arc<str>,
    /// The model, as the driver calls it.
    pub model: Arc<str>,
    /// The driver, with its version where it has one of its own.
    pub driver: Arc<str>,
    /// The PCI address, as `0000:3b:00.0`; empty for what is not on PCI.
    pub pci: Arc<str>,
    /// The number of its device file, where its driver gives it one of its own: `/dev/nvidia0`.
    pub minor: Option<u32>,
}

/// What is measured of a device besides its energy; `None` where it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Power now.
    pub power: Option<Power>,
    /// Power, averaged by the device over about a second.
    pub average_power: Option<Power>,
    /// The limit that holds.
    pub power_limit: Option<Power>,
    /// The part of the time in which anything ran, 0 to 1.
    pub utilisation: Option<f64>,
    /// The part of the time in which the busiest of its other engines worked (encoder, decoder), 0 to 1. It is not shown: it
    /// decides whether the device was idle.
    pub engines: Option<f64>,
    /// The part of the time in which memory was read or written, 0 to 1.
    pub memory_utilisation: Option<f64>,
    /// Memory, used and all, in bytes.
    pub memory: Option<(u64, u64)>,
    /// In degrees Celsius.
    pub temperature: Option<f64>,
    /// The clock of its processors, in hertz.
    pub clock: Option<u64>,
    /// The clock of its memory, in hertz.
    pub memory_clock: Option<u64>,
    /// Whether the kernel has suspended it to save power: nothing was read of it, which would resume it.
    pub suspended: bool,
}

/// One look at a device: what it was used for since the look before.
#[derive(Clone, Debug)]
pub struct Look {
    /// Which device.
    pub device: Arc<Device>,
    /// When.
    pub at: Moment,
    /// How much time it tells of.
    pub time: Duration,
    /// What was measured.
    pub gauges: Gauges,
    /// How many slices the device could be cut into; 0 where it is whole.
    pub slices: u32,
    /// Its instances: one for a whole device.
    pub instances: Vec<Instance>,
    /// What the processes' times are, where they are known.
    pub clock: Clock,
}

/// What a process's time on a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Samples of the utilisation of the device's processors, times the time between them.
    #[default]
    Sm,
    /// Time on the device's engines, as the kernel counts it.
    Engines,
}

/// A device, or a part of one that works on its own (MIG).
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// Its id; empty for a whole device.
    pub uuid: Arc<str>,
    /// Its profile, as `1g.5gb`; empty for a whole device.
    pub profile: Arc<str>,
    /// How many slices of the device it has.
    pub slices: u32,
    /// Its own utilisation, 0 to 1, where it is known.
    pub utilisation: Option<f64>,
    /// Memory, used and all, in bytes.
    pub memory: Option<(u64, u64)>,
    /// Who ran there.
    pub processes: Vec<Process>,
    /// The time in which it was busy and no reported time explains why, in µs. It goes to the processes whose work is not
    /// reported.
    pub unexplained: u64,
}

/// That a device, or a part of one, was given to a workload, whether or not it uses it. Several may hold one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// What was given.
    pub device: Name,
    /// To whom.
    pub holder: Arc<Workload>,
    /// Who says so.
    pub by: Authority,
}

/// Who tells of holders, the nearest to the truth first. Of one device, only what the nearest says counts: what stands in an
/// environment may have come with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// The kubelet, which gives devices away.
    Kubelet,
    /// Slurm, which does.
    Slurm,
    /// What the kernel lets a container open.
    DeviceCgroup,
    /// What a container's environment asks its runtime for.
    Environment,
    /// The kubelet, of a pod that only keeps a device for others, which share it.
    Reservation,
}

/// How schedulers and runtimes name devices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Every device.
    All,
    /// By its place among the devices.
    Index(u32),
    /// An instance by the device's place and its own.
    Instance(u32, u32),
    /// By the id of a device, or of an instance.
    Uuid(Arc<str>),
    /// By the number of its device file; of a device in instances that says nothing.
    Minor(u32),
    /// By the number at the end of its device file's name: that, or for want of one its place among the cards, whose render
    /// nodes count from 128 on.
    File(u32),
    /// By its PCI address.
    Pci(Arc<str>),
    /// By the name of its folder, as `card1`.
    Card(Arc<str>),
    /// All instances of the device with this number whose profile is so, without its dots: `1g5gb`, or `1g` whatever the
    /// memory; with `-me` behind it where the instance has the media engines (`1g.5gb+me`).
    Profile(u32, Arc<str>),
}

/// <https://docs.kernel.org/gpu/drm-uapi.html#render-nodes>
const RENDER_NODES: u32 = 128;

impl Name {
    /// Whether it names this instance of the look's device, or the device itself.
    pub(crate) fn covers(&self, look: &Look, place: usize, instance: &Instance) -> bool {
        let device = &look.device;
        match self {
            Self::All => true,
            Self::Index(index) => *index == device.index,
            Self::Instance(index, own) => *index == device.index && u32::try_from(place) == Ok(*own),
            Self::Uuid(uuid) => *uuid == device.uuid || *uuid == instance.uuid,
            Self::Minor(minor) => device.minor == Some(*minor) && look.slices == 0,
            Self::File(number) => match device.minor {
                Some(minor) => minor == *number,
                None => [Some(*number), number.checked_sub(RENDER_NODES)].contains(&Some(device.index)),
            },
            Self::Pci(address) => *address == device.pci,
            Self::Card(name) => *name == device.gpu,
            Self::Profile(minor, profile) => device.minor == Some(*minor) && instance.is_of(profile),
        }
    }
}

/// A process on a device.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The workload that it belongs to; `None` for one that belongs to none.
    pub owner: Option<Arc<Workload>>,
    /// Its time on the device since the look before, in µs; `None` where the device does not tell times.
    pub time: Option<u64>,
    /// Memory of the device that it holds, in bytes.
    pub memory: Option<u64>,
    /// Whether it may do work that its time does not hold.
    pub unreported: UnreportedWork,
}

/// Work of a process that the kernel does not report as time: that of AMD's compute interface (ROCm), and all work under
/// older kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnreportedWork {
    /// Its time is all that it does.
    #[default]
    No,
    /// It may work unseen.
    Possible,
    /// It occupies this many of the device's compute units now.
    Occupies(u32),
}

/// By what the energy of a device was split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// By its processors' time.
    SmTime,
    /// By the time of its engines.
    EngineTime,
    /// By the compute units that processes occupied.
    ComputeUnits,
    /// By the memory that processes held.
    Memory,
    /// In equal parts.
    Equal,
    /// By instances: slices × utilisation.
    MigUtilisation,
    /// By instances: slices of those that are used, and where holders are known also of those that are held or free.
    MigSlices,
    /// Nobody used it: to its holders.
    Holder,
    /// Nobody used or held it: to nobody.
    Nobody,
}

impl Method {
    /// The value of the `method` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SmTime => "sm_time",
            Self::EngineTime => "engine_time",
            Self::ComputeUnits => "compute_units",
            Self::Memory => "memory",
            Self::Equal => "equal",
            Self::MigUtilisation => "mig_utilization",
            Self::MigSlices => "mig_slices",
            Self::Holder => "holder",
            Self::Nobody => "none",
        }
    }
}

/// Who is to be charged for a look's time, with integer weights. No owner stands for nobody.
#[derive(Clone, Debug, Default)]
pub struct Shares<'a> {
    /// Who used the device.
    pub used: Vec<(Option<&'a Workload>, u64)>,
    /// Who held it, whether or not they used it. Of a device in slices, nobody holds the free ones.
    pub held: Vec<(Option<&'a Workload>, u64)>,
}

/// Fine enough that a share is off by less than 1e-9.
const FINE: u64 = 1 << 30;
/// A look tells of a day at most, in ms, and a device has this many slices: so that no product of weights overflows.
const LONGEST: u128 = 86_400_000;
const MOST_SLICES: u32 = 64;

impl Look {
    /// By what the look's time is split, and how.
    pub fn shares<'a>(&'a self, holdings: &'a [Holding]) -> (Method, Shares<'a>) {
        let holders = self.holders(holdings);
        let mut shares = Shares::default();
        let mut by = Method::Nobody;
        if self.slices > 0 {
            let weights;
            (by, weights) = self.weigh_instances(&holders);
            for ((instance, holders), weight) in self.instances.iter().zip(&holders).zip(weights) {
                instance.split_use(weight.saturating_mul(FINE), self, &mut shares.used);
                instance.stand_in(weight.saturating_mul(FINE), holders, &mut shares.used);
            }
            if by == Method::MigSlices && shares.used.iter().any(|(_, weight)| *weight > 0) {
                shares.used.push((None, self.uncut_slices(&holders).saturating_mul(FINE)));
            }
        } else if let Some(instance) = self.instances.first() {
            by = instance.split_use(FINE, self, &mut shares.used);
        }
        self.split_held(&holders, &mut shares.held);
        let unused = shares.used.iter().all(|(_, weight)| *weight == 0);
        let held = shares.held.iter().any(|(holder, _)| holder.is_some());
        let method = match by {
            _ if unused && held => Method::Holder,
            _ if unused => Method::Nobody,
            by => by,
        };
        self.scale(&mut shares);
        (method, shares)
    }

    /// Whether it is the newest look of a device that answers still: it tells of a time that is as long as its pace.
    pub fn is_recent(&self, now: Moment) -> bool {
        now.since(self.at) <= self.time.max(Duration::from_secs(1)).saturating_mul(3)
    }

    /// The same as it is shown: a power as coarsely as energy. Its limit tells nothing of what runs.
    pub fn shown(self: &Arc<Self>, granularity: Granularity) -> Arc<Self> {
        if granularity == Granularity::FINEST {
            return Arc::clone(self);
        }
        let floor = |power: Option<Power>| power.map(|power| granularity.floor_power(power));
        let mut look = Self::clone(self);
        look.gauges.power = floor(look.gauges.power);
        look.gauges.average_power = floor(look.gauges.average_power);
        Arc::new(look)
    }

    /// The holders of each instance. Who holds several shares of one is named as often.
    fn holders<'a>(&self, holdings: &'a [Holding]) -> Vec<Vec<&'a Workload>> {
        let of = |(place, instance)| {
            let covers = |holding: &&Holding| holding.device.covers(self, place, instance);
            let nearest = holdings.iter().filter(covers).map(|holding| holding.by).min();
            let counts = |holding: &&Holding| Some(holding.by) == nearest && covers(holding);
            holdings.iter().filter(counts).map(|holding| &*holding.holder).collect()
        };
        self.instances.iter().enumerate().map(of).collect()
    }

    /// Whether the name is that of the device, or of one of its instances.
    pub fn is_named(&self, name: &Name) -> bool {
        self.instances.iter().enumerate().any(|(place, instance)| name.covers(self, place, instance))
    }

    /// Whether the device is the same as at another look, cut into the same instances: then the same names fit it.
    pub fn is_cut_as(&self, other: &Self) -> bool {
        let parts = |look: &'_ Self| {
            look.instances
                .iter()
                .map(|one| (Arc::clone(&one.uuid), Arc::clone(&one.profile)))
                .collect::<Vec<_>>()
        };
        self.device == other.device && self.slices == other.slices && parts(self) == parts(other)
    }

    /// How busy the device was, 0 to 1, where it is known. An instance without a process is idle.
    pub fn utilisation(&self) -> Option<f64> {
        let of_instances = || {
            let idle = |one: &Instance| one.processes.is_empty().then_some(0.0);
            let sum = |sum: f64, one: &Instance| {
                Some(sum + one.utilisation.or_else(|| idle(one))? * f64::from(one.slices))
            };
            let busy = self.instances.iter().try_fold(0.0, sum).filter(|_| self.slices > 0)?;
            Some(busy / f64::from(self.slices))
        };
        let whole = self.gauges.utilisation.map(|busy| busy.max(self.gauges.engines.unwrap_or(0.0)));
        whole.or_else(of_instances).map(|busy| busy.clamp(0.0, 1.0))
    }

    /// Slices × utilisation, where that is known of all instances that are used. Else nobody can tell work from idle
    /// draw, so each slice has its share: those that are used or held pay theirs, and free ones are nobody's. Where no
    /// holder is known, no slice is known to be free: those that are used share all.
    fn weigh_instances(&self, holders: &[Vec<&Workload>]) -> (Method, Vec<u64>) {
        let slices = |one: &Instance| u64::from(one.slices.min(MOST_SLICES));
        let busy = |one: &Instance| one.utilisation.map(|busy| (busy.clamp(0.0, 1.0) * 1e6) as u64);
        let known = |one: &Instance| one.processes.is_empty() || busy(one).is_some();
        if self.instances.iter().all(known) && self.instances.iter().any(|one| busy(one).is_some()) {
            let weight = |one: &Instance| slices(one) * busy(one).unwrap_or(0);
            return (Method::MigUtilisation, self.instances.iter().map(weight).collect());
        }
        let is_used = |one: &Instance| !one.processes.is_empty();
        // Nobody can work without a process: what is drawn is idle draw, and who holds what decides.
        let idle = !self.instances.iter().any(is_used);
        let given_away = holders.iter().any(|holders| !holders.is_empty());
        let weight = |one: &Instance| if !idle && (given_away || is_used(one)) { slices(one) } else { 0 };
        (Method::MigSlices, self.instances.iter().map(weight).collect())
    }

    /// The slices that no instance has, where they are known to be free: somebody gives slices away, and not these.
    fn uncut_slices(&self, holders: &[Vec<&Workload>]) -> u64 {
        let cut: u32 = self.instances.iter().map(|one| one.slices.clamp(1, MOST_SLICES)).sum();
        let given_away = holders.iter().any(|holders| !holders.is_empty());
        if given_away { u64::from(self.slices.min(MOST_SLICES).saturating_sub(cut)) } else { 0 }
    }

    fn split_held<'a>(&self, holders: &[Vec<&'a Workload>], held: &mut Vec<(Option<&'a Workload>, u64)>) {
        let mut free = self.slices;
        for (instance, holders) in self.instances.iter().zip(holders) {
            let slices = instance.slices.max(1);
            free = free.saturating_sub(slices);
            share_equally(u64::from(slices) * FINE, holders, held);
        }
        held.push((None, u64::from(free) * FINE));
    }

    /// Several looks may fall into one interval: each counts by its time, and by how busy the device was in it.
    fn scale(&self, shares: &mut Shares<'_>) {
        let time = self.time.as_millis().clamp(1, LONGEST);
        let busy = self.utilisation().map_or(1000, |busy| (busy * 1000.0) as u128).max(1);
        rescale(&mut shares.used, time * busy);
        rescale(&mut shares.held, time);
    }
}

impl Instance {
    /// Whether its profile is so, spelled as in the name of a claim: dots left out, `-` for any other sign. What stands
    /// behind the first `-` (`+me`, `+gfx`) makes another profile, so it has to be the same.
    fn is_of(&self, profile: &str) -> bool {
        let spelled =
            |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        let own: String = self.profile.chars().filter(|letter| *letter != '.').map(spelled).collect();
        let (own, own_extras) = own.split_once('-').unwrap_or((&own, ""));
        let (slices, extras) = profile.split_once('-').unwrap_or((profile, ""));
        !slices.is_empty() && own.starts_with(slices) && own_extras == extras
    }

    /// Splits `whole` among those who used the instance; tells by what.
    fn split_use<'a>(
        &'a self,
        whole: u64,
        look: &Look,
        used: &mut Vec<(Option<&'a Workload>, u64)>,
    ) -> Method {
        let (method, weights) = self.weigh_processes(look);
        let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        for (process, weight) in self.processes.iter().zip(&weights) {
            let part = (u128::from(whole) * u128::from(*weight)).checked_div(sum).unwrap_or(0);
            used.push((process.owner.as_deref(), u64::try_from(part).unwrap_or(u64::MAX)));
        }
        method
    }

    /// What a part of the device costs that is given away, or busy for somebody who is not to be seen.
    fn stand_in<'a>(
        &self,
        whole: u64,
        holders: &[&'a Workload],
        used: &mut Vec<(Option<&'a Workload>, u64)>,
    ) {
        if self.processes.is_empty() {
            share_equally(whole, holders, used);
        }
    }

    fn weigh_processes(&self, look: &Look) -> (Method, Vec<u64>) {
        let busy = look.utilisation().is_some_and(|busy| busy > 0.0);
        let by_time = match look.clock {
            Clock::Sm => self.weigh_samples(busy),
            Clock::Engines => engines::weigh(self, busy),
        };
        let held = |process: &Process| process.memory.unwrap_or(0);
        by_time.unwrap_or_else(|| match self.processes.iter().any(|process| held(process) > 0) {
            true => (Method::Memory, self.processes.iter().map(held).collect()),
            false => (Method::Equal, self.processes.iter().map(|_| 1).collect()),
        })
    }

    /// Where times are known and all are 0, nobody worked. Only if the device was busy all the same, they are wrong.
    fn weigh_samples(&self, busy: bool) -> Option<(Method, Vec<u64>)> {
        let timed = self.processes.iter().any(|process| process.time.is_some());
        let worked = self.processes.iter().any(|process| process.time.is_some_and(|time| time > 0));
        let times = || self.processes.iter().map(|process| process.time.unwrap_or(0)).collect();
        (worked || (timed && !busy)).then(|| (Method::SmTime, times()))
    }
}

/// To the holders in equal parts, or to nobody.
fn share_equally<'a>(whole: u64, holders: &[&'a Workload], into: &mut Vec<(Option<&'a Workload>, u64)>) {
    match whole.checked_div(holders.len() as u64) {
        Some(each) => into.extend(holders.iter().map(|holder| (Some(*holder), each))),
        None => into.push((None, whole)),
    }
}

/// Makes the weights a part of `to`, times [`FINE`].
fn rescale(weights: &mut [(Option<&Workload>, u64)], to: u128) {
    let sum: u128 = weights.iter().map(|(_, weight)| u128::from(*weight)).sum();
    for (_, weight) in weights {
        // At most 2^37 × 2^30; where it saturates, shares of several looks in one interval are a little off.
        let scaled = (u128::from(*weight) * to * u128::from(FINE)).checked_div(sum).unwrap_or(0);
        *weight = u64::try_from(scaled).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
