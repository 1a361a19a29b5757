//! A watch at the API server of the pods of this node: one list, then one watch after the other from where the last ended.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::intake::Intake;
use super::pause::{Pause, part_of};
use super::web::{self, Server, Versioned, chain};

/// A cluster starts its nodes' exporters at the same instant; they do not ask at the same.
const SPREAD: Duration = Duration::from_secs(5);

/// For how long the server is asked to keep a watch: this, and up to as much again.
const WATCH: Duration = Duration::from_secs(300);

/// A watch that is not over so much later hangs.
const GRACE: Duration = Duration::from_secs(30);

/// After so many watches in a row that failed, all is listed again.
const PATIENCE: usize = 4;

/// More than any object may have: etcd's limit is 1.5 MiB.
const LONGEST_LINE: usize = 16 << 20;

/// The API server.
#[derive(Debug)]
pub(super) struct Api {
    server: Server,
    node: String,
    started: AtomicBool,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Any object, for its version.
#[derive(Debug, Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Versioned,
}

/// What an `ERROR` event holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

impl Api {
    pub(super) fn new(server: Server, node: &str) -> Self {
        Self { server, node: node.to_owned(), started: AtomicBool::new(false) }
    }

    /// The same that does not wait before it asks for the first time.
    pub(super) fn at_once(&mut self) {
        *self.started.get_mut() = true;
    }

    /// Follows the pods until that fails.
    pub(super) async fn follow(&self, intake: &Intake) -> Failure {
        match self.list_and_watch(intake).await {
            Err(failure) => failure,
            Ok(never) => match never {},
        }
    }

    async fn list_and_watch(&self, intake: &Intake) -> Result<Infallible, Failure> {
        if !self.started.swap(true, Ordering::Relaxed) {
            sleep(part_of(SPREAD)).await;
        }
        let client = self.server.client()?;
        let mut version = self.list(&client, intake).await?;
        let (mut pause, mut failures) = (Pause::up_to(GRACE), 0);
        loop {
            let before = version.clone();
            let end = self.watch(&client, intake, &mut version).await;
            if version != before {
                (pause, failures) = (Pause::up_to(GRACE), 0);
            }
            match end {
                Ok(()) => sleep(part_of(Duration::from_secs(1))).await,
                Err(Failure::Expired) => return Err(Failure::Expired),
                Err(failure) if failure.is_final() || failures == PATIENCE => return Err(failure),
                Err(failure) => {
                    tracing::debug!("names of pods: {failure}; watching on");
                    failures += 1;
                    pause.wait().await;
                }
            }
        }
    }

    /// All pods, from the server's cache: it costs etcd nothing. The version that a watch goes on from.
    async fn list(&self, client: &Client, intake: &Intake) -> Result<String, Failure> {
        let reading = intake.reading();
        let body = self.server.fetch(client, &self.path("resourceVersion=0")).await?;
        let list = web::list(&body)?;
        let version = list.metadata.resource_version;
        intake.take_json(list.items.into_iter().map(RawValue::get));
        reading.done();
        Ok(version)
    }

    /// Takes what changes until the server ends the watch, as it does now and then.
    async fn watch(&self, client: &Client, intake: &Intake, version: &mut String) -> Result<(), Failure> {
        let time = WATCH + part_of(WATCH);
        let query = format!(
            "watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
            time.as_secs(),
            encoded(version)
        );
        let answer = self.server.get(client, &self.path(&query)).await?;
        let events = take_events(answer, intake, version);
        timeout(time + GRACE, events).await.map_err(|_| Failure::Broken("the watch hangs".into()))?
    }

    fn path(&self, query: &str) -> String {
        format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}&{query}", encoded(&self.node))
    }
}

async fn take_events(mut answer: Response, intake: &Intake, version: &mut String) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| Failure::Broken(chain(&error)))? {
        // Where an event takes many chunks, what came before has no end in it, and is not searched again.
        let before = buffer.len();
        buffer.extend_from_slice(&chunk);
        let end = chunk.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| before + last + 1);
        let lines = buffer.get(..end).unwrap_or_default();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            take(line, intake, version)?;
        }
        buffer.drain(..end);
        if buffer.len() > LONGEST_LINE {
            return Err(Failure::Malformed(format!("an event of more than {LONGEST_LINE} bytes")));
        }
    }
    Ok(())
}

fn take(line: &[u8], intake: &Intake, version: &mut String) -> Result<(), Failure> {
    let malformed = |error: serde_json::Error| Failure::Malformed(format!("no event: {error}"));
    let Event { kind, object } = serde_json::from_slice(line).map_err(malformed)?;
    match kind.as_str() {
        "ADDED" | "MODIFIED" => intake.put_json(object.get()),
        "DELETED" => intake.remove_json(object.get()),
        "ERROR" => return Err(error(object)),
        _ => {}
    }
    let object: Object = serde_json::from_str(object.get()).map_err(malformed)?;
    if !object.metadata.resource_version.is_empty() {
        *version = object.metadata.resource_version;
    }
    Ok(())
}

fn error(object: &RawValue) -> Failure {
    let status: Status = serde_json::from_str(object.get()).unwrap_or_default();
    match status.code {
        410 => Failure::Expired,
        401 | 403 => Failure::Refused(status.message),
        code => Failure::Broken(format!("the watch ends with status {code}: {}", status.message)),
    }
}

/// What may stand in a query as it is; the rest by its bytes.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::super::pod::AllowList;
    use super::*;

    fn taken(lines: &[&str]) -> (Result<(), Failure>, String, usize) {
        let intake = Intake::new(AllowList::default());
        let mut version = "1".to_owned();
        let end = lines.iter().try_for_each(|line| take(line.as_bytes(), &intake, &mut version));
        (end, version, intake.with_cache(|cache, _| cache.living()))
    }

    const POD: &str = r#"{"metadata":{"uid":"u","namespace":"a","name":"b","resourceVersion":"5"}}"#;

    #[test]
    fn events_move_the_version_on() {
        let event = |kind: &str, object: &str| format!(r#"{{"type":"{kind}","object":{object}}}"#);
        let bookmark = event("BOOKMARK", r#"{"kind":"Pod","metadata":{"resourceVersion":"9"}}"#);
        assert_eq!(taken(&[&event("ADDED", POD)]), (Ok(()), "5".into(), 1));
        assert_eq!(
            taken(&[&event("ADDED", POD), &event("DELETED", POD), &bookmark]),
            (Ok(()), "9".into(), 0)
        );
        assert_eq!(taken(&[&event("SOMETHING", POD)]), (Ok(()), "5".into(), 0));
        let gone = event("ERROR", r#"{"kind":"Status","code":410,"message":"too old"}"#);
        assert_eq!(taken(&[&gone]).0, Err(Failure::Expired));
        assert!(matches!(taken(&["{"]).0, Err(Failure::Malformed(_))));
        assert!(matches!(taken(&[&event("ERROR", "7")]).0, Err(Failure::Broken(_))));
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("node-1.example"), "node-1.example");
        assert_eq!(encoded("a b&c=ä"), "a%20b%26c%3D%C3%A4");
    }
}
