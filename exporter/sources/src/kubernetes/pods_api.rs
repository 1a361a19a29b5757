//! The kubelet's Pods API: gRPC on a Unix socket, pods in protobuf. One list, then one watch, on each connection.
//!
//! <https://kubernetes.io/docs/reference/node/kubelet-pods-api/>, KEP-4188

use std::path::Path;

use prost::Message;

use super::failure::Failure;
use super::grpc::{Connection, Messages};
use super::intake::Intake;

/// The packages that a kubelet may serve it under: 1.35 to 1.37 have the first, the others are what it will be called when
/// it is called something else.
const PACKAGES: [&str; 3] = ["v1alpha1", "v1beta1", "v1"];

/// `ListPodsResponse`
#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pods: Vec<Vec<u8>>,
}

/// `WatchPodsEvent`
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pod: Vec<u8>,
}

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The pod is as it comes with the event.
    Is,
    /// The pod is no more.
    Gone,
    /// Nothing about a pod.
    None,
}

/// How a server numbers its events. The first version began with `ADDED = 0`; since then `UNSPECIFIED = 0` stands before
/// it and `INITIAL_SYNC_COMPLETE` at the end. Both send what is there first, so the first event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    FromZero,
    FromOne,
}

impl Numbering {
    const fn of(first: i32) -> Self {
        if first == 0 { Self::FromZero } else { Self::FromOne }
    }

    const fn change(self, kind: i32) -> Change {
        match (self, kind) {
            (Self::FromZero, 0 | 1) | (Self::FromOne, 1 | 2) => Change::Is,
            (Self::FromZero, 2) | (Self::FromOne, 3) => Change::Gone,
            _ => Change::None,
        }
    }
}

/// Follows the pods until that fails.
pub(super) async fn follow(socket: &Path, intake: &Intake) -> Failure {
    match watch(socket, intake).await {
        Ok(()) => Failure::Broken(format!("{}: the watch ended", socket.display())),
        Err(failure) => failure,
    }
}

async fn watch(socket: &Path, intake: &Intake) -> Result<(), Failure> {
    let reading = intake.reading();
    let mut connection = Connection::open(socket).await?;
    let (package, list) = list(&mut connection).await?;
    // The watch begins with all that is there, so what changed since the list was made is not missed.
    intake.take_protobuf(list.pods);
    reading.done();
    let mut events = connection.call(&format!("/{package}.Pods/WatchPods")).await?;
    let mut numbering = None;
    while let Some(event) = next(&mut events).await? {
        let numbering = *numbering.get_or_insert(Numbering::of(event.kind));
        match numbering.change(event.kind) {
            Change::Is => intake.put_protobuf(&event.pod),
            Change::Gone => intake.remove_protobuf(&event.pod),
            Change::None => {}
        }
    }
    Ok(())
}

/// The list under the first package that is served.
async fn list(connection: &mut Connection) -> Result<(&'static str, List), Failure> {
    for package in PACKAGES {
        let answer = match connection.call(&format!("/{package}.Pods/ListPods")).await {
            Ok(messages) => messages.only().await,
            Err(failure) => Err(failure),
        };
        match answer {
            Err(Failure::Absent(_)) => {}
            Ok(message) => return Ok((package, decode(&message)?)),
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::Absent(format!("the kubelet serves Pods in none of the packages {}", PACKAGES.join(", "))))
}

async fn next(events: &mut Messages) -> Result<Option<Event>, Failure> {
    events.next().await?.map(|message| decode(&message)).transpose()
}

fn decode<M: Message + Default>(message: &[u8]) -> Result<M, Failure> {
    M::decode(message).map_err(|error| Failure::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_tells_the_numbering() {
        let changes = |kinds: &[i32]| -> Vec<Change> {
            let numbering = Numbering::of(kinds[0]);
            kinds.iter().map(|kind| numbering.change(*kind)).collect()
        };
        use Change::{Gone, Is, None};
        assert_eq!(changes(&[0, 0, 1, 2]), [Is, Is, Is, Gone]);
        assert_eq!(changes(&[1, 4, 1, 2, 3]), [Is, None, Is, Is, Gone]);
        assert_eq!(changes(&[4, 1, 99]), [None, Is, None], "a machine without pods");
    }

    #[test]
    fn an_event_is_read_by_its_numbers() {
        let event: Event = decode(&[0x08, 3, 0x12, 2, b'a', b'b']).unwrap();
        assert_eq!((event.kind, event.pod), (3, b"ab".to_vec()));
        let list: List = decode(&[0x0a, 1, b'a', 0x0a, 0]).unwrap();
        assert_eq!(list.pods, [b"a".to_vec(), vec![]]);
        assert!(matches!(decode::<List>(&[0x0a, 9]), Err(Failure::Malformed(_))));
    }
}
