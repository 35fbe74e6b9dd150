//! Entering the shared side from a task: a future, for any executor.
//!
//! It is nothing but tries, and between two of them the task listens for the opening of the gate (see
//! `opening`). So it holds nothing while it is pending, no thread of the runtime ever sleeps, and dropping
//! it gives all up.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::shared::counted::OwnedShared;
use crate::shared::opening::Listening;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A share that a task waits for: what [`Barrier::shared_owned_async`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct EnteringShared {
    barrier: Barrier,
    listening: Option<Listening>,
}

impl Barrier {
    /// Enters the shared side without keeping a thread waiting: the future is ready when the gate is open.
    /// It needs no particular runtime. While it is pending at a closed gate a helper thread, one for all
    /// tasks of the process, waits for them. Dropping it gives everything up.
    ///
    /// As with [`Barrier::shared_owned`] a task that holds a share must not wait for another one: a pause
    /// that has begun meanwhile waits for the first and keeps the second out, until a limit ends it.
    ///
    /// # Errors
    /// As [`Barrier::shared`]; and [`Error::System`] if the helper cannot be begun.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, sync::Arc, task::{Context, Poll, Wake}, thread::{self, Thread}};
    /// # struct Unpark(Thread);
    /// # impl Wake for Unpark { fn wake(self: Arc<Self>) { self.0.unpark() } }
    /// # fn block_on<F: Future>(future: F) -> F::Output {
    /// #     let (mut future, waker) = (pin!(future), Arc::new(Unpark(thread::current())).into());
    /// #     loop {
    /// #         match future.as_mut().poll(&mut Context::from_waker(&waker)) {
    /// #             Poll::Ready(output) => return output,
    /// #             Poll::Pending => thread::park(),
    /// #         }
    /// #     }
    /// # }
    /// # async fn write_message() {}
    /// # async fn write_index() {}
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let barrier = stillpoint::Barrier::create(folder.path().join("spool.barrier"))?;
    /// # block_on(async {
    /// let share = barrier.shared_owned_async().await?;
    /// write_message().await;
    /// write_index().await;
    /// drop(share);
    /// # Ok::<(), stillpoint::Error>(())
    /// # })?;
    /// # Ok::<(), stillpoint::Error>(())
    /// ```
    pub fn shared_owned_async(&self) -> EnteringShared {
        EnteringShared { barrier: self.clone(), listening: None }
    }
}

impl Future for EnteringShared {
    type Output = Result<OwnedShared, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.listening = None;
        match self.barrier.try_shared_owned() {
            Err(Error::WouldBlock { .. }) => {}
            done => return Poll::Ready(done),
        }
        self.listening = Some(Listening::begin(&self.barrier, context.waker().clone())?);
        Poll::Pending
    }
}
