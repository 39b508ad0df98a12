//! Answers that go out together: a poll's waits a moment for a report's.

use tokio::{sync::watch, time::timeout};

use super::limits;

/// How many requests of one connection may have an answer that a poll waits for: reports, and those not known yet
/// because their headers are still to come. At most [`limits::REQUEST_STREAMS`].
#[derive(Debug, Default)]
pub(super) struct InWork(watch::Sender<usize>);

/// One of them, until dropped.
#[derive(Debug)]
pub(super) struct Entry<'a>(&'a InWork);

impl InWork {
    /// One more.
    pub(super) fn enter(&self) -> Entry<'_> {
        self.0.send_modify(|count| *count += 1);
        Entry(self)
    }

    /// Waits until there are none, for [`limits::TOGETHER`] at most. Cancel-safe.
    pub(super) async fn none(&self) {
        let mut count = self.0.subscribe();
        // Not in time is in time enough: the answer goes alone. The sender lives as long as this borrow.
        let _ = timeout(limits::TOGETHER, count.wait_for(|count| *count == 0)).await;
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn alone_there_is_nothing_to_wait_for() {
        let in_work = InWork::default();
        drop(in_work.enter());
        timeout(Duration::ZERO, in_work.none())
            .await
            .expect("ready at the first look");
    }

    #[tokio::test]
    async fn the_wait_ends_with_the_last_entry_and_at_its_bound() {
        let in_work = InWork::default();
        let (first, second) = (in_work.enter(), in_work.enter());
        let mut waiting = std::pin::pin!(in_work.none());
        assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
        drop(first);
        assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
        drop(second);
        timeout(Duration::ZERO, waiting)
            .await
            .expect("woken by the last one");

        let _never_ends = in_work.enter();
        let began = Instant::now();
        in_work.none().await;
        assert!(began.elapsed() >= limits::TOGETHER);
    }

    /// Requests that come and go in any order: a poll goes at once exactly when none of them is in work, so none that has
    /// gone keeps it waiting, and none is forgotten.
    #[tokio::test]
    async fn any_order_of_coming_and_going_counts_right() {
        for mut pattern in 0..1_u32 << 12 {
            let in_work = InWork::default();
            let mut entries = std::collections::VecDeque::new();
            for _ in 0..6 {
                match pattern & 3 {
                    0 | 1 => entries.push_back(in_work.enter()),
                    2 => drop(entries.pop_front()),
                    _ => drop(entries.pop_back()),
                }
                pattern >>= 2;
                let goes = timeout(Duration::ZERO, in_work.none()).await.is_ok();
                assert_eq!(goes, entries.is_empty());
            }
        }
    }
}
