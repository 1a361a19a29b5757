//! The kubelet's `/pods`: asked when an id is unknown, and once a minute for what changed otherwise.
//!
//! The right `nodes/pods` is enough from Kubernetes 1.33 on:
//! <https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/#fine-grained-authorization>

use std::convert::Infallible;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::intake::Intake;
use super::pause::about;
use super::web::{self, Server};

/// Labels and budgets change without a new id.
const REFRESH: Duration = Duration::from_secs(60);

/// However many ids are unknown, the kubelet is not asked more often.
const SHORTEST: Duration = Duration::from_secs(1);

/// Follows the pods until that fails.
pub(super) async fn follow(server: &Server, intake: &Intake) -> Failure {
    match poll(server, intake).await {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

async fn poll(server: &Server, intake: &Intake) -> Result<Infallible, Failure> {
    let client = server.client()?;
    loop {
        let reading = intake.reading();
        let body = server.fetch(&client, "/pods").await?;
        intake.take_json(web::list(&body)?.items.into_iter().map(RawValue::get));
        reading.done();
        drop(body);
        sleep(SHORTEST).await;
        // In either case it is time.
        let _ = timeout(about(REFRESH), intake.until_due()).await;
    }
}
