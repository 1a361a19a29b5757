//! GPUs whose energy or power the kernel shows in sysfs: cards of `/sys/class/drm` with a hwmon folder of their driver.
//!
//! What the drivers have in common is here; what differs is in [`crate::amdgpu`], [`crate::i915`] and [`crate::xe`].
//! <https://docs.kernel.org/hwmon/sysfs-interface.html>

mod card;
mod clients;
pub(crate) mod fdinfo;
mod kfd;
mod nodes;
mod package;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use noether_core::gpu::{Look as DeviceLook, UnreportedWork};
use noether_core::pci::PciAddress;
use noether_core::reading::{DomainReading, Moment, Reading};

use crate::file::{self, contents, number};
use crate::meter::{Look, Meter, Opened};
use crate::{Error, Machine};
use card::Card;
use clients::{CardStates, Clients};
use package::Board;

/// How long at least between two searches for clients because of unseen work: each walks over all descriptors.
const SEARCH: Duration = Duration::from_secs(3);

/// What is particular to a driver. Files of `hwmon` lie in the hwmon folder, the others in the device's.
pub(crate) struct Kind {
    /// The meter, and the driver's name in `hwmon/name`.
    pub(crate) name: &'static str,
    /// Counters of energy, in µJ; the first that is there counts.
    pub(crate) energy: &'static [&'static str],
    /// Power in µW, where there is no counter: the first that can be read counts.
    pub(crate) power: &'static [&'static str],
    /// The limit in µW that holds, and the highest.
    pub(crate) limits: (&'static str, &'static str),
    /// Temperature in thousandths of a degree.
    pub(crate) temperature: &'static [&'static str],
    /// Clocks of the processors and of the memory, in hertz.
    pub(crate) clocks: (&'static str, &'static str),
    /// Of the device: utilisation in percent, of its processors and of its memory.
    pub(crate) busy: (&'static str, &'static str),
    /// Of the device: memory in bytes, used and all.
    pub(crate) memory: (&'static str, &'static str),
    /// Of the device: its id, and its model.
    pub(crate) names: (&'static str, &'static str),
    /// Whether the figures are of the device alone. Those of a processor with graphics hold the processor's too.
    pub(crate) alone: fn(device: &Path, hwmon: &Path) -> bool,
    /// Whether processes can compute past the DRM, by `/dev/kfd`, where fdinfo reports no time.
    pub(crate) computes_apart: bool,
}

/// Opens the cards of a driver.
pub(crate) fn open(machine: &Machine, kind: &'static Kind) -> Opened {
    let class = machine.sysfs.join("class/drm");
    let clients = Clients::new(machine, kind.name, kind.computes_apart);
    let mut cards = Cards {
        kind,
        class,
        cards: Vec::new(),
        clients,
        looks: Vec::new(),
        searched: Moment::default(),
        said: BTreeSet::new(),
    };
    cards.rescan()?;
    Ok(cards.cards.iter().any(Card::has_meter).then(|| Box::new(cards) as Box<dyn Meter>))
}

/// The cards of one driver.
struct Cards {
    kind: &'static Kind,
    class: PathBuf,
    cards: Vec<Card>,
    clients: Clients,
    looks: Vec<Arc<DeviceLook>>,
    /// When clients were last looked for because of work that none of them explains.
    searched: Moment,
    /// What the log has said of cards: each thing once.
    said: BTreeSet<String>,
}

/// What one card gave.
type Read = (Moment, Result<Reading, Error>);

impl Meter for Cards {
    fn read(&mut self, look: &Look<'_>, readings: &mut Vec<DomainReading>, faults: &mut Vec<Error>) {
        let states = self.cards.iter().filter_map(|card| Some((card.address?, card.is_suspended())));
        let states: CardStates = states.collect();
        self.clients.read(&states);
        let mut reads: Vec<Read> = Vec::new();
        for card in &mut self.cards {
            let result = card.read();
            reads.push(((look.now)(), result));
        }
        self.join_packages(&reads);
        for (card, (at, result)) in self.cards.iter_mut().zip(reads) {
            let device = card.look(self.kind, at, &mut self.clients);
            let result = result.and_then(|reading| card.believe(reading, &device));
            self.looks.push(Arc::new(device));
            if card.is_joined() || !card.has_meter() {
                continue;
            }
            let reading = result.map_err(|error| {
                let fault = error.fault();
                faults.push(error);
                fault
            });
            readings.push(DomainReading { domain: Arc::clone(&card.device.domain), at, reading });
        }
        self.clients.forget();
        self.search((look.now)());
        self.explain();
    }

    fn looks(&mut self) -> Vec<Arc<DeviceLook>> {
        std::mem::take(&mut self.looks)
    }

    fn rescan(&mut self) -> Result<(), Error> {
        let mut found = Vec::new();
        for number in nodes::numbered(&self.class, "card") {
            let Some(card) = Card::new(self.kind, &self.class, &format!("card{number}")) else { continue };
            let known = self.cards.iter().position(|known| known.is_same(&card));
            found.push(known.map_or(card, |known| self.cards.swap_remove(known)));
        }
        let boards: Vec<Board> =
            found.iter().filter(|card| card.has_meter()).map(|card| card.board.clone()).collect();
        // Without a meter, and of no package with one: graphics inside a processor.
        found.retain(|card| card.has_meter() || boards.iter().any(|board| board.may_join(&card.board)));
        for (index, card) in (0..).zip(&mut found) {
            card.settle(self.kind, index);
        }
        self.cards = found;
        self.clients.scan();
        Ok(())
    }
}

