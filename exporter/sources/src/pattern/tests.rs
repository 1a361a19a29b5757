//! Every row of the table, and what must not be taken for one.

use super::*;
use noether_core::workload::JobId;
use proptest::prelude::*;

const ID: &str = "aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9";
const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "2fc932ce-fdcc-454b-97bd-aadfdeb4c340";
const OUTER: &str = "5ba385ca-b6e6-4246-bd66-d48d429dbc12";
const STEP: &str = "w3kzyv3u1tz8ywvq6jdo1fnpf";
const STATIC: &str = "8b5e1a7c2d3f4a5b6c7d8e9f0a1b2c3d";

/// A path with its placeholders filled in; `UID_` is the uid as the systemd driver writes it.
fn filled(path: &str) -> String {
    path.replace("<id>", ID)
        .replace("<other>", OTHER)
        .replace("<uid_>", &UID.replace('-', "_"))
        .replace("<uid>", UID)
        .replace("<outer>", OUTER)
        .replace("<static>", STATIC)
        .replace("<step>", STEP)
        .replace("<manager>", "user.slice/user-1000.slice/user@1000.service")
}

/// A workload in one line, so that a table of them can be read.
fn spelled(workload: &Workload) -> String {
    match workload {
        Workload::Container { id, runtime, pod } => {
            format!("container {id} {runtime} {}", pod.as_deref().unwrap_or(""))
        }
        Workload::NestedContainer { id, runtime, pod } => format!("container {id} {runtime} in {pod}"),
        Workload::UserContainer { user, id, runtime } => format!("container {id} {runtime} of {user}"),
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
            "kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-<id>.scope/docker/<other>",
            "container <other> docker in <uid>",
        ),
        (
            "kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-<id>.scope/system.slice/docker-<other>.scope",
            "container <other> docker in <uid>",
        ),
        ("kubepods/pod<uid>/<id>/docker/<other>", "container <other> docker in <uid>"),
        ("kubepods/pod<uid>/<id>/docker/<other>/docker/<id>", "container <id> docker in <uid>"),
        ("kubepods/pod<uid>/<id>/docker/<other>/init", ""),
        ("kubepods/pod<uid>/<id>/docker/buildkit/<step>", "container <step> buildkit in <uid>"),
        ("kubepods/pod<uid>/<id>/libpod_parent/libpod-<other>", "container <other> podman in <uid>"),
        // A cluster in a pod of another one.
        ("kubepods/pod<outer>/<id>/kubepods/pod<uid>", ""),
        ("kubepods/pod<outer>/<id>/kubepods/pod<uid>/<other>", "container <other>  in <outer>"),
        (
            "kubepods/pod<outer>/<id>/docker/<other>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<uid_>.slice/cri-containerd-<id>.scope",
            "container <id> containerd in <outer>",
        ),
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
        ("system.slice/web.service/libpod-payload-<id>", "container <id> podman"),
        ("system.slice/web.service/runtime", ""),
    ]);
}

