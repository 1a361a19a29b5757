//! Every row of the table, and what must not be taken for one.

use super::*;
use noether_core::workload::JobId;
use proptest::prelude::*;

const ID: &str = "aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9";
const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "2fc932ce-fdcc-454b-97bd-aadfdeb4c340";
const OUTER: &str = "5ba385ca-b6e6-4246-bd66-d48d429dbc12";
const STATIC: &str = "8b5e1a7c2d3f4a5b6c7d8e9f0a1b2c3d";

/// A path with its placeholders filled in; `UID_` is the uid as the systemd driver writes it.
fn filled(path: &str) -> String {
    path.replace("<id>", ID)
        .replace("<other>", OTHER)
        .replace("<uid_>", &UID.replace('-', "_"))
        .replace("<uid>", UID)
        .replace("<outer>", OUTER)
        .replace("<static>", STATIC)
}

/// A workload in one line, so that a table of them can be read.
fn spelled(workload: &Workload) -> String {
    match workload {
        Workload::Container { id, runtime, pod } => {
            format!("container {id} {runtime} {}", pod.as_deref().unwrap_or(""))
        }
        Workload::Pod { uid, qos } => format!("pod {uid} {qos}"),
        Workload::Job { scheduler, id, user } => {
            let user = user.as_deref().unwrap_or("");
            match id {
                JobId::Number(id) => format!("job {scheduler} {id} {user}"),
                JobId::Sluid(id) => format!("job {scheduler} sluid:{id} {user}"),
            }
        }
        Workload::Unit { name } => format!("unit {name}"),
        Workload::Vm { name } => format!("vm {name}"),
    }
}

fn check(rows: &[(&str, &str)]) {
    for (path, expected) in rows {
        let path = filled(path);
        let found = recognise(&path).as_ref().map_or(String::new(), spelled);
        assert_eq!(found.trim_end(), filled(expected), "{path}");
        let with_slashes = recognise(&format!("/{path}/")).as_ref().map_or(String::new(), spelled);
        assert_eq!(with_slashes, found, "/{path}/");
    }
}

#[test]
fn every_example_is_recognised_by_its_own_row() {
    for pattern in PATTERNS {
        for example in pattern.examples {
            let (parents, name) = example.rsplit_once('/').unwrap_or(("", example));
            let mut place = Place::default();
            parents.split('/').filter(|name| !name.is_empty()).for_each(|name| place.enter(name));
            let first = PATTERNS.iter().find(|row| (row.recognise)(&place, name).is_some());
            assert_eq!(first.map(|row| row.name), Some(pattern.name), "{example}");
            let found = recognise(example).expect("the row recognises it");
            assert_eq!(spelled(&found).split(' ').next(), Some(pattern.becomes), "{example}");
        }
    }
}

#[test]
fn kubernetes_on_systemd() {
    check(&[
        ("kubepods.slice", ""),
        ("kubepods.slice/kubepods-burstable.slice", ""),
        ("kubepods.slice/kubepods-besteffort.slice", ""),
        ("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice", "pod <uid> Burstable"),
        (
            "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<uid_>.slice",
            "pod <uid> BestEffort",
        ),
        ("kubepods.slice/kubepods-pod<uid_>.slice", "pod <uid> Guaranteed"),
        (
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<static>.slice",
            "pod <static> Burstable",
        ),
        (
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/cri-containerd-<id>.scope",
            "container <id> containerd <uid>",
        ),
        ("kubepods.slice/kubepods-pod<uid_>.slice/crio-<id>.scope", "container <id> cri-o <uid>"),
        ("kubepods.slice/kubepods-pod<uid_>.slice/crio-<id>.scope/container", ""),
        ("kubepods.slice/kubepods-pod<uid_>.slice/crio-conmon-<id>.scope", ""),
        ("kubepods.slice/kubepods-pod<uid_>.slice/docker-<id>.scope", "container <id> docker <uid>"),
        ("kubepods.slice/kubepods-pod<static>.slice/crio-<id>.scope", "container <id> cri-o <static>"),
        ("kubepods.slice/kubepods-pod<uid_>.slice/isulad-<id>.scope", "container <id>  <uid>"),
        (
            "kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-0a1b2c3d4e5f.scope",
            "container 0a1b2c3d4e5f containerd <uid>",
        ),
        ("kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-.scope", ""),
        ("kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-<id>.scope/init.scope", ""),
        ("kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-<id>.scope/system.slice/web.service", ""),
        ("kubepods.slice/kubepods-pod.slice", ""),
        ("kubepods.slice/kubepods-pod__.slice", ""),
        ("kubepods.slice/kubepods-other-pod<uid_>.slice", ""),
        ("notkubepods.slice/notkubepods-pod<uid_>.slice", ""),
        (
            "system.slice/kubepods-burstable-pod<uid_>.slice:cri-containerd:<id>",
            "container <id> containerd <uid>",
        ),
        (
            "system.slice/containerd.service/kubepods-pod<uid_>.slice:cri-containerd:<id>",
            "container <id> containerd <uid>",
        ),
        ("system.slice:docker:<id>", "container <id> docker"),
        ("system.slice:docker:ab12", ""),
        ("system.slice:other:<id>", ""),
        ("a:b:c:d", ""),
    ]);
}

