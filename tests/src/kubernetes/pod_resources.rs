//! The kubelet's pod-resources socket, by tonic: which containers it gave which devices.
//!
//! <https://github.com/kubernetes/kubelet/blob/master/pkg/apis/podresources/v1/api.proto>

use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Response, Status};

use super::grpc::{Raw, serve};
use super::pod::{Message, Pod};
use super::server::Server;

/// A running kubelet. Dropped, it takes its socket along.
#[derive(Debug)]
pub struct PodResources {
    socket: PathBuf,
    shared: Arc<Shared>,
    _server: Server,
}

#[derive(Debug, Default)]
struct Shared {
    given: Mutex<Vec<Given>>,
    /// What is answered instead, if anything.
    instead: Mutex<Option<Vec<u8>>>,
    asked: AtomicUsize,
}

/// A device of a claim.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// The driver's name.
    pub driver: String,
    /// What the driver calls the device.
    pub device: String,
    /// What the container's runtime calls it.
    pub cdi: String,
}

/// What a container was given.
#[derive(Clone, Debug)]
struct Given {
    namespace: String,
    pod: String,
    container: String,
    resource: String,
    devices: Vec<String>,
    claims: Vec<Claim>,
}

impl PodResources {
    /// A kubelet that gave nothing to anybody yet.
    pub fn start(socket: &Path) -> Self {
        let shared = Arc::new(Shared::default());
        let answering = Arc::clone(&shared);
        let server = serve(socket, move || {
            let shared = Arc::clone(&answering);
            move |request| answer(Arc::clone(&shared), request)
        });
        Self { socket: socket.to_owned(), shared, _server: server }
    }

    /// Gives devices of a resource to a container of a pod.
    pub fn give(&self, pod: &Pod, container: &str, resource: &str, devices: &[&str]) {
        let devices = devices.iter().map(ToString::to_string).collect();
        self.add(pod, container, resource, devices, Vec::new());
    }

    /// Gives what a claim stands for to a container of a pod.
    pub fn claim(&self, pod: &Pod, container: &str, claim: &Claim) {
        self.add(pod, container, "", Vec::new(), vec![claim.clone()]);
    }

    fn add(&self, pod: &Pod, container: &str, resource: &str, devices: Vec<String>, claims: Vec<Claim>) {
        let (namespace, name) = (pod.namespace.clone(), pod.name.clone());
        let (container, resource) = (container.to_owned(), resource.to_owned());
        let given = Given { namespace, pod: name, container, resource, devices, claims };
        self.shared.given.lock().expect("the kubelet").push(given);
    }

    /// Takes all back that a pod was given.
    pub fn take_back(&self, pod: &Pod) {
        let mut given = self.shared.given.lock().expect("the kubelet");
        given.retain(|one| (&one.namespace, &one.pod) != (&pod.namespace, &pod.name));
    }

    /// Answers with these bytes from now on, whatever they are.
    pub fn answer_instead(&self, message: Option<&[u8]>) {
        *self.shared.instead.lock().expect("the kubelet") = message.map(<[u8]>::to_vec);
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for PodResources {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<hyper::Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        "/v1.PodResourcesLister/List" => Grpc::new(Raw).unary(List(shared), request).await,
        _ => Status::unimplemented("unknown service").into_http(),
    })
}

struct List(Arc<Shared>);

impl UnaryService<Bytes> for List {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(instead) = self.0.instead.lock().expect("the kubelet").clone() {
            return ready(Ok(Response::new(instead.into())));
        }
        let mut list = Message::default();
        for given in self.0.given.lock().expect("the kubelet").iter() {
            list.message(1, &given.pod());
        }
        ready(Ok(Response::new(list.0.into())))
    }
}

impl Given {
    /// As `PodResources`, each container by itself, which a kubelet would put together.
    fn pod(&self) -> Message {
        let mut pod = Message::default();
        pod.text(1, &self.pod).text(2, &self.namespace).message(3, &self.container());
        pod
    }

    fn container(&self) -> Message {
        let mut container = Message::default();
        container.text(1, &self.container);
        let topology = Message::default().message(1, Message::default().number(1, 1)).clone();
        for device in &self.devices {
            let mut devices = Message::default();
            devices.text(1, &self.resource).text(2, device).message(3, &topology);
            container.message(2, &devices);
        }
        // Processors that it has for itself.
        container.bytes(3, &[2, 3]);
        for Claim { driver, device, cdi } in &self.claims {
            let mut resource = Message::default();
            resource
                .message(1, Message::default().text(1, cdi))
                .text(2, driver)
                .text(3, "node-1")
                .text(4, device);
            let mut claim = Message::default();
            claim.text(2, "gpu").text(3, &self.namespace).message(4, &resource);
            container.message(5, &claim);
        }
        container
    }
}
