//! What a simulated machine is made of: sockets, meters, memory, and the physics that joins them.

/// Which cgroup trees the machine mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// One unified tree.
    V2,
    /// One tree per controller.
    V1,
    /// Controllers in v1 trees, and a unified tree without controllers beside them.
    Hybrid,
}

/// How `/sys/class/powercap` is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Links into `/sys/devices/virtual/powercap`, zones nested there: as the kernel does it.
    Linked,
    /// Plain folders side by side: as fixtures often do it.
    Flat,
}

/// What one powercap zone counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// A socket's whole package.
    Package(usize),
    /// One of `.1` equal dies of socket `.0`.
    Die(usize, u32),
    /// The cores of a socket: inside its package.
    Core(usize),
    /// The uncore of a socket: inside its package.
    Uncore(usize),
    /// The memory of a socket.
    Dram(usize),
    /// The whole node.
    Psys,
}

/// One zone of powercap.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its folder: `intel-rapl:0:1`.
    pub folder: String,
    /// The content of `name`.
    pub name: String,
    /// What it counts.
    pub counts: Counts,
    /// Whether it counts for the node's truth, and is no twin of another.
    pub first: bool,
    /// `max_energy_range_uj`: where it wraps.
    pub range_uj: u64,
    /// Its value when the machine begins.
    pub start_uj: u64,
    /// `constraint_0_max_power_uw`, where there is one.
    pub max_power_uw: Option<u64>,
    /// It is read so many seconds later than the machine's instant, as where each read wakes a core.
    pub late: f64,
}

/// What the processor says of itself.
#[derive(Clone, Debug)]
pub struct Processor {
    /// `vendor_id`
    pub vendor: &'static str,
    /// `cpu family`
    pub family: u32,
    /// `model`
    pub model: u32,
    /// `model name`
    pub name: &'static str,
    /// Whether it is a virtual one.
    pub hypervisor: bool,
}

/// From work to watts.
#[derive(Clone, Copy, Debug)]
pub struct Physics {
    /// A package that does nothing, in watts.
    pub package_idle: f64,
    /// What one busy processor adds, in watts.
    pub per_cpu: f64,
    /// A socket's memory that holds nothing, in watts.
    pub dram_idle: f64,
    /// What one GiB held adds, in watts.
    pub per_gib: f64,
    /// What the board draws besides, in watts.
    pub board: f64,
    /// The power supply's efficiency: psys is everything else divided by it.
    pub efficiency: f64,
}

/// A machine's parts.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// The processors of each socket.
    pub sockets: Vec<Vec<u32>>,
    /// What they say of themselves.
    pub processor: Processor,
    /// Memory of the machine, in bytes.
    pub memory: u64,
    /// What the kernel and what runs outside every cgroup hold of it, in bytes.
    pub kernel_memory: u64,
    /// The cgroup trees.
    pub hierarchy: Hierarchy,
    /// How powercap is laid out.
    pub layout: Layout,
    /// The zones of powercap.
    pub zones: Vec<Zone>,
    /// From work to watts.
    pub physics: Physics,
    /// What lxcfs shows in `/proc/stat`, where the exporter runs in a container: so many processors, and the work of the cgroup
    /// at this path.
    pub container: Option<(u32, &'static str)>,
}

const GIB: u64 = 1 << 30;
const INTEL: Processor = Processor {
    vendor: "GenuineIntel",
    family: 6,
    model: 85,
    name: "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
    hypervisor: false,
};
const AMD: Processor = Processor {
    vendor: "AuthenticAMD",
    family: 23,
    model: 1,
    name: "AMD EPYC 7551 32-Core Processor",
    hypervisor: false,
};
const PHYSICS: Physics =
    Physics { package_idle: 30.0, per_cpu: 20.0, dram_idle: 3.0, per_gib: 0.5, board: 25.0, efficiency: 0.9 };

impl Hardware {
    /// Sockets of four processors each, and no meter at all.
    pub fn bare(sockets: u32) -> Self {
        Self {
            sockets: (0..sockets).map(|socket| (socket * 4..socket * 4 + 4).collect()).collect(),
            processor: INTEL,
            memory: 64 * GIB,
            kernel_memory: 2 * GIB,
            hierarchy: Hierarchy::V2,
            layout: Layout::Linked,
            zones: Vec::new(),
            physics: PHYSICS,
            container: None,
        }
    }

    /// A two-socket Intel server: packages, memory, psys, and the same again through MMIO.
    pub fn intel() -> Self {
        let mut hardware = Self::bare(2).package(0, "intel-rapl:0").package(1, "intel-rapl:1");
        hardware = hardware.dram(0, "intel-rapl:0:0").dram(1, "intel-rapl:1:0");
        hardware = hardware.zone("intel-rapl:2", "psys", Counts::Psys);
        // The twins: found first by whoever sorts by name, told apart by what they are.
        hardware = hardware.package(0, "intel-rapl-mmio:0").dram(0, "intel-rapl-mmio:0:0");
        hardware.package(1, "intel-rapl-mmio:1").dram(1, "intel-rapl-mmio:1:0")
    }

