//! The changes under a name, as they come.

use std::future::{Future, pending};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::error::StoreError;
use super::view::Event;

/// How many events wait for a reader before the engine is read no further.
const PENDING: usize = 1024;

/// Never ends; ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<Result<Event, StoreError>>,
    opened: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// The other end, which a store's task feeds.
#[derive(Debug)]
pub(super) struct Feed {
    events: mpsc::Sender<Result<Event, StoreError>>,
    opened: watch::Sender<bool>,
}

impl Watch {
    /// A watch that `task` feeds.
    pub(super) fn fed_by<F>(task: impl FnOnce(Feed) -> F) -> Watch
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (events, received) = mpsc::channel(PENDING);
        let (opened, has_opened) = watch::channel(false);
        let task = tokio::spawn(task(Feed { events, opened }));
        Watch { events: received, opened: has_opened, task }
    }

    /// The next change. An error says that the engine refuses this watch: it is asked again all the same, so a role
    /// that is given later is enough. May be dropped and called again without a loss.
    pub async fn next(&mut self) -> Result<Event, StoreError> {
        match self.events.recv().await {
            Some(event) => event,
            // The runtime is shutting down.
            None => pending().await,
        }
    }

    /// Returns once the engine has said that it watches. Changes made after that are told at once, earlier ones may
    /// take a while longer.
    pub async fn opened(&self) {
        let mut opened = self.opened.clone();
        if opened.wait_for(|opened| *opened).await.is_err() {
            pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Feed {
    /// Waits for the reader if there is much before it.
    pub async fn tell(&self, event: Result<Event, StoreError>) {
        // A reader that is gone has this task ended.
        let _ = self.events.send(event).await;
    }

    pub fn has_opened(&self) {
        self.opened.send_replace(true);
    }
}