#[test]
fn kubernetes_on_cgroupfs() {
    check(&[
        ("kubepods", ""),
        ("kubepods/burstable", ""),
        ("kubepods/burstable/pod<uid>", "pod <uid> Burstable"),
        ("kubepods/besteffort/pod<uid>", "pod <uid> BestEffort"),
        ("kubepods/pod<uid>", "pod <uid> Guaranteed"),
        ("kubepods/pod<static>", "pod <static> Guaranteed"),
        ("kubepods/burstable/pod<uid>/<id>", "container <id>  <uid>"),
        ("kubepods/pod<uid>/<id>", "container <id>  <uid>"),
        ("kubepods/pod<uid>/0a1b2c3d4e5f", "container 0a1b2c3d4e5f  <uid>"),
        ("kubepods/pod<uid>/<outer>", "container <outer>  <uid>"),
        ("kubepods/pod<uid>/crio-<id>", "container <id> cri-o <uid>"),
        ("kubepods/pod<uid>/crio-conmon-<id>", ""),
        ("kubepods/pod<uid>/libpod-<id>", "container <id> podman <uid>"),
        ("kubepods/pod<uid>/<id>/0a1b2c3d4e5f", ""),
        ("kubepods/pod<uid>/kata_overhead", ""),
        ("kubepods/pod<uid>/-", ""),
        ("kubepods/pod", ""),
        ("kubepods/other/pod<uid>", ""),
        ("other/burstable/pod<uid>", ""),
        ("pods/pod<uid>", ""),
    ]);
}

#[test]
fn nested_trees() {
    check(&[
        (
            "docker/<id>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod<uid_>.slice",
            "pod <uid> BestEffort",
        ),
        (
            "docker/<id>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod<uid_>.slice/cri-containerd-<other>.scope",
            "container <other> containerd <uid>",
        ),
        (
            "docker/<id>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<uid_>.slice",
            "pod <uid> Guaranteed",
        ),
        ("docker/<id>/kubelet.slice/kubelet.service", ""),
        ("docker/<id>/system.slice/containerd.service", ""),
        (
            "system.slice/docker-<id>.scope/kubelet/kubepods/besteffort/pod<uid>/<other>",
            "container <other>  <uid>",
        ),
        (
            "machine.slice/libpod-<id>.scope/container/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<uid_>.slice/cri-containerd-<other>.scope",
            "container <other> containerd <uid>",
        ),
        (
            "user.slice/user-1000.slice/user@1000.service/k3s-rootless.service/kubepods/burstable/pod<uid>/<id>",
            "container <id>  <uid>",
        ),
        ("kubepods/pod<outer>/<id>/kubepods/pod<uid>/<other>", "container <other>  <uid>"),
        ("kubepods/pod<uid>/<id>/docker/<other>", "container <other> docker <uid>"),
        ("kubepods/pod<uid>/<id>/system.slice/slurmstepd.scope", ""),
        ("kubepods/pod<uid>/<id>/system.slice/slurmstepd.scope/job_42", "job slurm 42"),
        (
            "kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-<id>.scope/system.slice/pod-0_slurmstepd.scope/job_42",
            "job slurm 42",
        ),
        ("docker/<id>/slurm_c1/uid_0/job_7", "job slurm 7 0"),
        ("lxc.payload.outer/lxc.payload.inner", "container inner lxc"),
        ("lxc/101/ns/system.slice/docker-<id>.scope", "container <id> docker"),
    ]);
}

