//! The loop of an agent: news in, and what the [`machine`](super::machine) makes of it done.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::asking::verdict;
use super::machine::{Action, Agent, Input};
use super::notebook::{Notebook, Notes, Remembered};
use super::presence::Presence;
use super::reporting::report;
use super::session::{Command, Running, dropped, settled_here};
use super::settings::Settings;
use crate::host::Host;
use crate::record::identity::{Begun, EpochId};
use crate::record::report::{Report, Said};
use crate::record::value::decode_ours;
use crate::record::verdict::Verdict;
use crate::store::{Event, Store, View};

/// Before a store that does not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs an agent until `stopped`. Its gates are open when this returns, and its sign of life is gone.
pub async fn run<S: Store, H: Host, N: Notebook>(
    store: S,
    host: H,
    notebook: N,
    remembered: Remembered,
    settings: Settings,
    stopped: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let before = remembered.incarnation.clone();
    let agent = Agent::new(remembered.last, remembered.waiting.clone());
    let uuid = remembered.uuid.clone();
    let notes = Notes::new(notebook, remembered);
    // Whoever is this host's agent now may have been killed while the gate was closed: it was opened by that.
    notes
        .change(|remembered, now| {
            remembered.incarnation = Some(settings.incarnation.clone());
            if let Some(opened) = &mut remembered.opened {
                opened.at_ms = opened.at_ms.or(Some(now.as_millis() as u64));
            }
        })
        .await?;
    settings.totals.change(|counted| counted.last = agent.last());
    let (told, mut news) = unbounded_channel();
    let (reports, written) = watch::channel(None);
    let (stop, stops) = watch::channel(false);
    let mut beside = JoinSet::new();
    beside.spawn(report(store.clone(), settings.clone(), written, told.clone()));
    let presence = Presence {
        store: store.clone(),
        host: host.clone(),
        settings: settings.clone(),
        uuid,
        before,
        settled: notes.settled(),
        told: told.clone(),
    };
    let presence = tokio::spawn(presence.keep(stops));
    let mut work = Work {
        store,
        host,
        notes,
        settings,
        agent,
        sessions: BTreeMap::new(),
        beside,
        reports,
        told,
    };
    for begun in work.agent.waiting().to_vec() {
        work.act(Action::Ask(begun));
    }
    let key = work.settings.keys.epoch();
    let mut stopped = pin!(stopped);
    let first = select! {
        biased;
        view = seen(&work.store, &work.settings, &key) => Some(view),
        () = &mut stopped => None,
    };
    let Some(first) = first else {
        return work.end(&stop, presence).await;
    };
    let mut epochs = work.store.watch(&key, first.revision);
    let _ = work.told.send(of_epoch(&key, Event::Resynced(first)));
    loop {
        let input = select! {
            biased;
            event = epochs.next() => match event {
                Ok(event) => of_epoch(&key, event),
                Err(error) => {
                    work.settings.log.say(&format!("{key}: {error}"));
                    continue;
                }
            },
            input = news.recv() => match input {
                Some(input) => input,
                None => break,
            },
            () = &mut stopped => break,
        };
        for action in work.agent.take(input) {
            work.act(action);
        }
        work.count();
    }
    work.end(&stop, presence).await
}

/// The key, as soon as the store answers.
async fn seen<S: Store>(store: &S, settings: &Settings, key: &str) -> View {
    loop {
        match store.range(key).await {
            Ok(view) => return view,
            Err(error) => settings.log.say(&error.to_string()),
        }
        sleep(PAUSE).await;
    }
}

/// What an event of the epoch's key says.
fn of_epoch(key: &str, event: Event) -> Input {
    let shown = |view: View| view.get(key).cloned();
    let entry = match event {
        Event::Put(entry) => Some(entry),
        Event::Delete { .. } => None,
        Event::Resynced(view) => shown(view),
    };
    match entry {
        None => Input::NoEpoch,
        Some(entry) => Input::Epoch(EpochId(entry.created as u64), decode_ours(&entry.value)),
    }
}

