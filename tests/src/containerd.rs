//! A containerd of its own, asked as a kubelet asks it: real pods over the Container Runtime Interface.
//!
//! <https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto> has the numbers of the fields.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::header::HeaderMap;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::exporter::collect;
use crate::kernel::{clear, used};
use crate::kubernetes::pod::Message;
use crate::outcome::{PATIENCE, installed, until};
use crate::podman::{IMAGE, Podman};

const RUNTIME: &str = "/runtime.v1.RuntimeService";
const IMAGES: &str = "/runtime.v1.ImageService";

/// `NamespaceMode`: the pod's, and the node's.
const NODE: u64 = 2;

/// A running containerd. Dropped, it takes its pods along.
#[derive(Debug)]
pub struct Containerd {
    folder: TempDir,
    child: Child,
    log: Arc<Mutex<String>>,
    runtime: Runtime,
    sender: http2::SendRequest<Full<Bytes>>,
    sandboxes: Mutex<Vec<(String, String)>>,
}

/// A pod with its one container, by their ids.
#[derive(Clone, Debug)]
pub struct Running {
    /// The pod's uid.
    pub uid: String,
    /// The sandbox' id.
    pub sandbox: String,
    /// The container's id.
    pub container: String,
    config: Message,
}

impl Running {
    /// The pod's cgroup.
    pub fn cgroup(&self) -> String {
        cgroup(&self.uid)
    }

    /// CPU seconds of the container, by its cgroup.
    pub fn used(&self) -> f64 {
        used(&format!("{}/{}", self.cgroup(), self.container)).expect("the container's cgroup")
    }
}

/// Where the kubelet puts a burstable pod.
fn cgroup(uid: &str) -> String {
    format!("kubepods/burstable/pod{uid}")
}

impl Containerd {
    /// Starts one with the image of `podman`; or says why none runs here.
    pub fn start(podman: &Podman) -> Result<Self, String> {
        let needed = ["containerd", "containerd-shim-runc-v2", "ctr", "runc"];
        if let Some(missing) = needed.into_iter().find(|name| !installed(name)) {
            return Err(format!("{missing} is not installed (Debian package containerd)"));
        }
        let folder = crate::machine::scratch();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("config.toml"), configuration(folder.path())).expect("config.toml");
        podman.save(&at("image.tar"))?;
        let mut child = Command::new("containerd")
            .arg("--config")
            .arg(at("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("containerd: {error}"))?;
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("stderr"), &log);
        // What happens on the connection happens while somebody asks.
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let socket = at("containerd.sock");
        let connected = until("containerd listens", || {
            if let Some(ended) = child.try_wait().expect("containerd's state") {
                return Some(Err(format!("containerd: {ended}: {}", log.lock().expect("the log"))));
            }
            runtime.block_on(connect(&socket)).ok().map(Ok)
        });
        let sender = connected?;
        let containerd = Self { folder, child, log, runtime, sender, sandboxes: Mutex::default() };
        containerd.import()?;
        Ok(containerd)
    }