#[test]
fn docker_containerd_and_podman() {
    check(&[
        ("docker", ""),
        ("docker/<id>", "container <id> docker"),
        ("docker/AAEFB9D8FEED2D453B543F6D928CEDE7A4DBEFA6A0AE7C9B990DD234C56E93B9", "container <id> docker"),
        ("docker/<id>/init", ""),
        ("docker/0a1b2c3d4e5f", ""),
        ("docker/buildkit", ""),
        ("system.slice/docker-<id>.scope", "container <id> docker"),
        ("system.slice/docker-<id>.scope/init.scope", ""),
        ("ci.slice/docker-<id>.scope", "container <id> docker"),
        ("ci/<id>", "container <id>"),
        ("ecs/1f3c5a/<id>", "container <id> docker"),
        (
            "user.slice/user-1000.slice/user@1000.service/user.slice/docker-<id>.scope",
            "container <id> docker",
        ),
        ("default/<id>", "container <id> containerd"),
        ("system.slice/nerdctl-<id>.scope", "container <id> containerd"),
        ("system.slice/cri-containerd-<id>.scope", "container <id> containerd"),
        ("machine.slice/libpod-<id>.scope", "container <id> podman"),
        ("machine.slice/libpod-<id>.scope/container", ""),
        ("machine.slice/libpod-conmon-<id>.scope", ""),
        ("machine.slice/machine-libpod_pod_<id>.slice", ""),
        ("machine.slice/machine-libpod_pod_<id>.slice/libpod-<other>.scope", "container <other> podman"),
        ("libpod_parent", ""),
        ("libpod_parent/libpod-<id>", "container <id> podman"),
        ("libpod_parent/conmon", ""),
        ("libpod_parent/<id>", ""),
        ("libpod_parent/<id>/libpod-<other>", "container <other> podman"),
        (
            "user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<id>.scope",
            "container <id> podman",
        ),
        ("user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-<id>.scope", ""),
        ("system.slice/web.service/libpod-payload-<id>", "container <id> podman"),
        ("system.slice/web.service/runtime", ""),
    ]);
}

#[test]
fn lxc() {
    check(&[
        ("lxc", ""),
        ("lxc/web", "container web lxc"),
        ("lxc/lxc", "container lxc lxc"),
        ("lxc/lxc/init.scope", ""),
        ("lxc/101", "container 101 lxc"),
        ("lxc/101/ns", ""),
        ("lxc/101/ns/system.slice/sshd.service", ""),
        ("lxc.payload", ""),
        ("lxc.payload.", ""),
        ("lxc.payload/web", "container web lxc"),
        ("lxc.payload.web", "container web lxc"),
        ("lxc.payload.ci_runner-1", "container ci_runner-1 lxc"),
        ("lxc.payload.web/system.slice/sshd.service", ""),
        ("lxc.payload.web/init.scope", ""),
        ("lxc.monitor.web", ""),
        ("lxc.monitor/101", ""),
        ("lxc.pivot", ""),
    ]);
}