impl Cards {
    /// Joins the cards that show no power of their own to the card whose meter counts them too.
    fn join_packages(&mut self, reads: &[Read]) {
        let lacks = |(card, (_, result)): (&Card, &Read)| match card.is_suspended() {
            true => card.is_joined() && card.lacks_power(None),
            false => card.lacks_power(result.as_ref().ok()),
        };
        let lacking: Vec<bool> = self.cards.iter().zip(reads).map(lacks).collect();
        let mut joined: Vec<usize> = vec![0; self.cards.len()];
        for (place, lacks) in lacking.into_iter().enumerate() {
            let Some(board) = self.cards.get(place).filter(|_| lacks).map(|card| card.board.clone()) else {
                if let Some(card) = self.cards.get_mut(place) {
                    card.join(None);
                }
                continue;
            };
            let measuring = self.cards.iter().zip(&joined).enumerate();
            let measuring = measuring.filter(|(_, (card, _))| card.measures());
            let meter =
                package::meter_of(&board, measuring.map(|(at, (card, joined))| (at, &card.board, *joined)));
            let domain = meter.and_then(|at| self.cards.get(at)).map(|card| Arc::clone(&card.device.domain));
            if let Some(count) = meter.and_then(|at| joined.get_mut(at)) {
                *count += 1;
            }
            if let Some(card) = self.cards.get_mut(place) {
                card.join(domain.as_ref());
            }
        }
    }

    /// Looks for new clients at once where a card was busy with something that no known one can have done: a process that
    /// began since the last scan.
    fn search(&mut self, now: Moment) {
        if self.looks.iter().any(|look| is_unseen_work(look)) && now.since(self.searched) >= SEARCH {
            self.searched = now;
            self.clients.scan();
        }
    }

    /// Says in the log, once, what changes the meaning of figures.
    fn explain(&mut self) {
        let mut lines = Vec::new();
        for card in &self.cards {
            let device = &card.device;
            let name = format!("meter {}: {} ({})", self.kind.name, device.gpu, device.pci);
            if card.is_suspended() {
                lines.push(format!(
                    "{name} is suspended to save power: it is not read, which would resume it, and counts as 0 W"
                ));
            }
            if card.is_joined() {
                lines.push(format!(
                    "{name} shows no power of its own: that of {} counts for both, and is split by the use of both",
                    device.domain.name
                ));
            }
            if card.dated {
                lines.push(format!(
                    "{name}: this kernel reports no times of processes on it (Linux before 5.19): its energy is split by memory"
                ));
            } else if card.unreported {
                lines.push(format!(
                    "{name}: the kernel reports no times of some processes on it (compute by /dev/kfd): the busy time \
                     that the others' times do not explain is split among those by compute units or memory"
                ));
            }
        }
        for line in lines {
            if self.said.insert(line.clone()) {
                tracing::info!("{line}");
            }
        }
    }
}

/// Whether a card was busy for most of the time and nobody known can be whose work it was. Where utilisation is unknown, that
/// cannot be said.
fn is_unseen_work(look: &DeviceLook) -> bool {
    let processes = || look.instances.iter().flat_map(|instance| &instance.processes);
    let unexplained: u64 = look.instances.iter().map(|instance| instance.unexplained).sum();
    look.gauges.utilisation.is_some()
        && u128::from(unexplained) * 2 > look.time.as_micros()
        && processes().all(|process| process.unreported == UnreportedWork::No)
}

/// The hwmon folder of the driver itself: i915 has one for each of a device's tiles besides.
fn hwmon(device: &Path, driver: &str) -> Option<PathBuf> {
    let class = device.join("hwmon");
    let entries = file::names(&class).ok()?.into_iter();
    entries
        .map(|name| class.join(name))
        .find(|folder| text(&folder.join("name")).is_some_and(|name| name == driver))
}

/// The driver that a device is bound to, by its `uevent`, else by the link `driver`.
fn driver(device: &Path) -> Option<String> {
    let linked = || Some(fs::read_link(device.join("driver")).ok()?.file_name()?.to_str()?.to_owned());
    entry(device, "DRIVER").or_else(linked)
}

/// The entries of a folder whose names are numbers.
fn numbers(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A file's text; `None` where there is none.
fn text(path: &Path) -> Option<String> {
    let content = contents(path).ok()?;
    Some(std::str::from_utf8(&content).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A file's number. A name that is empty leads to a folder, which has none.
fn figure(path: &Path) -> Option<u64> {
    number(&contents(path).ok()?)
}

/// The PCI address.
fn slot(device: &Path) -> Option<PciAddress> {
    PciAddress::parse(&entry(device, "PCI_SLOT_NAME")?)
}

/// An entry of a device's `uevent`.
fn entry(device: &Path, key: &str) -> Option<String> {
    let content = text(&device.join("uevent"))?;
    content.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
}

#[cfg(test)]
mod tests;