    fn import(&self) -> Result<(), String> {
        let at = |name: &str| self.folder.path().join(name);
        let output = Command::new("timeout")
            .args(["30", "ctr", "--namespace=k8s.io", "--address"])
            .arg(at("containerd.sock"))
            .args(["images", "import", "--snapshotter=native"])
            .arg(at("image.tar"))
            .output()
            .map_err(|error| format!("ctr: {error}"))?;
        if !output.status.success() {
            return Err(format!("ctr: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let mut wanted = Message::default();
        wanted.message(1, Message::default().text(1, &image()));
        // The interface learns of the image by an event.
        until("the image is there", || {
            let status = self.call(&format!("{IMAGES}/ImageStatus"), &wanted).ok()?;
            field(&status, 1).is_some().then_some(())
        });
        Ok(())
    }

    /// Runs a pod with one container `app`, which runs a shell script; or says why not.
    pub fn run(&self, namespace: &str, name: &str, uid: &str, script: &str) -> Result<Running, String> {
        let mut config = Message::default();
        config.message(1, Message::default().text(1, name).text(2, uid).text(3, namespace));
        let mut linux = Message::default();
        linux.text(1, &format!("/{}", cgroup(uid))).message(2, &security(1));
        config.text(3, &self.folder.path().join("logs").display().to_string()).message(8, &linux);
        let sandbox =
            self.call(&format!("{RUNTIME}/RunPodSandbox"), Message::default().message(1, &config))?;
        let sandbox = text(&sandbox, 1).ok_or("a sandbox without an id")?;
        self.sandboxes.lock().expect("the sandboxes").push((sandbox.clone(), uid.to_owned()));
        let mut running = Running { uid: uid.to_owned(), sandbox, container: String::new(), config };
        running.container = self.start_container(&running, script)?;
        Ok(running)
    }

    fn start_container(&self, pod: &Running, script: &str) -> Result<String, String> {
        let mut container = Message::default();
        container.message(1, Message::default().text(1, "app"));
        container.message(2, Message::default().text(1, &image()));
        for word in ["/busybox", "sh", "-c", script] {
            container.text(3, word);
        }
        container.text(11, "app.log");
        let resources = Message::default();
        container.message(15, Message::default().message(1, &resources).message(2, &security(3)));
        let mut request = Message::default();
        request.text(1, &pod.sandbox).message(2, &container).message(3, &pod.config);
        let created = self.call(&format!("{RUNTIME}/CreateContainer"), &request)?;
        let id = text(&created, 1).ok_or("a container without an id")?;
        self.call(&format!("{RUNTIME}/StartContainer"), Message::default().text(1, &id))?;
        Ok(id)
    }

    /// CPU seconds of each container as containerd's own statistics have them, by id.
    pub fn statistics(&self) -> Vec<(String, f64)> {
        let answer = self.call(&format!("{RUNTIME}/ListContainerStats"), &Message::default());
        let answer = answer.unwrap_or_else(|why| panic!("{why}"));
        let one = |stats: &[u8]| {
            let id = text(field(stats, 1)?, 1)?;
            let nanoseconds = number(field(field(stats, 2)?, 2)?, 1)?;
            Some((id, nanoseconds as f64 / 1e9))
        };
        all(&answer, 1).into_iter().map(|stats| one(stats).expect("id and CPU time")).collect()
    }

    /// Ends a pod and removes it.
    pub fn remove(&self, sandbox: &str) -> Result<(), String> {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            self.call(&format!("{RUNTIME}/{method}"), Message::default().text(1, sandbox))?;
        }
        let mut sandboxes = self.sandboxes.lock().expect("the sandboxes");
        let (gone, left) = sandboxes.drain(..).partition(|(id, _)| id == sandbox);
        *sandboxes = left;
        let gone: Vec<(String, String)> = gone;
        // As the kubelet does.
        gone.iter().for_each(|(_, uid)| clear(&cgroup(uid)));
        Ok(())
    }

    /// A call without streams: the answer's one message.
    fn call(&self, method: &str, message: &Message) -> Result<Vec<u8>, String> {
        let mut body = vec![0];
        body.extend(u32::try_from(message.0.len()).expect("a short message").to_be_bytes());
        body.extend(&message.0);
        let request = Request::post(format!("http://localhost{method}"))
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let mut sender = self.sender.clone();
        let whole = async {
            let answer = sender.send_request(request).await?;
            let early = status(answer.headers());
            let body = answer.into_body().collect().await?;
            let late = body.trailers().and_then(status);
            Ok::<_, hyper::Error>((late.or(early), body.to_bytes()))
        };
        let answer = self.runtime.block_on(async { timeout(PATIENCE, whole).await });
        let answer = answer.map_err(|_| format!("{method}: no answer within {PATIENCE:?}"))?;
        let (status, body) = answer.map_err(|error| format!("{method}: {error}"))?;
        let status = status.unwrap_or_else(|| "no status".to_owned());
        if status != "0" {
            return Err(format!("{method}: {status}"));
        }
        Ok(body.get(5..).unwrap_or_default().to_vec())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let sandboxes = self.sandboxes.lock().map(|sandboxes| sandboxes.clone()).unwrap_or_default();
        for (sandbox, _) in sandboxes {
            if let Err(why) = self.remove(&sandbox) {
                eprintln!("{why}");
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("containerd said: {}", self.log.lock().map(|log| log.clone()).unwrap_or_default());
        }
    }
}

/// Under which name the image is known there.
fn image() -> String {
    format!("localhost/{IMAGE}:latest")
}

/// A security context that shares the node's network, so that no plug-in for networks is needed; `tag` is that of the namespaces.
fn security(tag: u32) -> Message {
    let mut context = Message::default();
    context.message(tag, Message::default().number(1, NODE));
    context
}

/// Its own folders; nothing that wants an init, `AppArmor` or `CAP_SYS_RESOURCE`.
fn configuration(folder: &std::path::Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut text = format!("version = 2\nroot = {:?}\nstate = {:?}\n", at("root"), at("state"));
    writeln!(text, "disabled_plugins = [\"io.containerd.internal.v1.opt\"]").expect("a string");
    writeln!(text, "[grpc]\naddress = {:?}", at("containerd.sock")).expect("a string");
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    writeln!(
        text,
        "[{cri}]\nsandbox_image = {:?}\nrestrict_oom_score_adj = true\ndisable_apparmor = true\n\
         [{cri}.containerd]\nsnapshotter = \"native\"\n[{cri}.cni]\nbin_dir = {:?}\nconf_dir = {:?}",
        image(),
        at("cni"),
        at("cni")
    )
    .expect("a string");
    text
}

async fn connect(socket: &std::path::Path) -> Result<http2::SendRequest<Full<Bytes>>, String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

/// `grpc-status`, with its message where it is none of success.
fn status(headers: &HeaderMap) -> Option<String> {
    let value =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let status = value("grpc-status")?;
    Some(
        value("grpc-message")
            .filter(|said| !said.is_empty())
            .map_or(status.clone(), |said| format!("{status}: {said}")),
    )
}

/// A field's number, and its content: a number, or bytes.
type Field<'m> = (u64, u64, &'m [u8]);

/// The next field of a message of protobuf, and what follows it.
fn next(message: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (key, rest) = varint(message)?;
    match key & 7 {
        0 => varint(rest).map(|(number, rest)| ((key >> 3, number, &[][..]), rest)),
        1 => rest.split_at_checked(8).map(|(bytes, rest)| ((key >> 3, 0, bytes), rest)),
        2 => {
            let (length, rest) = varint(rest)?;
            let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some(((key >> 3, 0, bytes), rest))
        }
        5 => rest.split_at_checked(4).map(|(bytes, rest)| ((key >> 3, 0, bytes), rest)),
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (digits, rest) = bytes.split_at(length);
    Some((digits.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)), rest))
}

fn fields<'m>(mut message: &'m [u8], tag: u64) -> Vec<Field<'m>> {
    let mut found = Vec::new();
    while let Some((field, rest)) = next(message) {
        found.extend((field.0 == tag).then_some(field));
        message = rest;
    }
    found
}

fn all(message: &[u8], tag: u64) -> Vec<&[u8]> {
    fields(message, tag).into_iter().map(|(_, _, bytes)| bytes).collect()
}

fn field(message: &[u8], tag: u64) -> Option<&[u8]> {
    all(message, tag).pop()
}

fn text(message: &[u8], tag: u64) -> Option<String> {
    field(message, tag).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn number(message: &[u8], tag: u64) -> Option<u64> {
    fields(message, tag).pop().map(|(_, number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut message = Message::default();
        message.text(1, "a").number(2, 300).text(1, "b").number(16, u64::MAX);
        assert_eq!(all(&message.0, 1), [b"a", b"b"]);
        assert_eq!((text(&message.0, 1), number(&message.0, 2)), (Some("b".to_owned()), Some(300)));
        assert_eq!((number(&message.0, 16), field(&message.0, 3)), (Some(u64::MAX), None));
        assert!(all(&message.0[..message.0.len() - 1], 16).is_empty(), "cut short");
    }
}
