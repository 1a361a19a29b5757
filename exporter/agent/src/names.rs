//! Who knows what workloads are called: several who know, asked in turn.

use std::env;
use std::path::{Path, PathBuf};

use noether_core::roster::Names;
use noether_core::workload::{Identity, Info, Key, Workload};
use noether_sources::kubernetes::pod_resources::PodResources;
use noether_sources::kubernetes::{Kubernetes, Options};

use crate::node::node_name;
use crate::settings::{NameSource, Settings};

/// Where the kubelet's Pods API is, below the host's root, and where its first version was documented to be.
const PODS_API: &str = "var/lib/kubelet/pods-api/pods-api.sock";
const FIRST_PODS_API: &str = "var/lib/kubelet/pods/kubelet.sock";

/// Where the kubelet tells who holds which devices, below the host's root.
const POD_RESOURCES: &str = "var/lib/kubelet/pod-resources/kubelet.sock";

/// The port of every kubelet.
const KUBELET: u16 = 10250;

/// Those who know, the first of them first.
#[derive(Clone, Copy, Debug)]
pub struct InTurn<'n, const N: usize>(pub [Option<&'n dyn Names>; N]);

impl<const N: usize> Names for InTurn<'_, N> {
    /// The first name; without one, it may still come if anybody says so.
    fn identify(&self, workload: &Workload) -> Identity {
        let mut answer = Identity::Never;
        for names in self.0.iter().flatten() {
            match names.identify(workload) {
                Identity::Never => {}
                Identity::NotYet => answer = Identity::NotYet,
                known @ Identity::Known(..) => return known,
            }
        }
        answer
    }

    /// None of them goes back, so that their sum changes with each.
    fn generation(&self) -> u64 {
        self.0.iter().flatten().fold(0, |sum, names| sum.wrapping_add(names.generation()))
    }

    /// Those of the first who has any: so far one alone ever does.
    fn news(&self) -> &[(Key, Info)] {
        let each = self.0.iter().flatten().map(|names| names.news());
        each.into_iter().find(|news| !news.is_empty()).unwrap_or_default()
    }
}

/// The names of pods, and the task that learns them; `None` where they are not wanted.
pub fn kubernetes(settings: &Settings) -> Option<(Kubernetes, impl Future<Output = ()> + Send + 'static)> {
    Kubernetes::new(options(settings))
}

/// Who holds which GPUs as the kubelet tells it, and the task that asks; `None` without names of pods, by which it tells.
pub fn pod_resources(
    settings: &Settings,
) -> Option<(PodResources, impl Future<Output = ()> + Send + 'static)> {
    let wanted = settings.kubernetes.source != NameSource::Off;
    wanted.then(|| PodResources::new(pod_resources_socket(settings)))
}

/// Where the kubelet tells it on this machine.
pub fn pod_resources_socket(settings: &Settings) -> PathBuf {
    let given = settings.kubernetes.pod_resources_socket.clone();
    given.unwrap_or_else(|| settings.rootfs.join(POD_RESOURCES))
}

/// How names of pods are to be had on this machine.
pub fn options(settings: &Settings) -> Options {
    let kubernetes = settings.kubernetes.clone();
    let node = node_name(settings);
    Options {
        choice: kubernetes.source,
        pods_api_socket: kubernetes.pods_api_socket.unwrap_or_else(|| pods_api(&settings.rootfs)),
        kubelet_url: kubernetes.kubelet_url.unwrap_or_else(|| format!("https://{node}:{KUBELET}")),
        kubelet_ca_file: kubernetes.kubelet_ca_file.unwrap_or_else(|| kubernetes.ca_file.clone()),
        api_url: kubernetes.api_url.or_else(|| api_server(|name| env::var(name).ok())),
        ca_file: kubernetes.ca_file,
        token_file: kubernetes.token_file,
        allowed: kubernetes.allowed,
        node,
    }
}

fn pods_api(rootfs: &Path) -> PathBuf {
    let (now, first) = (rootfs.join(PODS_API), rootfs.join(FIRST_PODS_API));
    if first.exists() && !now.exists() { first } else { now }
}

/// The API server, as each pod is told of it.
///
/// <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>
fn api_server(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let host = variable("KUBERNETES_SERVICE_HOST").filter(|host| !host.is_empty())?;
    let port = variable("KUBERNETES_SERVICE_PORT").filter(|port| !port.is_empty()).unwrap_or("443".into());
    Some(if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noether_core::roster::NoNames;
    use noether_core::workload::Key;

    #[derive(Debug)]
    struct Says(Identity);

    impl Names for Says {
        fn identify(&self, _: &Workload) -> Identity {
            self.0.clone()
        }
    }

    #[test]
    fn the_first_name_counts_and_patience_before_none() {
        let workload = Workload::Vm { name: "a".into() };
        let known = |name| Says(Identity::Known(Key::vm(name), vec![]));
        let (one, two, later) = (known("one"), known("two"), Says(Identity::NotYet));
        let of = |names: [Option<&dyn Names>; 2]| InTurn(names).identify(&workload);
        assert_eq!(of([Some(&one), Some(&two)]), one.0);
        assert_eq!(of([Some(&later), Some(&two)]), two.0);
        assert_eq!(of([Some(&later), Some(&NoNames)]), Identity::NotYet);
        assert_eq!(of([Some(&NoNames), None]), Identity::Never);
    }

    #[test]
    fn the_api_server_is_where_the_cluster_says() {
        let told = |host: &'static str, port: &'static str| {
            api_server(|name| Some(if name.ends_with("HOST") { host } else { port }.to_owned()))
        };
        assert_eq!(told("10.96.0.1", "443").as_deref(), Some("https://10.96.0.1:443"));
        assert_eq!(told("fd00::1", "").as_deref(), Some("https://[fd00::1]:443"));
        assert_eq!(told("", "443"), None);
        assert_eq!(api_server(|_| None), None);
    }
}