#[test]
fn slurm() {
    check(&[
        ("slurm", ""),
        ("slurm/system", ""),
        ("slurm/uid_1000", ""),
        ("slurm/uid_1000/job_42", "job slurm 42 1000"),
        ("slurm/uid_1000/job_42/step_0", ""),
        ("slurm/uid_1000/job_42/step_batch/task_0", ""),
        ("slurm_node7/uid_0/job_42", "job slurm 42 0"),
        ("slurm_node7/uid_0/job_42/step_extern", ""),
        ("slurm/uid_x/job_42", ""),
        ("slurm/uid_1000/job_", ""),
        ("slurm/uid_1000/job_4x", ""),
        ("slurm/uid_1000/job_123456789012345678901", ""),
        ("other/uid_1000/job_42", ""),
        ("system.slice/slurmstepd.scope", "unit slurmstepd.scope"),
        ("system.slice/slurmstepd.scope/system", ""),
        ("system.slice/slurmstepd.scope/slurmd", ""),
        ("system.slice/slurmstepd.scope/job_42", "job slurm 42"),
        ("system.slice/slurmstepd.scope/job_42/step_0", ""),
        ("system.slice/slurmstepd.scope/job_42/step_0/user/task_0", ""),
        ("system.slice/node7_slurmstepd.scope/job_42", "job slurm 42"),
        ("hpc.slice/slurmstepd.scope/job_42", "job slurm 42"),
        ("system.slice/otherslurmstepd.scope/job_42", ""),
        ("system.slice/slurmstepd.scope/s5K1KKYAYG5D00", "job slurm sluid:s5K1KKYAYG5D00"),
        ("system.slice/node7_slurmstepd.scope/s5K1KKYAYG5D00", "job slurm sluid:s5K1KKYAYG5D00"),
        ("system.slice/slurmstepd.scope/s5K1KKYAYG5D00/step_0/user", ""),
        ("system.slice/slurmstepd.scope/job_s5K1KKYAYG5D00", "job slurm sluid:s5K1KKYAYG5D00"),
        ("system.slice/slurmstepd.scope/s5k1kkyayg5d00", ""),
        ("system.slice/slurmstepd.scope/s5K1KK", ""),
        ("system.slice/s5K1KKYAYG5D00", ""),
    ]);
}

#[test]
fn oar() {
    check(&[
        ("oar", ""),
        ("oar/alice_42", "job oar 42"),
        ("oar/alice_b_42", "job oar 42"),
        ("oardocker/node1/oar/alice_42", "job oar 42"),
        ("oar/alice_42/inner_1", ""),
        ("oar/_42", ""),
        ("oar/alice", ""),
        ("oar.slice", ""),
        ("oar.slice/oar-u1000.slice", ""),
        ("oar.slice/oar-u1000.slice/oar-u1000-j42.slice", "job oar 42 1000"),
        ("oar.slice/oar-u1000.slice/oar-u1000-j42.slice/oar-u1000-j42.service", ""),
        ("oar.slice/oar-u1000.slice/oar-u1000-jx.slice", ""),
    ]);
}

#[test]
fn machines() {
    check(&[
        ("machine.slice", ""),
        (r"machine.slice/machine-qemu\x2d1\x2dvm.scope", "vm vm"),
        (r"machine.slice/machine-qemu\x2d12\x2ddb\x2dprimary\x2d2.scope", "vm db-primary-2"),
        (r"machine.slice/machine-qemu\x2d2\x2dinstance\x2d00000001.scope", "vm instance-00000001"),
        (r"machine.slice/machine-qemu\x2d3\x2dcaf\xc3\xa9.scope", "vm café"),
        (r"machine.slice/machine-qemu\x2d3\x2dodd\xzz\x2.scope", r"vm odd\xzz\x2"),
        (r"machine.slice/machine-qemu\x2d3\x2d.scope", "vm 3"),
        (r"machine.slice/machine-qemu\x2dold.scope", "vm old"),
        (r"machine.slice/machine-prod.slice/machine-qemu\x2d1\x2dvm.scope", "vm vm"),
        (r"machine.slice/machine-ch\x2d1\x2dvm.scope", "vm vm"),
        (r"machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt", ""),
        (r"machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/vcpu0", ""),
        (r"machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator", ""),
        ("machine/qemu-1-vm-a.libvirt-qemu", "vm vm-a"),
        ("machine/vm-a.libvirt-qemu", "vm vm-a"),
        ("machine/prod.partition/qemu-1-vm.libvirt-qemu", "vm vm"),
        ("machine/qemu-1-vm.libvirt-qemu/vcpu0", ""),
        ("machine/qemu-1-vm.libvirt-other", ""),
        ("machine/.libvirt-qemu", ""),
        ("qemu.slice", ""),
        ("qemu.slice/100.scope", "vm 100"),
        (r"machine.slice/machine-lxc\x2d5\x2dweb.scope", "container web lxc"),
        ("machine/lxc-5-web.libvirt-lxc", "container web lxc"),
        (r"machine.slice/machine-my\x2dbox.scope", "container my-box systemd-nspawn"),
        ("machine.slice/machine-box.scope/payload/system.slice/sshd.service", ""),
        (r"machine.slice/systemd-nspawn@my\x2dbox.service", "container my-box systemd-nspawn"),
        ("machine.slice/systemd-nspawn@box.service/payload", ""),
        ("machine.slice/systemd-nspawn@box.service/supervisor", ""),
        ("machine.slice/systemd-nspawn@box.service/payload/init.scope", ""),
        ("machine.slice/container@box.service", "container box systemd-nspawn"),
        ("system.slice/machine-box.scope", "unit machine-box.scope"),
    ]);
}