#[test]
fn builds_and_containers_by_name() {
    check(&[
        ("system.slice/system.slice:docker:<step>", "container <step> buildkit"),
        ("system.slice:docker:<step>", "container <step> buildkit"),
        ("system.slice/system.slice:buildkit:<step>", "container <step> buildkit"),
        ("system.slice/docker-<step>.scope", "container <step> buildkit"),
        ("docker/buildkit/<step>", "container <step> buildkit"),
        ("docker/buildkit/<step>/init", ""),
        ("buildkit/<step>", "container <step> buildkit"),
        ("docker/<id>/buildkit/<step>", "container <step> buildkit"),
        ("system.slice/buildkit.service", "unit buildkit.service"),
        ("docker/<step>", ""),
        ("system.slice:docker:W3KZYV3U1TZ8YWVQ6JDO1FNPF", ""),
        ("system.slice/crun-<id>.scope", "container <id> crun"),
        ("machine.slice/crun-buildah-buildah4711.scope", "container buildah-buildah4711 crun"),
        ("system.slice/runc-web.scope", "container web runc"),
        ("system.slice/crun-.scope", "unit crun-.scope"),
        ("system.slice/crun-web.service", "unit crun-web.service"),
        ("kubepods.slice/kubepods-pod<uid_>.slice/crun-<id>.scope", "container <id>  <uid>"),
        ("kubepods.slice/kubepods-pod<uid_>.slice/crun-web.scope", ""),
        ("system.slice/apptainer-4711.scope", "container apptainer-4711 apptainer"),
        ("system.slice/singularity-4711.scope", "container singularity-4711 singularity"),
        ("system.slice/apptainer-build.scope", "unit apptainer-build.scope"),
        ("default/web", "container web containerd"),
        ("k8s.io/debug-1", "container debug-1 containerd"),
        ("default/web/init", ""),
        ("default", ""),
        ("docker/<id>/default/web", "container web containerd"),
        ("mine/web", ""),
        ("mine/default/web", ""),
        ("default/web.service", "unit web.service"),
        ("default/web.slice", ""),
        ("kubepods/pod<uid>/kata_<id>", "container <id> kata <uid>"),
        ("kata_overhead/<id>", "container <id> kata"),
        ("kata_overhead", ""),
        ("kata_overhead/x", ""),
    ]);
}

#[test]
fn tasks_and_services_of_orchestrators() {
    let task = "8f0c3f5e2b1d4a6c9e7f8a9b0c1d2e3f";
    let allocation = OUTER;
    let rows: &[(String, String)] = &[
        (format!("ecs/{task}"), String::new()),
        (format!("ecs/{task}/{task}-1234567890"), format!("container {task}-1234567890 ecs")),
        (format!("ecs/prod/{task}/{task}-1234567890"), format!("container {task}-1234567890 ecs")),
        (format!("ecs/{task}/other-1234567890"), String::new()),
        (format!("ecs/{task}/{task}-x"), String::new()),
        (format!("ecs/prod/{task}/<id>"), "container <id>".into()),
        (format!("ecstasks.slice/ecstasks-{task}.slice/docker-<id>.scope"), "container <id> docker".into()),
        (format!("nomad/{allocation}"), format!("container {allocation} nomad")),
        (format!("nomad/share/{allocation}.web"), format!("container {allocation}.web nomad")),
        (
            format!("nomad.slice/share.slice/{allocation}.web.scope"),
            format!("container {allocation}.web nomad"),
        ),
        (
            format!("nomad.slice/reserve.slice/{allocation}.web-1.scope"),
            format!("container {allocation}.web-1 nomad"),
        ),
        (format!("nomad.slice/{allocation}.web.scope"), format!("container {allocation}.web nomad")),
        ("nomad.slice/share.slice".into(), String::new()),
        ("nomad/share".into(), String::new()),
        (format!("mine/{allocation}.web"), String::new()),
        (format!("garden/{allocation}"), format!("container {allocation} garden")),
        (format!("garden-cell/good/{allocation}"), format!("container {allocation} garden")),
        ("garden/good".into(), String::new()),
        ("garden-cell/good".into(), String::new()),
        (format!("mesos/{allocation}"), format!("container {allocation} mesos")),
        (format!("mesos/{allocation}/mesos/<outer>"), "container <outer> mesos".into()),
        ("mesos/agent".into(), String::new()),
        ("init".into(), "container init talos".into()),
        ("system".into(), String::new()),
        ("system/apid".into(), "container apid talos".into()),
        ("system/runtime".into(), "container system/runtime talos".into()),
        ("system/extensions".into(), String::new()),
        ("system/extensions/tailscale".into(), "container tailscale talos".into()),
        ("podruntime/runtime".into(), "container podruntime/runtime talos".into()),
        ("podruntime/kubelet".into(), "container kubelet talos".into()),
        ("podruntime/kubelet/inner".into(), String::new()),
        ("system/sshd.service".into(), "unit sshd.service".into()),
        ("docker/<id>/system/apid".into(), String::new()),
        ("docker/<id>/init".into(), String::new()),
        ("mine/system/apid".into(), String::new()),
    ];
    let rows: Vec<_> = rows.iter().map(|(path, expected)| (&**path, &**expected)).collect();
    check(&rows);
}

