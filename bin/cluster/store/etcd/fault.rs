//! What an error of the client library means: whether the request may have been done, and whether another try may
//! come to something else.

use std::error::Error as _;
use std::io;

use etcd_client::Error;

use crate::store::error::{StoreError, Trouble};

/// Codes of gRPC, as numbers, since the library that has names for them is another one's.
mod code {
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const NOT_FOUND: i32 = 5;
    pub const PERMISSION_DENIED: i32 = 7;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const FAILED_PRECONDITION: i32 = 9;
    pub const OUT_OF_RANGE: i32 = 11;
    pub const UNIMPLEMENTED: i32 = 12;
    pub const UNAUTHENTICATED: i32 = 16;
}

pub(super) fn of(error: &Error, endpoint: &str) -> Trouble {
    let status = match error {
        Error::GRpcStatus(status) => status,
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => {
            return Trouble::Final(StoreError::Settings(error.to_string()));
        }
        other => return Trouble::Lost(format!("{endpoint}: {}", whole(other))),
    };
    let said = status.message().trim_start_matches("etcdserver: ").to_string();
    let refused = |error: fn(String) -> StoreError| Trouble::Final(error(said.clone()));
    match i32::from(status.code()) {
        code::PERMISSION_DENIED | code::UNAUTHENTICATED => refused(StoreError::Denied),
        // Roles were changed meanwhile, or the token is older than the server: it was not done, and is done next time.
        code::INVALID_ARGUMENT if said.contains("revision of auth store is old") => {
            Trouble::NotSent(said)
        }
        code::INVALID_ARGUMENT if said.contains("authentication failed") => {
            refused(StoreError::Denied)
        }
        code::INVALID_ARGUMENT if said.contains("user name is empty") => {
            refused(|_| StoreError::Denied("it asks who this is, and no user is named".to_string()))
        }
        code::FAILED_PRECONDITION if said.contains("authentication is not enabled") => {
            refused(|_| StoreError::Denied("it knows no users: leave user out".to_string()))
        }
        code::NOT_FOUND if said.contains("lease not found") => {
            Trouble::Final(StoreError::LeaseGone)
        }
        code::RESOURCE_EXHAUSTED if said.contains("too many requests") => Trouble::NotSent(said),
        code::INVALID_ARGUMENT
        | code::RESOURCE_EXHAUSTED
        | code::FAILED_PRECONDITION
        | code::OUT_OF_RANGE
        | code::UNIMPLEMENTED => refused(StoreError::Invalid),
        _ => {
            let text = format!("{endpoint}: {}", whole(error));
            if was_not_sent(error) { Trouble::NotSent(text) } else { Trouble::Lost(text) }
        }
    }
}

/// Whether no connection was there to send it on.
fn was_not_sent(error: &Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let mut cause = error.source();
    if let Error::GRpcStatus(status) = error {
        cause = status.source();
    }
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let kinds = [AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable];
            return kinds.contains(&error.kind());
        }
        cause = error.source();
    }
    false
}

/// The error's last cause, which says what happened; the rest says only that something did.
fn whole(error: &Error) -> String {
    let (mut cause, mut text) = match error {
        Error::GRpcStatus(status) => (status.source(), status.message().to_string()),
        Error::TransportError(transport) => (transport.source(), transport.to_string()),
        other => (other.source(), other.to_string()),
    };
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