struct Work<S, H, N> {
    store: S,
    host: H,
    notes: Notes<N>,
    settings: Settings,
    agent: Agent,
    sessions: BTreeMap<EpochId, Running>,
    /// What runs beside the loop and ends with it.
    beside: JoinSet<()>,
    reports: watch::Sender<Option<Report>>,
    told: UnboundedSender<Input>,
}

impl<S: Store, H: Host, N: Notebook> Work<S, H, N> {
    /// Begins what is to be done. Nothing here waits.
    fn act(&mut self, action: Action) {
        while self.beside.try_join_next().is_some() {}
        match action {
            Action::Start(id, epoch) => {
                self.settings.totals.change(|counted| {
                    counted.begun += 1;
                    counted.last = id;
                });
                let (host, notes) = (&self.host, &self.notes);
                let running =
                    Running::start(host, notes, &self.settings, id, &epoch, self.told.clone());
                self.sessions.insert(id, running);
            }
            Action::Pause(id) => self.tell(id, Command::Pause),
            Action::Release(id) => self.tell(id, Command::Release),
            Action::Drop(id, why) => {
                self.settings.log.say(&format!("epoch {id} came to nothing here: {why}"));
                let (notes, settings) = (self.notes.clone(), self.settings.clone());
                let running = self.sessions.remove(&id);
                if let Some(running) = &running {
                    running.stop();
                }
                self.beside.spawn(async move {
                    if let Some(running) = running {
                        running.ended().await;
                    }
                    dropped(&notes, &settings, id).await;
                });
            }
            Action::Report(begun, said) => self.report(begun, said),
            Action::Ask(begun) => {
                let (store, settings) = (self.store.clone(), self.settings.clone());
                let told = self.told.clone();
                self.beside.spawn(async move {
                    if let Some(verdict) = verdict(&store, &settings, &begun).await {
                        let _ = told.send(Input::Verdict(begun.id, verdict));
                    }
                });
            }
            Action::Settle(id, verdict) => self.settle(id, verdict),
            Action::Say(line) => self.settings.log.say(&line),
        }
    }

    /// Opens every gate, then says good-bye.
    async fn end(
        mut self,
        stop: &watch::Sender<bool>,
        presence: JoinHandle<()>,
    ) -> std::io::Result<()> {
        // What may be certified waits for its verdict, which the next agent asks for.
        let _ = self.agent.take(Input::NoEpoch);
        for running in self.sessions.values() {
            running.stop();
        }
        for (id, running) in self.sessions {
            running.ended().await;
            if self.agent.waiting().iter().all(|begun| begun.id != id) {
                dropped(&self.notes, &self.settings, id).await;
            }
        }
        drop(self.beside);
        let _ = stop.send(true);
        let _ = presence.await;
        Ok(())
    }

    fn tell(&self, id: EpochId, command: Command) {
        if let Some(running) = self.sessions.get(&id) {
            running.tell(command);
        }
    }

    fn report(&self, begun: Begun, said: Said) {
        match &said {
            Said::Certified { certificate, .. } => self.settings.totals.certified(certificate),
            Said::Failed(_) => self.settings.totals.change(|counted| counted.failed += 1),
            Said::Prepared | Said::Ready => {}
        }
        self.reports.send_replace(Some(Report {
            epoch: begun.id,
            nonce: begun.nonce,
            incarnation: self.settings.incarnation.clone(),
            said,
        }));
    }

    fn settle(&mut self, id: EpochId, verdict: Verdict) {
        self.settings.log.say(&format!("epoch {id}: {}", verdict.outcome.word()));
        self.settings.totals.verdict(id, &verdict);
        match self.sessions.remove(&id) {
            Some(running) if !running.is_over() => {
                // It ends by itself when it has done that.
                running.tell(Command::Settle(verdict));
                self.beside.spawn(async move { running.ended().await });
            }
            _ => {
                let (host, notes) = (self.host.clone(), self.notes.clone());
                let settings = self.settings.clone();
                self.beside.spawn(async move {
                    let settled = host.settle(id, &verdict).await;
                    settled_here(&notes, &settings, id, settled).await;
                });
            }
        }
    }

    fn count(&self) {
        let waiting = self.agent.waiting().len() as u64;
        self.settings.totals.change(|counted| counted.waiting = waiting);
    }
}
