//! The task behind the names: finds the source that answers, stays with it, and looks for another when it is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::api::Api;
use super::failure::Failure;
use super::pause::{Pause, about};
use super::web::Server;
use super::{Choice, Options, PodUids, Shared, kubelet, pods_api};

/// How often it is looked whether there is a source by now.
const LOOK: Duration = Duration::from_secs(30);

/// A source that has answered is not left for another before it has been silent for so long: a kubelet that restarts is no
/// reason to ask the API server.
const LOYALTY: Duration = Duration::from_secs(60);

/// For how long a source is waited for that says it is about to be ready.
const START: Duration = Duration::from_secs(30);

/// The longest pause before a source that failed is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The longest pause after all have failed.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Where all refuse, which only an operator can mend.
const REFUSED: Duration = Duration::from_secs(120);

/// News that come together are put into one table.
const TOGETHER: Duration = Duration::from_millis(200);

/// How often is looked after what only time changes, while somebody waits for a name, and else.
const WAITED_FOR: Duration = Duration::from_secs(1);
const ELSE: Duration = Duration::from_secs(60);

/// The sources that are there, in the order in which they are asked.
pub(super) fn found(options: &Options) -> Vec<Choice> {
    if options.choice != Choice::Auto {
        return vec![options.choice];
    }
    let token = options.token_file.exists();
    let there = [
        (Choice::PodsApi, options.pods_api_socket.exists()),
        (Choice::Kubelet, token),
        (Choice::Api, token && options.api_url.is_some()),
    ];
    there.into_iter().filter(|(_, there)| *there).map(|(choice, _)| choice).collect()
}

/// Runs for ever.
pub(super) async fn run(shared: Arc<Shared>, options: Options) {
    tokio::join!(tend(&shared), Search::new(&shared, &options).run());
}

/// Keeps the table.
async fn tend(shared: &Shared) {
    loop {
        let waited_for = shared.intake.with_cache(|cache, _| cache.is_asked());
        let time = if waited_for { WAITED_FOR } else { ELSE };
        // Whether by the bell or by the time is the same.
        let _ = tokio::time::timeout(time, shared.intake.bell.notified()).await;
        sleep(TOGETHER).await;
        shared.review();
    }
}

/// What each source that is there says when it is asked once: the uids of the pods that there are, or why it does not tell.
pub(super) async fn probe(options: &Options) -> Vec<(Choice, String, Result<Vec<PodUids>, String>)> {
    let mut told = Vec::new();
    for source in found(options) {
        let shared = Shared::new(options);
        let mut search = Search::new(&shared, options);
        search.api.iter_mut().for_each(Api::at_once);
        let answer = tokio::select! {
            failure = search.follow(source) => Err(failure.to_string()),
            () = shared.intake.bell.notified() => Ok(shared.intake.with_cache(|cache, _| cache.uids())),
        };
        told.push((source, search.describe(source), answer));
    }
    told
}

struct Search<'s> {
    shared: &'s Shared,
    options: &'s Options,
    api: Option<Api>,
    /// Whether any source ever answered.
    answered: bool,
}

impl<'s> Search<'s> {
    fn new(shared: &'s Shared, options: &'s Options) -> Self {
        let server = |url: &String| Server {
            url: url.clone(),
            token_file: options.token_file.clone(),
            ca_file: options.ca_file.clone(),
        };
        let api = options.api_url.as_ref().map(|url| Api::new(server(url), &options.node));
        Self { shared, options, api, answered: false }
    }

    async fn run(mut self) {
        let mut pause = Pause::up_to(LONGEST_SILENCE);
        loop {
            let sources = found(self.options);
            if sources.is_empty() {
                self.hope(false);
                sleep(about(LOOK)).await;
                continue;
            }
            self.shared.found.store(true, Ordering::Relaxed);
            let (mut refused, before) = (true, self.answered);
            for source in sources {
                refused &= self.stay(source).await.is_final();
            }
            // Where every source said no and none ever said anything else, there is nothing to wait for.
            let lost = self.options.choice == Choice::Auto && refused && !self.answered;
            self.hope(!lost);
            if lost {
                sleep(about(REFUSED)).await;
            } else {
                if self.answered != before {
                    pause = Pause::up_to(LONGEST_SILENCE);
                }
                pause.wait().await;
            }
        }
    }

    fn hope(&self, hope: bool) {
        self.shared.hope.store(hope, Ordering::Relaxed);
    }

    /// Follows one source for as long as it answers, or did a moment ago.
    async fn stay(&mut self, source: Choice) -> Failure {
        let began = Instant::now();
        let mut answer: Option<Instant> = None;
        let mut pause = Pause::up_to(LONGEST_PAUSE);
        loop {
            self.shared.intake.begin(self.describe(source));
            let failure = self.follow(source).await;
            if self.shared.intake.fail(&failure) {
                (answer, pause, self.answered) = (Some(Instant::now()), Pause::up_to(LONGEST_PAUSE), true);
            }
            let starting = matches!(failure, Failure::Starting(_)) && began.elapsed() < START;
            if !starting && answer.is_none_or(|answer| answer.elapsed() >= LOYALTY) {
                return failure;
            }
            pause.wait().await;
        }
    }

    async fn follow(&self, source: Choice) -> Failure {
        let intake = &self.shared.intake;
        match (source, &self.api) {
            (Choice::PodsApi, _) => pods_api::follow(&self.options.pods_api_socket, intake).await,
            (Choice::Kubelet, _) => kubelet::follow(&self.kubelet(), intake).await,
            (Choice::Api, Some(api)) => api.follow(intake).await,
            _ => Failure::Absent("no API server is known: set --kubernetes.api-url".into()),
        }
    }

    fn kubelet(&self) -> Server {
        Server {
            url: self.options.kubelet_url.clone(),
            token_file: self.options.token_file.clone(),
            ca_file: self.options.kubelet_ca_file.clone(),
        }
    }

    fn describe(&self, source: Choice) -> String {
        match source {
            Choice::PodsApi => {
                format!("the kubelet's Pods API at {}", self.options.pods_api_socket.display())
            }
            Choice::Kubelet => format!("the kubelet at {}", self.options.kubelet_url),
            _ => format!("the API server at {}", self.options.api_url.as_deref().unwrap_or("?")),
        }
    }
}