/// Whatever a user calls the folders that are the user's own.
#[test]
fn what_lies_below_a_users_manager_is_the_users() {
    check(&[
        ("<manager>/user.slice/docker-<id>.scope", "container <id> docker of 1000"),
        ("<manager>/user.slice/libpod-<id>.scope", "container <id> podman of 1000"),
        ("<manager>/user.slice/libpod-<id>.scope/container", ""),
        ("<manager>/user.slice/libpod-conmon-<id>.scope", ""),
        ("<manager>/user.slice/nerdctl-<id>.scope", "container <id> containerd of 1000"),
        ("<manager>/app.slice/docker.service/docker/<id>", "container <id> docker of 1000"),
        ("<manager>/app.slice/buildkit.service/buildkit/<step>", "container <step> buildkit of 1000"),
        ("<manager>/app.slice/apptainer-4711.scope", "container apptainer-4711 apptainer of 1000"),
        ("<manager>/app.slice/run-1.scope/lxc.payload.web", "container web lxc of 1000"),
        ("<manager>/app.slice/lxc.payload.web", "container web lxc of 1000"),
        ("<manager>/app.slice/x.service/slurmstepd.scope/job_777", ""),
        ("<manager>/slurmstepd.scope/job_777", ""),
        ("<manager>/slurmstepd.scope", "unit user@1000.service/slurmstepd.scope"),
        ("<manager>/app.slice/x.service/slurm/uid_0/job_777", ""),
        ("<manager>/app.slice/x.service/oar/alice_7", ""),
        ("<manager>/oar.slice/oar-u0-j7.slice", ""),
        ("<manager>/kubepods.slice/kubepods-pod<uid_>.slice", ""),
        (
            "<manager>/kubepods.slice/kubepods-pod<uid_>.slice/cri-containerd-<id>.scope",
            "container <id> containerd of 1000",
        ),
        ("<manager>/k3s-rootless.service/kubepods/burstable/pod<uid>", ""),
        ("<manager>/k3s-rootless.service/kubepods/burstable/pod<uid>/<id>", "container <id>  of 1000"),
        (
            "<manager>/app.slice/kubepods-pod<uid_>.slice:cri-containerd:<id>",
            "container <id> containerd of 1000",
        ),
        (
            r"<manager>/app.slice/machine-qemu\x2d1\x2dpayroll.scope",
            r"unit user@1000.service/machine-qemu\x2d1\x2dpayroll.scope",
        ),
        (r"<manager>/app.slice/x.service/machine-qemu\x2d1\x2dpayroll.scope", ""),
        (r"<manager>/x.service/machine/qemu-1-payroll.libvirt-qemu", ""),
        ("<manager>/x.service/qemu.slice/100.scope", ""),
        ("<manager>/x.service/firecracker/payroll", ""),
        ("<manager>/machine.slice/machine-web.scope", "container web systemd-nspawn of 1000"),
        ("<manager>/app.slice/system/apid", ""),
        ("user.slice/user-1000.slice/session-4.scope/docker/<id>", "container <id> docker of 1000"),
        ("user.slice/user-1000.slice/session-4.scope/slurmstepd.scope/job_777", ""),
        ("user.slice/user-1000.slice/session-4.scope/kubepods/pod<uid>", ""),
        // Another user's name, and root's, in the own tree.
        (
            "<manager>/user.slice/user-0.slice/user@0.service/docker-<id>.scope",
            "container <id> docker of 1000",
        ),
        ("<manager>/user.slice/user-1001.slice", ""),
        ("lxc/101/ns/<manager>/x.service/slurmstepd.scope/job_777", ""),
        // Root may do all this anyhow.
        ("user.slice/user-0.slice/user@0.service/user.slice/libpod-<id>.scope", "container <id> podman"),
        ("user.slice/user-0.slice/session-4.scope/slurm/uid_0/job_42", "job slurm 42 0"),
        // No user manager, but a service of the host that is called like one.
        ("system.slice/x.service/user@1000.service/docker-<id>.scope", "container <id> docker"),
    ]);
}