#[test]
fn units() {
    check(&[
        ("", ""),
        ("system.slice", ""),
        ("init.scope", "unit init.scope"),
        ("system.slice/sshd.service", "unit sshd.service"),
        ("system.slice/docker.service", "unit docker.service"),
        ("system.slice/kubelet.service", "unit kubelet.service"),
        ("runtime.slice/containerd.service", "unit containerd.service"),
        ("system.slice/system-getty.slice", ""),
        ("system.slice/system-getty.slice/getty@tty1.service", "unit getty@tty1.service"),
        ("dev-hugepages.mount", "unit dev-hugepages.mount"),
        ("system.slice/docker.socket", "unit docker.socket"),
        (r"system.slice/dev-disk-by\x2dlabel-swap.swap", r"unit dev-disk-by\x2dlabel-swap.swap"),
        ("system.slice/_cpu.service", "unit cpu.service"),
        ("system.slice/.service", ""),
        ("system.slice/sshd.service/control", ""),
        ("system.slice/kubelet.service/helper.service", ""),
        ("system.slice/run-r1234.scope", "unit run-r1234.scope"),
        ("system.slice/docker-ab12.scope", "unit docker-ab12.scope"),
        ("user.slice", ""),
        ("user.slice/user-1000.slice", "unit user-1000.slice"),
        ("user.slice/user-x.slice", ""),
        ("system.slice/user-1000.slice", ""),
        ("user.slice/user-1000.slice/session-4.scope", ""),
        ("user.slice/user-120.slice/session-c1.scope", ""),
        ("user.slice/user-1000.slice/session-4.scope/web.service", ""),
        ("user.slice/user-1000.slice/user-runtime-dir@1000.service", "unit user-runtime-dir@1000.service"),
        ("user.slice/user-1000.slice/user@1000.service", "unit user@1000.service"),
        ("user.slice/user-1000.slice/user@1000.service/init.scope", ""),
        ("user.slice/user-1000.slice/user@1000.service/app.slice", ""),
        (
            "user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
            "unit user@1000.service/web.service",
        ),
        (
            "user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-x.scope",
            "unit user@1000.service/app-gnome-x.scope",
        ),
        ("user.slice/user-1000.slice/user@1000.service/app.slice/web.service/inner.service", ""),
    ]);
}

proptest! {
    #[test]
    fn any_string_is_survived(path in any::<String>()) {
        let _ = recognise(&path);
    }

    /// What the table knows, put together anew and then damaged.
    #[test]
    fn damaged_paths_are_survived(
        picks in prop::collection::vec((0..PATTERNS.len(), any::<prop::sample::Index>()), 1..4),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<char>>()), 0..6),
    ) {
        let paths = picks.iter().map(|(row, example)| *example.get(PATTERNS[*row].examples));
        let mut letters: Vec<char> = paths.collect::<Vec<_>>().join("/").chars().collect();
        for (at, letter) in damages {
            let at = at.index(letters.len());
            match letter {
                Some(letter) => letters[at] = letter,
                None => letters.truncate(at.max(1)),
            }
        }
        let path: String = letters.into_iter().collect();
        if let Some(Workload::Container { id, .. }) = recognise(&path) {
            prop_assert!(!id.is_empty(), "{path}");
        }
    }
}
