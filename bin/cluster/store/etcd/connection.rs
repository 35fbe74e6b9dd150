//! One server at a time, and the next one when it does not answer.
//!
//! The client library spreads requests over all servers that it is given, also over one that is stopped: so each
//! client here has one. A request that fails, or that nobody waits for any more, has the next request go to the next
//! server.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use etcd_client::{Client, Error};
use tokio::sync::Mutex;

use super::fault;
use super::settings::Settings;
use crate::store::error::{StoreError, Trouble};

pub(super) struct Connections {
    settings: Settings,
    /// Which server, counted on for ever.
    turn: AtomicU64,
    made: Mutex<Option<(u64, Client)>>,
}

/// A client for one request, or for one stream of them.
pub(super) struct Connection<'a> {
    pub client: Client,
    turn: Turn<'a>,
}

/// Whose turn it is. Dropped without an answer, it is the next one's.
struct Turn<'a> {
    connections: &'a Connections,
    number: u64,
    has_answered: bool,
}

impl Connections {
    pub fn new(settings: Settings) -> Result<Connections, StoreError> {
        settings.check()?;
        // Hosts that all began with the same server would load it and not the others.
        let first = RandomState::new().hash_one(0) % settings.endpoints.len() as u64;
        Ok(Connections { settings, turn: AtomicU64::new(first), made: Mutex::new(None) })
    }

    pub async fn current(&self) -> Result<Connection<'_>, Trouble> {
        let mut made = self.made.lock().await;
        let mut turn = Turn::new(self);
        if let Some((number, client)) = &*made {
            if *number == turn.number {
                return Ok(Connection { client: client.clone(), turn });
            }
        }
        *made = None;
        let client = turn.judge(self.connect(turn.number).await)?;
        *made = Some((turn.number, client.clone()));
        turn.has_answered = false;
        Ok(Connection { client, turn })
    }

    async fn connect(&self, turn: u64) -> Result<Client, Error> {
        let options = self.settings.options();
        let options = options.map_err(|error| Error::InvalidArgs(error.to_string()))?;
        Client::connect([self.endpoint(turn)], Some(options)).await
    }

    fn endpoint(&self, turn: u64) -> &str {
        let endpoints = &self.settings.endpoints;
        &endpoints[(turn % endpoints.len() as u64) as usize]
    }
}

impl Connection<'_> {
    /// What the answer means, for the request and for the server.
    pub fn judge<T>(&mut self, answer: Result<T, Error>) -> Result<T, Trouble> {
        self.turn.judge(answer)
    }

    /// The server does not do what it should: the next one is to be asked.
    pub fn has_failed(&mut self) {
        self.turn.has_answered = false;
    }
}

impl<'a> Turn<'a> {
    fn new(connections: &'a Connections) -> Turn<'a> {
        let number = connections.turn.load(Ordering::Relaxed);
        Turn { connections, number, has_answered: false }
    }

    fn judge<T>(&mut self, answer: Result<T, Error>) -> Result<T, Trouble> {
        let endpoint = self.connections.endpoint(self.number);
        let answer = answer.map_err(|error| fault::of(&error, endpoint));
        self.has_answered = matches!(answer, Ok(_) | Err(Trouble::Final(_)));
        answer
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.has_answered {
            let turn = &self.connections.turn;
            // Unless somebody else has seen it too.
            let (now, next) = (self.number, self.number + 1);
            let _ = turn.compare_exchange(now, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