#[test]
fn a_users_container_has_no_series_of_anybody_else() {
    let of = |path: &str| recognise(&filled(path)).unwrap();
    let (root, user) = (of("docker/<id>"), of("<manager>/user.slice/docker-<id>.scope"));
    assert_ne!(root.key_by_id(), user.key_by_id());
    let expected = format!("user@1000.service/{}", &ID[..12]);
    assert_eq!(*user.key_by_id().values[2], *expected);
    assert!(user.info_by_id().contains(&("user_id", "1000".into())));
}

#[test]
fn a_domain_whose_name_may_have_been_cut_keeps_its_number() {
    // `qemu-1-` and 57 more are 64.
    let name = "n".repeat(57);
    let scope = |number: u32, name: &str| {
        let path = format!(r"machine.slice/machine-qemu\x2d{number}\x2d{name}.scope");
        recognise(&path).map_or(String::new(), |workload| spelled(&workload))
    };
    let folder = |number: u32, name: &str| {
        let path = format!("machine/qemu-{number}-{name}.libvirt-qemu");
        recognise(&path).map_or(String::new(), |workload| spelled(&workload))
    };
    for of in [&scope as &dyn Fn(u32, &str) -> String, &folder] {
        assert_eq!(of(1, &name), format!("vm {name}~1"));
        assert_eq!(of(2, &name), format!("vm {name}~2"));
        assert_eq!(of(12, &name[1..]), format!("vm {}~12", &name[1..]));
        assert_eq!(of(2, &name[1..]), format!("vm {}", &name[1..]), "it is complete");
    }
    let path = format!(r"machine.slice/machine-lxc\x2d1\x2d{}.scope", "n".repeat(58));
    let cut = recognise(&path).map_or(String::new(), |workload| spelled(&workload));
    assert_eq!(cut, format!("container {}~1 lxc ", "n".repeat(58)));
}

/// Were it not linear, this would not end within the patience of whoever runs it.
#[test]
fn a_long_path_costs_time_in_proportion_to_its_length() {
    for part in ["/..", "/../a", "/docker", "/x.service", "/kubepods", "/-", "/:", r"/machine-\x2d.scope"] {
        let path = part.repeat((1 << 20) / part.len());
        assert!(!matches!(nearest(&path), Some(Workload::Container { .. })));
    }
    let name = format!("machine-{}.scope", r"\x2d".repeat(1 << 18));
    let _ = nearest(&name);
    let deep = format!("docker/{ID}{}", "/..".repeat(1 << 18));
    assert_eq!(spelled(&nearest(&deep).unwrap()), format!("container {ID} docker "));
}

#[test]
fn the_nearest_is_what_recognise_finds_first_from_below() {
    for path in ["", "a", "docker/<id>/x/y", "kubepods/pod<uid>/<id>/docker/<other>/init", "<manager>/a/b"] {
        let path = filled(path);
        let mut ancestors = std::iter::successors(Some(&*path), |path| Some(path.rsplit_once('/')?.0));
        assert_eq!(nearest(&path), ancestors.find_map(recognise), "{path}");
    }
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
        let mut ancestors = std::iter::successors(Some(&*path), |path| Some(path.rsplit_once('/')?.0));
        prop_assert_eq!(nearest(&path), ancestors.find_map(recognise));
    }
}
