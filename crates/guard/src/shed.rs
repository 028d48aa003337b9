//! Load shedding: at most so many requests at once, the rest is refused at once instead of queued.
//!
//! A queue in front of a full server only adds waiting to work that will time out anyway; a refusal costs
//! microseconds and tells the client when to come back.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tower::{Layer, Service};

/// How long a refused client is told to wait. A busy server frees places within milliseconds; a whole
/// second is the smallest value that `Retry-After` can carry.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A counter of places. Clones share it.
#[derive(Clone, Debug)]
pub struct Shed {
    taken: Arc<AtomicUsize>,
    places_max: usize,
}

/// A taken place; dropping it gives the place back.
#[derive(Debug)]
pub struct Entered(Arc<AtomicUsize>);

/// Every place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded {
    /// When it is worth trying again.
    pub retry_after: Duration,
}

impl Shed {
    /// At most `places_max` requests at once.
    pub fn new(places_max: usize) -> Self {
        Self {
            taken: Arc::new(AtomicUsize::new(0)),
            places_max,
        }
    }

    /// Takes a place, or says that there is none. Never waits.
    pub fn enter(&self) -> Result<Entered, Overloaded> {
        // Count first, look afterwards: two requests that race for the last place cannot both get it.
        let place = Entered(Arc::clone(&self.taken));
        if self.taken.fetch_add(1, Ordering::AcqRel) < self.places_max {
            Ok(place)
        } else {
            Err(Overloaded {
                retry_after: RETRY_AFTER,
            })
        }
    }

    /// How many places are taken now.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Sheds load in front of one service or group of routes; `refuse` makes the answer of a refusal.
#[derive(Clone, Debug)]
pub struct ShedLayer<F> {
    shed: Shed,
    refuse: F,
}

impl<F> ShedLayer<F> {
    /// A layer over the places of `shed`, which other layers may share.
    pub fn new(shed: Shed, refuse: F) -> Self {
        Self { shed, refuse }
    }
}

impl<S, F: Clone> Layer<S> for ShedLayer<F> {
    type Service = ShedService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        ShedService {
            inner,
            shed: self.shed.clone(),
            refuse: self.refuse.clone(),
        }
    }
}

/// The service of [`ShedLayer`].
#[derive(Clone, Debug)]
pub struct ShedService<S, F> {
    inner: S,
    shed: Shed,
    refuse: F,
}

impl<S, F, Request> Service<Request> for ShedService<S, F>
where
    S: Service<Request>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    F: Fn(Overloaded) -> S::Response,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.shed.enter() {
            Ok(place) => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let _place = place;
                    answer.await
                })
            }
            Err(overloaded) => {
                let refusal = (self.refuse)(overloaded);
                Box::pin(std::future::ready(Ok(refusal)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[test]
    fn the_last_place_is_given_once_and_comes_back_when_dropped() {
        let shed = Shed::new(2);
        let first = shed.enter().unwrap();
        let second = shed.enter().unwrap();
        assert_eq!(shed.enter().unwrap_err().retry_after, Duration::from_secs(1));
        assert_eq!(shed.taken(), 2, "a refusal takes no place");
        drop(first);
        let third = shed.enter().unwrap();
        assert!(shed.enter().is_err());
        drop((second, third));
        assert_eq!(shed.taken(), 0);
    }

    #[test]
    fn racing_requests_never_share_a_place() {
        let shed = Shed::new(3);
        let barrier = std::sync::Barrier::new(8);
        let places: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        shed.enter()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // A refused racer holds its count for an instant, so fewer than three may get in; never more.
        let inside = places.iter().filter(|place| place.is_ok()).count();
        assert!((1..=3).contains(&inside), "{inside}");
        drop(places);
        assert_eq!(shed.taken(), 0);
    }

    #[tokio::test]
    async fn the_layer_refuses_while_full_and_serves_again_afterwards() {
        let shed = Shed::new(1);
        let (release, gate) = tokio::sync::oneshot::channel::<()>();
        let gate = Arc::new(tokio::sync::Mutex::new(Some(gate)));
        let service = ShedLayer::new(shed.clone(), |_| "refused").layer(service_fn(move |(): ()| {
            let gate = Arc::clone(&gate);
            async move {
                if let Some(gate) = gate.lock().await.take() {
                    let _ = gate.await;
                }
                Ok::<_, std::convert::Infallible>("served")
            }
        }));
        let first = tokio::spawn(service.clone().oneshot(()));
        while shed.taken() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(service.clone().oneshot(()).await.unwrap(), "refused");
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), "served");
        assert_eq!(service.oneshot(()).await.unwrap(), "served");
    }
}
