//! NVIDIA's driver, opened before anything is given up: with all that it opens, wherever that is on this platform.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use noether_sources::nvml::{Early, open_early};

use super::needs::is_off;
use crate::node::machine;
use crate::settings::{Command, Settings};

/// A driver that takes longer is there and in trouble. Its thread stays, and the start goes on.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens it on a thread that ends before any other one is started, unless the driver does not answer.
pub(super) fn open(settings: &Settings, command: Command) -> Early {
    if command == Command::Grid || is_off(settings, "nvml") {
        return Early::default();
    }
    let (sender, receiver) = mpsc::channel();
    let machine = machine(settings);
    // Who waits no longer needs no answer.
    let work = move || drop(sender.send(open_early(&machine)));
    let Ok(thread) = thread::Builder::new().name("driver".into()).spawn(work) else {
        return Early::default();
    };
    match receiver.recv_timeout(PATIENCE) {
        Ok(early) => {
            // A driver that makes the thread panic is no reason to end.
            let _ = thread.join();
            early
        }
        Err(_) => Early { found: true, ..Early::default() },
    }
}
