//! A lease, and the task that keeps it alive.
//!
//! A lease is a hint: its end says that its owner has been silent for long, never that the owner is dead, and it may
//! last much longer than was asked for (an engine that changes its leader starts it anew).

use std::future::{Future, pending};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::error::{StoreError, Trouble};

/// The engine's number of a lease.
pub type LeaseId = i64;

/// Kept alive by a task of its own until it is revoked. Dropped, it runs out by itself.
#[derive(Debug)]
pub struct Lease {
    id: LeaseId,
    lost: watch::Receiver<bool>,
    revoke: oneshot::Sender<oneshot::Sender<Result<(), StoreError>>>,
}

/// How an engine is asked about one lease.
pub(super) trait Renewal: Send + 'static {
    /// Starts its time anew; false: the engine knows no such lease.
    fn renew(&mut self) -> impl Future<Output = Result<bool, Trouble>> + Send;
    /// Ends it, and with it the keys that have it.
    fn revoke(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Lease {
    /// Keeps a lease that was just granted.
    pub(super) fn keep(id: LeaseId, ttl: Duration, renewal: impl Renewal) -> Lease {
        let (is_lost, lost) = watch::channel(false);
        let (revoke, revoked) = oneshot::channel();
        tokio::spawn(keep(ttl, renewal, is_lost, revoked));
        Lease { id, lost, revoke }
    }

    /// The engine's number of it.
    pub fn id(&self) -> LeaseId {
        self.id
    }

    /// Returns once the engine has said that the lease is gone. Silence is not enough: a lease of which nothing is
    /// heard may live.
    pub async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Ends the lease and the keys that have it, at once.
    pub async fn revoke(self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        // One that is lost has no task any more.
        let _ = self.revoke.send(answer);
        answered.await.unwrap_or(Ok(()))
    }
}

async fn keep(
    ttl: Duration,
    mut renewal: impl Renewal,
    is_lost: watch::Sender<bool>,
    mut revoked: oneshot::Receiver<oneshot::Sender<Result<(), StoreError>>>,
) {
    let mut pause = ttl / 3;
    loop {
        let renewed = async {
            sleep(pause).await;
            // An answer that does not come is no reason to stop asking.
            timeout(ttl / 6, renewal.renew()).await
        };
        let renewed = tokio::select! {
            biased;
            asked = &mut revoked => {
                if let Ok(answer) = asked {
                    let _ = answer.send(renewal.revoke().await);
                }
                return;
            }
            renewed = renewed => renewed,
        };
        pause = match renewed {
            Ok(Ok(true)) => ttl / 3,
            Ok(Ok(false)) => {
                is_lost.send_replace(true);
                return;
            }
            Ok(Err(_)) | Err(_) => ttl / 10,
        };
    }
}