    /// A laptop: one package with core, uncore and memory, psys.
    pub fn laptop() -> Self {
        let hardware = Self::bare(1).package(0, "intel-rapl:0");
        let hardware = hardware.zone("intel-rapl:0:0", "core", Counts::Core(0));
        let hardware = hardware.zone("intel-rapl:0:1", "uncore", Counts::Uncore(0)).dram(0, "intel-rapl:0:2");
        hardware.zone("intel-rapl:1", "psys", Counts::Psys)
    }

    /// A two-socket AMD server whose dies have a counter each; no memory meter.
    pub fn amd() -> Self {
        let mut hardware = Self { processor: AMD, ..Self::bare(2) };
        for (zone, (socket, die)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
            let name = format!("package-{socket}-die-{die}");
            hardware = hardware.zone(&format!("intel-rapl:{zone}"), &name, Counts::Die(socket, 2));
        }
        hardware
    }

    /// The same, but each die repeats the counter of the whole socket, as some parts do.
    pub fn amd_mirrored() -> Self {
        let mut hardware = Self::amd();
        for (index, zone) in hardware.zones.iter_mut().enumerate() {
            zone.counts = Counts::Package(index / 2);
            zone.first = index % 2 == 0;
            // A mirror shows its twin's value, so they start alike; while the machine moves, one file is written a
            // moment after the other, as two reads of one register are a moment apart.
            zone.start_uj = 5_000_000_000 + index as u64 / 2 * 1_000_000;
        }
        hardware
    }

    /// One AMD package of four dies that show the package's counter, each read up to a millisecond after the one before.
    pub fn amd_one_counter() -> Self {
        let dies = (0..4).map(|die| format!("package-0-die-{die}"));
        Self { processor: AMD, ..Self::bare(1) }.one_counter(dies)
    }

    /// A virtual machine with a package for each of its sixteen processors, all of which show the host's counter.
    pub fn vm_one_counter() -> Self {
        let sockets = (0..16).map(|cpu| vec![cpu]).collect();
        let processor = Processor { hypervisor: true, ..AMD };
        let packages = (0..16).map(|package| format!("package-{package}"));
        Self { processor, sockets, ..Self::bare(1) }.one_counter(packages)
    }

    fn one_counter(mut self, names: impl Iterator<Item = String>) -> Self {
        for (zone, name) in names.enumerate() {
            self = self.zone(&format!("intel-rapl:{zone}"), &name, Counts::Package(0));
        }
        let gaps = [0.0004, 0.001, 0.0007, 0.0005].into_iter().cycle();
        let mut late = 0.0;
        for (zone, gap) in self.zones.iter_mut().zip(gaps) {
            (zone.start_uj, zone.range_uj, zone.max_power_uw) = (5_000_000_000, 65_532_610_987, None);
            zone.late = late;
            late += gap;
        }
        self
    }

    /// A virtual machine without any meter.
    pub fn vm() -> Self {
        let processor = Processor { hypervisor: true, ..INTEL };
        Self { processor, memory: 8 * GIB, kernel_memory: GIB / 2, ..Self::bare(1) }
    }

    /// These cgroup trees.
    pub fn hierarchy(mut self, hierarchy: Hierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// This layout of powercap.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Every counter wraps about this many seconds after the machine's beginning, each at its own time. The ranges are
    /// short, but no two wraps can hide in a second.
    pub fn wrapping(mut self, seconds: u64) -> Self {
        for (index, zone) in self.zones.iter_mut().enumerate() {
            let (range, watts) = match zone.counts {
                Counts::Package(_) | Counts::Die(..) | Counts::Core(_) | Counts::Uncore(_) => (2_000, 90),
                Counts::Dram(_) => (20_000, 8),
                Counts::Psys => (20_000, 250),
            };
            zone.range_uj = range * 1_000_000 + 328_850;
            zone.start_uj = zone.range_uj - watts * 1_000_000 * (seconds + index as u64 % 3);
        }
        self
    }

    /// One more zone, with the range of a real one.
    pub fn zone(mut self, folder: &str, name: &str, counts: Counts) -> Self {
        let first = self.zones.iter().all(|zone| zone.counts != counts || matches!(counts, Counts::Die(..)));
        let max_power_uw = matches!(counts, Counts::Package(_)).then_some(400_000_000);
        self.zones.push(Zone {
            folder: folder.to_owned(),
            name: name.to_owned(),
            counts,
            first,
            range_uj: if matches!(counts, Counts::Dram(_)) { 65_712_999_613 } else { 262_143_328_850 },
            start_uj: 7_000_000_000 + 1_000_001 * self.zones.len() as u64,
            max_power_uw,
            late: 0.0,
        });
        self
    }

    /// A package zone.
    pub fn package(self, socket: usize, folder: &str) -> Self {
        self.zone(folder, &format!("package-{socket}"), Counts::Package(socket))
    }

    /// A memory zone.
    pub fn dram(self, socket: usize, folder: &str) -> Self {
        self.zone(folder, "dram", Counts::Dram(socket))
    }

    /// How many processors there are.
    pub fn cpus(&self) -> usize {
        self.sockets.iter().map(Vec::len).sum()
    }
}
