//! The renewal of a lease, over one stream for as long as it lasts.

use etcd_client::{Error, LeaseKeepAliveStream, LeaseKeeper};

use super::Etcd;
use crate::store::error::{StoreError, Trouble};
use crate::store::lease::{LeaseId, Renewal};
use crate::store::repeat;

/// What the library says of a lease that the server does not know.
const GONE: &str = "lease not found";

pub(super) struct OfEtcd {
    etcd: Etcd,
    id: LeaseId,
    stream: Option<(LeaseKeeper, LeaseKeepAliveStream)>,
}

impl OfEtcd {
    pub fn new(etcd: Etcd, id: LeaseId) -> OfEtcd {
        OfEtcd { etcd, id, stream: None }
    }
}

impl Renewal for OfEtcd {
    async fn renew(&mut self) -> Result<bool, Trouble> {
        // One that fails, or that nobody waits for any more, is not used again.
        if let Some((mut keeper, mut answers)) = self.stream.take() {
            if keeper.keep_alive().await.is_ok() {
                if let Ok(Some(answer)) = answers.message().await {
                    self.stream = Some((keeper, answers));
                    return Ok(answer.ttl() > 0);
                }
            }
        }
        let mut connection = self.etcd.connections.current().await?;
        match connection.client.lease_keep_alive(self.id).await {
            Err(Error::LeaseKeepAliveError(said)) if said == GONE => Ok(false),
            answer => {
                self.stream = Some(connection.judge(answer)?);
                Ok(true)
            }
        }
    }

    async fn revoke(&mut self) -> Result<(), StoreError> {
        let revoked = repeat::read(self.etcd.patience, || async {
            let mut connection = self.etcd.connections.current().await?;
            let answer = connection.client.lease_revoke(self.id).await;
            connection.judge(answer)
        });
        match revoked.await {
            Ok(_) | Err(StoreError::LeaseGone) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
