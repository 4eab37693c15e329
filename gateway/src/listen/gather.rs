//! A connection that lets tasks go first which are ready to add to what it writes.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

pin_project_lite::pin_project! {
    /// An HTTP/2 connection whose turn comes after that of the tasks which are ready already: what many streams have to say
    /// then goes out in one write. A runtime polls the task that was woken last first, and every stream wakes its
    /// connection, so each would be a write of its own. Alone, it waits for nobody.
    pub struct Gathered<C> {
        #[pin]
        connection: C,
        has_let_others: bool,
    }
}

impl<C> Gathered<C> {
    /// The same connection, polled after others.
    pub fn new(connection: C) -> Self {
        Self {
            connection,
            has_let_others: false,
        }
    }

    /// The connection itself.
    pub fn inner(self: Pin<&mut Self>) -> Pin<&mut C> {
        self.project().connection
    }
}

impl<C: Future> Future for Gathered<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.project();
        if !*this.has_let_others {
            *this.has_let_others = true;
            // A task that wakes itself goes to the end of its worker's queue.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        *this.has_let_others = false;
        this.connection.poll(cx)
    }
}
